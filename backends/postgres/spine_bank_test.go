package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/spine"
)

// bankAccounts is how many accounts there are: enough for every partition of an organ to have some.
const bankAccounts = 40

// A bank is a log that workers share, as the test sees it.
type bank struct {
	*testing.T

	ctx      context.Context
	dsn      string
	pool     *pgxpool.Pool
	store    *eventstore.Store
	mu       sync.Mutex
	deposits []deposit // that were posted, in order
}

// banks are how many may be open at once. The processes of each want the whole machine, and with too many of them none
// keeps its leases.
var banks = make(chan struct{}, 2)

// openBank opens a log in a database. Its patience begins once it is its turn.
func openBank(t *testing.T, dsn string) *bank {
	t.Helper()
	banks <- struct{}{}
	t.Cleanup(func() { <-banks })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	b := &bank{T: t, ctx: ctx, dsn: dsn, pool: pool(t, dsn)}
	store, err := postgres.OpenPool(ctx, b.pool, postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	b.store = store
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// until waits for what nothing announces.
func (b *bank) until(what string, is func() bool) {
	b.Helper()
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-b.ctx.Done():
			b.Fatalf("it never came to this: %s; there are %s", what, b.progress())
		}
	}
}

// progress says how far the organs are, and who works them.
func (b *bank) progress() string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), 10*time.Second)
	defer cancel()
	var text strings.Builder
	for _, q := range []string{
		"SELECT type, count(*)::text FROM necrostack.events GROUP BY 1 ORDER BY 1",
		"SELECT 'parked for ' || consumer, count(*)::text FROM necrostack.parked GROUP BY 1 ORDER BY 1",
		"SELECT 'deliveries of ' || consumer || ', held: ' || held, count(*)::text FROM necrostack.deliveries GROUP BY 1 ORDER BY 1",
		"SELECT 'checkpoint of ' || consumer, min(position) || ' … ' || max(position) FROM necrostack.checkpoints GROUP BY 1 ORDER BY 1",
		"SELECT 'member ' || id || ' lives', (expires > clock_timestamp())::text FROM necrostack.members ORDER BY 1",
		"SELECT consumer || ' by ' || coalesce(owner, 'nobody'), string_agg(partition || '@' || epoch, ' ' ORDER BY partition) FROM necrostack.partitions GROUP BY 1 ORDER BY 1",
	} {
		rows, err := b.pool.Query(ctx, q)
		if err != nil {
			return err.Error()
		}
		var what, n string
		if _, err := pgx.ForEachRow(rows, []any{&what, &n}, func() error {
			_, err := fmt.Fprintf(&text, "%s: %s; ", what, n)
			return err
		}); err != nil {
			return err.Error()
		}
	}
	return text.String()
}

// post puts n commands into the log. What is not known to be there is sent again.
func (b *bank) post(n int) {
	b.Helper()
	for range n {
		b.mu.Lock()
		c := deposit{Account: len(b.deposits) % bankAccounts, N: len(b.deposits)}
		b.deposits = append(b.deposits, c)
		b.mu.Unlock()
		commit := eventstore.Commit{Appends: []eventstore.Append{posted(c)}}
		for {
			_, err := b.store.Commit(b.ctx, commit)
			if err == nil {
				break
			}
			if b.ctx.Err() != nil {
				b.Errorf("post: %v", err)
				return
			}
			time.Sleep(20 * time.Millisecond) // the server is down
		}
	}
}

// posting posts commands until it is stopped, so many a second that there is always something to do, and as long as the
// workers are not too far behind.
func (b *bank) posting() (stop func()) {
	const batch, every, ahead = 10, 40 * time.Millisecond, 200
	ended := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for noted := 0; ; {
			select {
			case <-ended:
				return
			case <-b.ctx.Done():
				return
			case <-tick.C:
			}
			if len(b.deposits) < noted+ahead {
				b.post(batch)
			} else {
				noted = b.count("noted")
			}
		}
	})
	return sync.OnceFunc(func() {
		close(ended)
		writer.Wait()
	})
}

// posted is a command's event, as spine.Post makes it.
func posted(c deposit) eventstore.Append {
	data, err := json.Marshal(c)
	if err != nil {
		panic(err) // it has two numbers
	}
	id := uuid.Must(uuid.NewV7())
	return eventstore.Append{
		Stream: eventstore.StreamOf("command", id.String()),
		Events: []eventstore.Event{{ID: uuid.Must(uuid.NewV7()), Type: c.CommandType(), Data: data}},
	}
}

// count is how many events of a type there are, or 0 if that cannot be told just now.
func (b *bank) count(typ string) (n int) {
	if err := b.pool.QueryRow(b.ctx, "SELECT count(*) FROM necrostack.events WHERE type = $1", typ).Scan(&n); err != nil {
		return 0
	}
	return n
}

// at reports whether a consumer has come to the head of the log.
func (b *bank) at(consumer string) bool {
	head, err := b.store.Head(b.ctx)
	if err != nil {
		return false // next time
	}
	r, err := b.store.Roster(b.ctx, consumer)
	return err == nil && len(r.Partitions) > 0 && r.Position() >= head
}

// settle waits until everything that was posted has led to what it should, and compares all of it with what comes out
// if nothing is disturbed.
func (b *bank) settle() {
	b.Helper()
	n := len(b.deposits)
	b.until(fmt.Sprintf("%d deposits are noted, mailed and in the ledgers", n), func() bool {
		return b.count("noted") >= n && b.count("mailed") >= n && b.at("ledgers_v1")
	})
	want, got := undisturbed(b.T, b.deposits), state(b.T, b.store)
	for _, s := range slices.Sorted(maps.Keys(want)) {
		if !slices.Equal(got[s], want[s]) {
			b.Errorf("%s has %v, want %v", s, got[s], want[s])
		}
	}
	if len(got) != len(want) {
		b.Errorf("%d streams and ledgers, want %d", len(got), len(want))
	}
	if replies := b.count("command accepted"); replies != n {
		b.Errorf("%d commands were accepted %d times", n, replies)
	}
	for p, err := range b.store.Parked(b.ctx, eventstore.ParkedFilter{}) {
		b.Errorf("parked: %+v, %v", p, err)
	}
}

