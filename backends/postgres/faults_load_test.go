package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
)

// A load is many writers in several processes, and readers in this process and another. They go on whatever happens,
// and in the end everything is compared. Its methods are for the test's goroutine.
type load struct {
	*testing.T
	cfg      loadConfig
	journals string            // a directory
	store    *eventstore.Store // past every fault of the network
	writers  []*child
	readers  *child
	end      chan eventstore.Position // of the reader in this process
	running  sync.WaitGroup           // whoever listens to a child, and the reader

	mu      sync.Mutex
	changed chan struct{} // closed, and made anew, with every change of what follows
	told    []told
	acked   map[[2]int]bool // by writer and commit
	unknown int
	refused int
	tails   map[string]*tail
	through map[string]eventstore.Position
	failed  map[string]int // reads and waits, by what they failed with
	faults  []string
}

// loadConfig says what a load works on. Commits are of each of 16 writers.
type loadConfig struct {
	dsn     string // the log's database
	through string // likewise, for the processes that the fault is to hit. Defaults to dsn
	commits int
	calm    bool // nothing may fail, not even for a while
}

// startLoad returns when all processes are connected and have begun.
func startLoad(t *testing.T, cfg loadConfig) *load {
	t.Helper()
	if cfg.through == "" {
		cfg.through = cfg.dsn
	}
	l := &load{
		T: t, cfg: cfg, journals: t.TempDir(), store: openStore(t, cfg.dsn), end: make(chan eventstore.Position, 1), changed: make(chan struct{}),
		acked: map[[2]int]bool{}, tails: map[string]*tail{}, through: map[string]eventstore.Position{}, failed: map[string]int{},
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() {
		cancel()
		for _, c := range append(slices.Clone(l.writers), l.readers) {
			c.kill()
		}
		l.running.Wait()
	})
	far := []watch{
		{Name: "all, few at once", Items: []eventstore.Item{{}}, Limit: 7},
		{Name: "a type", Items: []eventstore.Item{{Types: []string{rare}}}},
		{Name: "a tag", Items: []eventstore.Item{{Tags: []string{"hot"}}}, Limit: 3},
		{Name: "a category", Items: []eventstore.Item{{Category: "own"}}},
		{Name: "a stream", Items: []eventstore.Item{{Stream: "shared-1"}}},
	}
	near := watch{Name: "all", Items: []eventstore.Item{{}}}
	for _, w := range append(far, near) {
		l.tails[w.Name] = &tail{name: w.Name, query: w.query()}
	}
	l.readers = spawn(t, "readers", readersConfig{cfg.through, far})
	for i := range loadProcesses {
		l.writers = append(l.writers, l.spawnWriters(i))
	}
	l.readers.must(&report{})
	l.running.Go(func() { l.listenReaders() })
	l.running.Go(func() {
		if err := follow(ctx, l.store, near, l.end, func(r report) error { l.report(r); return nil }); err != nil {
			l.Error(err)
		}
	})
	for _, c := range l.writers {
		l.begin(c)
	}
	return l
}

// spawnWriters starts a process of writers. One with a journal of the past goes on where that ends.
func (l *load) spawnWriters(i int) *child {
	l.Helper()
	journal := filepath.Join(l.journals, strconv.Itoa(i))
	return spawn(l.T, "writers", writersConfig{l.cfg.through, i * loadWriters, l.cfg.commits, journal})
}

// begin lets a process of writers begin, and listens to it until it ends.
func (l *load) begin(c *child) {
	l.Helper()
	for {
		var said json.RawMessage
		if c.must(&said); string(said) == `"connected"` {
			break
		}
		var past told // of its journal: some of it may have been lost on the way here
		if err := json.Unmarshal(said, &past); err != nil {
			l.Fatal(err)
		}
		l.acknowledge(past)
	}
	c.tell("begin")
	l.running.Go(func() {
		for {
			var t told
			if !c.hear(&t) {
				return
			}
			l.acknowledge(t)
		}
	})
}

// change makes a change that others may wait for.
func (l *load) change(apply func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	apply()
	close(l.changed)
	l.changed = make(chan struct{})
}

