package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/necrostack/necrostack/eventstore"
)

// news carries the word between processes that something was committed, by NOTIFY and LISTEN. It is only a help: what
// gets lost is found by looking. An announcement is a transaction of its own, after the commit and without a flush:
// within the commit, it would hold a lock of the whole server through the flush. Those who listen say so in a table, and
// where there are none but oneself, nothing is announced. Behind a pooler that gives a connection to others between
// transactions, which shows by the mode of execution, nobody listens.
type news struct {
	b            *Backend
	channel      string
	announcement string      // SQL
	id           uuid.UUID   // among the listeners
	direct       bool        // connections are this process's own
	heard        atomic.Bool // this process listens, and will hear

	ctx    context.Context //nolint:containedctx // ends with the backend, which calls do not
	cancel context.CancelFunc
	ended  sync.WaitGroup
	begin  sync.Once // of listening

	mu      sync.Mutex
	pending bool // something is to be announced
	running bool // somebody is at it
	asked   time.Time
	others  bool // another process listens, as of asked
}

const (
	gap     = 2 * time.Millisecond // between announcements, for more to come
	asking  = time.Second          // between looks at who listens
	renewal = 20 * time.Second     // of saying that one does; it holds three times as long
)

func (n *news) init(b *Backend, schema string) {
	sum := sha256.Sum256([]byte(schema))
	n.b, n.id, n.channel = b, uuid.New(), "necrostack_"+hex.EncodeToString(sum[:12])
	n.announcement = b.sql("SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, concat_ws(' ', " + pulseSQL + "))")
	n.direct = b.pool.Config().ConnConfig.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement
	n.ctx, n.cancel = context.WithCancel(context.Background())
}

func (n *news) close() {
	n.mu.Lock()
	n.cancel()
	n.mu.Unlock()
	n.begin.Do(func() {}) // nobody begins to listen any more
	n.ended.Wait()
}

// announce has it announced that something was committed, if anybody listened a second ago: whoever begins to listen
// looks for what was there before. It does not wait for that.
func (n *news) announce() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pending = true
	if !n.running && n.ctx.Err() == nil && (n.others || time.Since(n.asked) >= asking) {
		n.running = true
		n.ended.Go(n.send)
	}
}

// send announces until there is nothing more to announce, or nobody to hear it.
func (n *news) send() {
	for n.next() {
		// What fails here is found by looking.
		_, _ = n.b.reserve.Exec(n.ctx, n.announcement, n.channel)
		pause(n.ctx, gap)
	}
}

// next reports whether there is something to announce, and somebody to hear it. If not, send is over.
func (n *news) next() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now := time.Now(); now.Sub(n.asked) >= asking {
		n.mu.Unlock()
		var others bool
		// If that fails, an announcement would, too.
		err := n.b.reserve.QueryRow(n.ctx, n.b.sql(`SELECT EXISTS (SELECT 1 FROM @listeners WHERE id <> $1 AND until > clock_timestamp())`), n.id).Scan(&others)
		n.mu.Lock()
		n.asked, n.others = now, others && err == nil
	}
	if !n.pending || !n.others || n.ctx.Err() != nil {
		n.running = false
		return false
	}
	n.pending = false
	return true
}

// listen begins to listen, once.
func (n *news) listen() {
	if n.direct {
		n.begin.Do(func() { n.ended.Go(n.hear) })
	}
}

// hear wakes whoever waits at each announcement, on a connection of its own, and on another one when that is lost.
func (n *news) hear() {
	const least, most = 50 * time.Millisecond, 5 * time.Second
	for wait := least; n.ctx.Err() == nil; wait = min(2*wait, most) {
		if n.connect() {
			wait = least
		}
		pause(n.ctx, wait)
	}
}

// connect listens until the connection is lost, and reports whether it came so far.
func (n *news) connect() bool {
	pooled, err := n.b.reserve.Acquire(n.ctx)
	if err != nil {
		return false
	}
	conn := pooled.Hijack()
	defer n.disconnect(conn)
	if _, err := conn.Exec(n.ctx, "LISTEN "+pgx.Identifier{n.channel}.Sanitize()); err != nil {
		return false
	}
	defer n.heard.Store(false)
	for {
		if _, err := conn.Exec(n.ctx, n.b.sql(`WITH gone AS (DELETE FROM @listeners WHERE until < clock_timestamp() AND id <> $1)
			INSERT INTO @listeners VALUES ($1, clock_timestamp() + 3 * $2::interval) ON CONFLICT (id) DO UPDATE SET until = excluded.until`), n.id, renewal); err != nil {
			return true
		}
		if !n.attend(conn) {
			return true
		}
	}
}

// disconnect spares others from announcing what nobody hears. If that fails, they will find out.
func (n *news) disconnect(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(n.ctx), time.Second)
	defer cancel()
	_, _ = conn.Exec(ctx, n.b.sql(`DELETE FROM @listeners WHERE id = $1`), n.id)
	_ = conn.Close(ctx)
}

// attend wakes whoever waits at each announcement, until it is time to renew, and reports false if the connection is
// lost.
func (n *news) attend(conn *pgx.Conn) bool {
	ctx, cancel := context.WithTimeout(n.ctx, renewal)
	defer cancel()
	for {
		n.heard.Store(true)
		n.b.wake.Fire() // also for what was announced before
		word, err := conn.WaitForNotification(ctx)
		if err != nil {
			return errors.Is(err, context.DeadlineExceeded) && !conn.IsClosed()
		}
		p, err := parsePulse(word.Payload)
		if err != nil {
			n.b.known.changed() // whoever that was, it may be that something has
			continue
		}
		n.b.known.reached(p)
	}
}

// parsePulse reads what an announcement says.
func parsePulse(text string) (p eventstore.Pulse, err error) {
	fields := strings.Fields(text)
	if len(fields) != 3 {
		return p, fmt.Errorf("an announcement of %d numbers", len(fields))
	}
	for i, to := range []*int64{(*int64)(&p.Head), &p.Roster, &p.Window} {
		if *to, err = strconv.ParseInt(fields[i], 10, 64); err != nil {
			return p, err
		}
	}
	return p, nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