// undisturbed is what becomes of deposits in one process that nobody disturbs.
func undisturbed(t *testing.T, deposits []deposit) map[string][]int {
	t.Helper()
	store := memory.Open(memory.Config{})
	for _, c := range deposits {
		if _, err := store.Commit(t.Context(), eventstore.Commit{Appends: []eventstore.Append{posted(c)}}); err != nil {
			t.Fatal(err)
		}
	}
	sp, err := spine.New(store, spine.Config{MaxSteps: -1, Logger: slog.New(slog.DiscardHandler)}, shape{}.organs(false)...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sp.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	return state(t, store)
}

// state is the numbers in each stream of an account, a clerk or a mailer, and in each ledger. Mails come in any order,
// and are sorted.
func state(t *testing.T, store *eventstore.Store) map[string][]int {
	t.Helper()
	all := map[string][]int{}
	for e, err := range store.Read(t.Context(), eventstore.OfType("deposited", "noted", "mailed"), eventstore.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		var number struct{ N int }
		if err := json.Unmarshal(e.Data, &number); err != nil {
			t.Fatal(err)
		}
		all[string(e.Stream)] = append(all[string(e.Stream)], number.N)
	}
	for s, numbers := range all {
		if strings.HasPrefix(s, "mail-") {
			slices.Sort(numbers)
		}
	}
	for l, err := range (shape{}).ledgers().Rows(store).List(t.Context(), projections.Page[ledger]{}) {
		if err != nil {
			t.Fatal(err)
		}
		if all["ledger of "+l.Key] = l.Row.Numbers; l.Row.Deposits != len(l.Row.Numbers) {
			t.Errorf("the ledger of %s counts %d deposits, and has %v", l.Key, l.Row.Deposits, l.Row.Numbers)
		}
	}
	return all
}

// A worker is a process that runs the organs.
type worker struct {
	*child

	config workerConfig
	heard  chan struct{} // closed when it has said its last
	mu     sync.Mutex
	lanes  map[string]int
	failed int64 // attempts
	said   []workerReport

	started time.Time
	upAfter time.Duration // 0 if it is not up yet
}

// start starts a worker on the bank's log.
func (b *bank) start(c workerConfig) *worker {
	b.Helper()
	if c.DSN == "" {
		c.DSN = b.dsn
	}
	w := &worker{child: spawn(b.T, "worker", c), config: c, heard: make(chan struct{}), lanes: map[string]int{}, started: time.Now()}
	b.Cleanup(func() { // after it has ended
		if w.mu.Lock(); b.Failed() {
			b.Logf("process %d: partitions %v, reports %+v, errors %s", w.pid(), w.lanes, w.said, w.errors.String())
		}
		w.mu.Unlock()
	})
	go w.listen()
	return w
}

func (w *worker) listen() {
	defer close(w.heard)
	for {
		var r workerReport
		if !w.hear(&r) {
			return
		}
		w.mu.Lock()
		if r.Lanes != nil {
			w.lanes, w.failed = r.Lanes, r.Failed
		} else {
			w.said = append(w.said, r)
		}
		if r.Up {
			w.upAfter = time.Since(w.started)
		}
		w.mu.Unlock()
	}
}

// works is how many partitions of an organ the worker has.
func (w *worker) works(organ string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lanes[organ]
}

// reported returns the first report that is as asked for.
func (w *worker) reported(is func(workerReport) bool) (workerReport, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.IndexFunc(w.said, is); i >= 0 {
		return w.said[i], true
	}
	return workerReport{}, false
}

func (w *worker) signal(s syscall.Signal) {
	w.tb.Helper()
	if err := w.cmd.Process.Signal(s); err != nil {
		w.tb.Errorf("%v to process %d: %v", s, w.pid(), err)
	}
}

// crash ends the worker by SIGKILL.
func (w *worker) crash() {
	w.tb.Helper()
	w.signal(syscall.SIGKILL)
	<-w.heard
	w.wait() //nolint:errcheck // it was killed
}

// stop has the worker end in good order.
func (w *worker) stop() {
	w.tb.Helper()
	w.signal(syscall.SIGTERM)
	w.leave()
}

// leave waits for the end of a worker that was told to end. One that does not end shows where it hangs.
func (w *worker) leave() {
	w.tb.Helper()
	select {
	case <-w.heard:
	case <-time.After(patience):
		w.tb.Errorf("process %d has not ended %v after it was told to", w.pid(), patience)
		w.signal(syscall.SIGQUIT)
		<-w.heard
	}
	if err := w.wait(); err != nil {
		w.tb.Error(err)
	}
}

// share waits until the workers have all partitions of the accounts and the clerk between them, each the same number or
// one more.
func (b *bank) share(workers ...*worker) {
	b.Helper()
	for _, organ := range []string{"account", "clerk"} {
		b.until(fmt.Sprintf("%d processes share the %s's partitions evenly", len(workers), organ), func() bool {
			least, most, sum := 1<<20, 0, 0
			for _, w := range workers {
				n := w.works(organ)
				least, most, sum = min(least, n), max(most, n), sum+n
			}
			partitions := workers[0].config.Partitions
			if partitions == 0 {
				partitions = 16
			}
			return sum == partitions && most-least <= 1
		})
	}
}
