package viewtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/spine"
	"github.com/necrostack/necrostack/spine/spinetest"
)

// watcher is a watch that runs, and what it has told.
type watcher[Row any] struct {
	mu      sync.Mutex
	changes []projections.Change[Row]
	err     error
}

// watching watches until stop, or until the test ends. It has begun when there is a read more of the log.
func watching[Row any](t *spinetest.Trial, tap *spinetest.Tap, rows projections.Rows[Row], options ...projections.WatchOption) (w *watcher[Row], stop func()) {
	t.Helper()
	w = &watcher[Row]{}
	ctx, cancel := context.WithCancel(t.Ctx)
	ended, reads := make(chan struct{}), tap.Reads.Load()
	go func() {
		defer close(ended)
		for c, err := range rows.Watch(ctx, options...) {
			w.mu.Lock()
			if w.err = err; err == nil {
				w.changes = append(w.changes, c)
			}
			w.mu.Unlock()
		}
	}()
	stop = func() {
		t.Helper()
		cancel()
		<-ended
		if !errors.Is(w.err, context.Canceled) {
			t.Errorf("the watch ended with %v", w.err)
		}
	}
	t.Until("it watches", func() bool { return tap.Reads.Load() > reads || w.fails() })
	return w, stop
}

func (w *watcher[Row]) fails() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err != nil
}

// told returns what was told so far.
func (w *watcher[Row]) told() []projections.Change[Row] {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.changes)
}

// until waits for a change, or for an error.
func (w *watcher[Row]) until(t *spinetest.Trial, what string, is func(c projections.Change[Row]) bool) {
	t.Helper()
	t.Until(what, func() bool { return w.fails() || slices.ContainsFunc(w.told(), is) })
}

// states is what a reader of changes has in the end.
func states[Row any](changes []projections.Change[Row]) map[string]Row {
	rows := map[string]Row{}
	for _, c := range changes {
		if c.Row == nil {
			delete(rows, c.Key)
		} else {
			rows[c.Key] = *c.Row
		}
	}
	return rows
}

func watches(t *spinetest.Trial) {
	random, view := rand.New(rand.NewPCG(9, 9)), balances()
	if err := oneError(view.Rows(t.Store).Watch(t.Ctx)); !errors.Is(err, eventstore.ErrNoRows) {
		t.Errorf("of a view that never ran: %v", err)
	}
	script(t, random, 50)
	t.Start(t.Spine(t.Open(t.Tap()), spine.Config{MaxSteps: -1}, view))
	t.Done("balances_v1")
	tap := t.Tap()
	rows := view.Rows(t.Open(tap)) // as another process
	whole, stopWhole := watching(t, tap, rows, projections.After(0))
	later, stopLater := watching(t, tap, rows)
	some, stopSome := watching(t, tap, rows, projections.OfKeys("a1"), projections.OfKeys("a2", "nobody"))
	from := t.Head()
	for range 4 {
		script(t, random, 60)
		t.Done("balances_v1")
	}
	moves(t, "transfer-1", 1, 7)
	last := func(c projections.Change[balance]) bool { return c.Position >= t.Head() && c.Resume >= t.Head() }
	whole.until(t, "all is told", last)
	later.until(t, "all is told", last)
	if _, err := t.Store.Append(t.Ctx, "transfer-1", eventstore.Any, moved{"a1", "a2", 5}); err != nil {
		t.Fatal(err)
	}
	some.until(t, "some is told", func(c projections.Change[balance]) bool { return c.Key == "a2" && last(c) })
	whole.until(t, "all is told", last)
	later.until(t, "all is told", last)
	stopWhole()
	stopLater()
	stopSome()

	events := t.Events(eventstore.All())
	Add(t, &Compared{}, "watched from the beginning", oracle(t, events), states(whole.told()))
	all, before := oracle(t, events), oracle(t, events[:from])
	for key, row := range all { // what did not change since
		if old, was := before[key]; was && cmp.Equal(old, row, noBytes) {
			delete(all, key)
		}
	}
	Add(t, &Compared{}, "watched from then on", all, states(later.told()))
	for _, c := range some.told() {
		if c.Key != "a1" && c.Key != "a2" {
			t.Errorf("%s was told, who is not watched", c.Key)
		}
	}
}