// acknowledge keeps what a writer was told, if it was told anything. It may come twice.
func (l *load) acknowledge(t told) {
	if !t.Known {
		return
	}
	l.change(func() {
		l.told = append(l.told, t)
		if l.acked[[2]int{t.Writer, t.Commit}] {
			return
		}
		l.acked[[2]int{t.Writer, t.Commit}] = true
		l.unknown, l.refused = l.unknown+t.Unknown, l.refused+t.Refused
		if t.Fault != "" {
			l.faults = append(l.faults, fmt.Sprintf("writer %d, commit %d: %s", t.Writer, t.Commit, t.Fault))
		}
	})
}

func (l *load) listenReaders() {
	for {
		var r report
		if !l.readers.hear(&r) {
			return
		}
		l.report(r)
	}
}

func (l *load) report(r report) {
	l.change(func() {
		l.through[r.Name] = max(l.through[r.Name], r.Through)
		l.tails[r.Name].seen = append(l.tails[r.Name].seen, r.Seen...)
		if r.Failed != "" {
			l.failed[r.Failed]++
		}
		if r.Fault != "" {
			l.faults = append(l.faults, fmt.Sprintf("reader %s: %s", r.Name, r.Fault))
		}
	})
}

// until returns when what it is asked for holds. It is asked again after every change.
func (l *load) until(what string, holds func() bool) {
	l.Helper()
	late := time.After(patience)
	for {
		l.mu.Lock()
		done, changed, faults := holds(), l.changed, l.faults
		state := fmt.Sprintf("%d of %d commits are acknowledged, readers stand at %v", len(l.acked), l.all(), l.through)
		l.mu.Unlock()
		switch {
		case len(faults) > 0:
			l.Fatalf("waiting for %s: %v", what, faults)
		case done:
			return
		}
		select {
		case <-changed:
		case <-late:
			l.Fatalf("waited %v for %s: %s; failures: %v", patience, what, state, l.failed)
		}
	}
}

func (l *load) all() int { return loadAllWriters * l.cfg.commits }

// reach returns when so many hundredths of the load are acknowledged.
func (l *load) reach(percent int) {
	l.Helper()
	l.until(fmt.Sprintf("%d %% of the commits", percent), func() bool { return len(l.acked)*100 >= l.all()*percent })
}

// over reports whether every commit is acknowledged.
func (l *load) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked) >= l.all()
}

// finish waits for writers and readers to come to their ends, checks everything, and logs it with what the fault was.
func (l *load) finish(fault string, args ...any) {
	l.Helper()
	l.reach(100)
	head, err := l.store.Head(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	l.end <- head
	l.readers.tell(head)
	for name := range l.tails {
		l.until("the reader of "+name, func() bool { return l.through[name] >= head })
	}
	l.running.Wait()
	for _, c := range append(slices.Clone(l.writers), l.readers) {
		if err := c.wait(); err != nil && !c.killed {
			l.Error(err)
		}
	}
	r := record{writers: loadAllWriters, commits: l.cfg.commits, told: l.told}
	for e, err := range l.store.Read(l.Context(), eventstore.All(), eventstore.Range{}) {
		if err != nil {
			l.Fatal(err)
		}
		r.log = append(r.log, e)
	}
	for _, tail := range l.tails {
		r.tails = append(r.tails, *tail)
	}
	l.judge(&r, fmt.Sprintf(fault, args...))
}

func (l *load) judge(r *record, fault string) {
	l.Helper()
	v := r.check()
	v.report(l.T)
	failed := 0
	for text, n := range l.failed {
		if failed += n; l.cfg.calm {
			l.Errorf("%d reads or waits failed with %s", n, text)
		}
	}
	l.Logf("fault: %s; %d commits of %d writers in %d processes, %d outcomes were unknown, %d were refused for the moment, %d reads failed; "+
		"the log holds %d events; %v",
		fault, len(l.acked), r.writers, loadProcesses, l.unknown, l.refused, failed, len(r.log), v)
}

// openStore opens a store on a database, for as long as the test lasts.
func openStore(t *testing.T, dsn string) *eventstore.Store {
	t.Helper()
	s, err := postgres.OpenPool(t.Context(), pool(t, dsn), postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
