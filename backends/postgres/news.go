package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// news carries the word between processes that something was committed, by NOTIFY and LISTEN. It is only a help: what
// gets lost is found by looking. An announcement is a transaction of its own, after the commit and without a flush:
// within the commit, it would hold a lock of the whole server through the flush. Behind a pooler that gives a
// connection to others between transactions, which shows by the mode of execution, nobody listens.
type news struct {
	b       *Backend
	channel string
	direct  bool        // connections are this process's own
	heard   atomic.Bool // somebody listens, and will hear

	ctx    context.Context //nolint:containedctx // ends with the backend, which calls do not
	cancel context.CancelFunc
	ended  sync.WaitGroup
	begin  sync.Once // of listening

	mu      sync.Mutex
	pending bool // something is to be announced
	running bool // somebody is at it
}

// gap is how long after an announcement the next one waits for more.
const gap = 2 * time.Millisecond

func (n *news) init(b *Backend, schema string) {
	sum := sha256.Sum256([]byte(schema))
	n.b, n.channel = b, "necrostack_"+hex.EncodeToString(sum[:12])
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

// announce has it announced that something was committed. It does not wait for that.
func (n *news) announce() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pending = true
	if !n.running && n.ctx.Err() == nil {
		n.running = true
		n.ended.Go(n.send)
	}
}

// send announces until there is nothing more to announce.
func (n *news) send() {
	for {
		n.mu.Lock()
		if !n.pending || n.ctx.Err() != nil {
			n.running = false
			n.mu.Unlock()
			return
		}
		n.pending = false
		n.mu.Unlock()
		// What fails here is found by looking.
		_, _ = n.b.reserve.Exec(n.ctx, "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, '')", n.channel)
		pause(n.ctx, gap)
	}
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
		if n.attend() {
			wait = least
		}
		pause(n.ctx, wait)
	}
}

// attend listens until the connection is lost, and reports whether it came so far.
func (n *news) attend() bool {
	pooled, err := n.b.reserve.Acquire(n.ctx)
	if err != nil {
		return false
	}
	conn := pooled.Hijack()
	defer conn.Close(context.WithoutCancel(n.ctx)) //nolint:errcheck // it is of no use any more
	if _, err := conn.Exec(n.ctx, "LISTEN "+pgx.Identifier{n.channel}.Sanitize()); err != nil {
		return false
	}
	n.heard.Store(true)
	defer n.heard.Store(false)
	for {
		n.b.wake.Fire() // also for what was announced before
		if _, err := conn.WaitForNotification(n.ctx); err != nil {
			return true
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