// oneError returns the error that a watch ends with.
func oneError[Row any](changes func(func(projections.Change[Row], error) bool)) (last error) {
	changes(func(_ projections.Change[Row], err error) bool {
		last = err
		return err == nil
	})
	return last
}

// watchResumes watches a few changes at a time, each time from where it was before.
func watchResumes(t *spinetest.Trial) {
	random, view := rand.New(rand.NewPCG(10, 10)), balances()
	script(t, random, 100)
	payloads := make([]eventstore.Payload, 800) // more rows than are told at once, and pairs of them by one event
	for i := range payloads {
		payloads[i] = moved{fmt.Sprint("b", i), fmt.Sprint("c", random.IntN(800)), int64(i)}
	}
	if _, err := t.Store.Append(t.Ctx, "transfer-1", eventstore.Any, payloads...); err != nil {
		t.Fatal(err)
	}
	t.Drain(t.Spine(t.Store, spine.Config{MaxSteps: -1}, view))
	rows, want := view.Rows(t.Store), oracle(t, t.Events(eventstore.All()))
	var told []projections.Change[balance]
	at, sessions := eventstore.Position(0), 0
	for ; at < t.Head(); sessions++ {
		most := 1 + random.IntN(100)
		for c, err := range rows.Watch(t.Ctx, projections.After(at)) {
			if err != nil {
				t.Fatal(err)
			}
			if c.Resume < at || c.Position < c.Resume {
				t.Fatalf("a change after %d is as of %d, and to be resumed after %d", at, c.Position, c.Resume)
			}
			told, at = append(told, c), c.Resume
			if most--; most == 0 || at == t.Head() {
				break
			}
		}
	}
	Add(t, &Compared{}, "watched a little at a time", want, states(told))
	if sessions < 10 || len(told) > 2*len(want) {
		t.Errorf("in %d sessions %d changes were told of %d rows", sessions, len(told), len(want))
	}
}

// watchSwitches watches while a new version takes over, and the old one takes back.
func watchSwitches(t *spinetest.Trial) {
	run := func(version int) (stop func() error) {
		return t.Start(t.Spine(t.Open(t.Tap()), spine.Config{}, shown(version)))
	}
	count(t, "count-old", 1)
	stopOne := run(1)
	t.Until("version 1 is complete", func() bool { return serving(t) == 1 && complete(t, "shown", 1) })
	tap := t.Tap()
	w, stop := watching(t, tap, shown(1).Rows(t.Open(tap)))
	number := int64(0)
	more := func(version int) {
		t.Helper()
		for range 8 {
			number++
			count(t, "count-k", number)
		}
		w.until(t, fmt.Sprintf("version %d tells it", version), func(c projections.Change[shows]) bool {
			return c.Key == "k" && c.Row.Count == number && c.Row.Made == version
		})
	}
	more(1)
	stopTwo := run(2)
	t.Until("version 2 serves", func() bool { return serving(t) == 2 })
	_ = stopOne() // it would never do any more
	more(2)
	stopOne = run(1)
	if err := projections.Serve(t.Ctx, t.Store, "shown", 1); err != nil {
		t.Fatal(err)
	}
	_ = stopTwo()
	more(1)
	_ = stopOne()
	number++
	count(t, "count-k", number) // nobody does it, until the other version serves again
	stopTwo = run(2)
	if err := projections.Serve(t.Ctx, t.Store, "shown", 2); err != nil {
		t.Fatal(err)
	}
	more(2)
	stop()
	_ = stopTwo()
	told := w.told()
	for i := range told {
		if i > 0 && told[i].Row.Count < told[i-1].Row.Count {
			t.Errorf("after %+v came %+v", told[i-1].Row, told[i].Row)
		}
	}
}

// watchParked watches a row whose event is parked, redriven, and discarded.
func watchParked(t *spinetest.Trial) {
	broken := true
	view := fragile(&broken)
	count(t, "count-a", 1)
	sp := t.Spine(t.Store, spine.Config{MaxSteps: -1}, view)
	t.Drain(sp)
	tap := t.Tap()
	w, stop := watching(t, tap, view.Rows(t.Open(tap)))
	is := func(key string, total int64) {
		t.Helper()
		w.until(t, fmt.Sprint(key, " is ", total), func(c projections.Change[sum]) bool { return c.Key == key && c.Row.Sum == total })
	}
	count(t, "count-b", 3)
	count(t, "count-a", 5, 2) // what the watch waits for is itself parked
	t.Drain(sp)
	is("a", 1)
	is("b", 3)
	broken = false
	if _, err := t.Store.Redrive(t.Ctx, eventstore.ParkedFilter{Consumer: "sums_v1"}); err != nil {
		t.Fatal(err)
	}
	t.Drain(sp)
	is("a", 8) // though there is nothing new in the log
	stop()
}

// resetting is a connection whose view is reset when rows are about to be read.
type resetting struct {
	*spinetest.Tap

	once sync.Once
	act  func()
}

// LoadRows implements eventstore.RowReader.
func (r *resetting) LoadRows(ctx context.Context, set eventstore.RowSet, keys []string) ([]eventstore.Row, error) {
	if len(keys) > 0 {
		r.once.Do(r.act)
	}
	return r.Tap.LoadRows(ctx, set, keys)
}

// watchReset resets a view while a watch is about to read what an event has changed.
func watchReset(t *spinetest.Trial) {
	view := shown(1)
	count(t, "count-k", 1, 2)
	sp := t.Spine(t.Store, spine.Config{}, view)
	t.Drain(sp)
	r := &resetting{Tap: t.Tap()}
	var gone atomic.Bool
	r.act = func() {
		if err := t.Store.Reset(t.Ctx, "shown_v1", 0); err != nil {
			t.Error(err)
		}
		gone.Store(true)
	}
	w, stop := watching(t, r.Tap, view.Rows(t.Open(r)), projections.After(1))
	t.Until("the view is reset", gone.Load)
	t.Drain(sp)
	w.until(t, "it is told", func(projections.Change[shows]) bool { return true })
	stop()
	for _, c := range w.told() {
		if c.Row == nil || c.Row.Count != 2 {
			t.Errorf("a change is %+v, of a row that was not there for a moment", c.Row)
		}
	}
}

// watchWaits has the view paused, and the log away.
func watchWaits(t *spinetest.Trial) {
	view := shown(1)
	count(t, "count-k", 1)
	stop := t.Start(t.Spine(t.Open(t.Tap()), spine.Config{Lease: 100 * time.Millisecond}, view))
	t.Done("shown_v1")
	tap := t.Tap()
	var away, refused atomic.Bool
	tap.OnCall = func() error {
		if away.Load() {
			refused.Store(true)
			return eventstore.ErrUnavailable
		}
		return nil
	}
	w, end := watching(t, tap, view.Rows(t.Open(tap)))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(t.Store.Pause(t.Ctx, "shown_v1"))
	away.Store(true)
	count(t, "count-k", 2)
	t.Until("the log was away", refused.Load)
	away.Store(false)
	reads := tap.Reads.Load()
	t.Until("it reads again", func() bool { return tap.Reads.Load() > reads || w.fails() })
	if told := w.told(); len(told) > 0 {
		t.Errorf("while the view was paused: %+v", told)
	}
	must(t.Store.Resume(t.Ctx, "shown_v1"))
	w.until(t, "it goes on", func(c projections.Change[shows]) bool { return c.Key == "k" && c.Row.Count == 2 })
	end()
	_ = stop()
}
