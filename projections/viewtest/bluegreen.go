package viewtest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/spine"
	"github.com/necrostack/necrostack/spine/spinetest"
)

// shows is a row that shows which version has made it.
type shows struct {
	Count int64
	Made  int `view:",index"`
}

func shown(version int) projections.View[shows] {
	return projections.View[shows]{
		Name: "shown", Version: version, Policy: spine.Policy{Partitions: 4},
		On: projections.Folds[shows]{projections.On(func(t *shows, _ counted) { t.Count++; t.Made = version })},
	}
}

// BlueGreen replaces a version of a view by another while others write and read, goes back and forth, and drops the old
// one. It logs what was done and seen.
func BlueGreen(t *testing.T, h spinetest.Harness) {
	t.Helper()
	trial := spinetest.NewTrial(t, h)
	one, two := shown(1), shown(2)
	for range 60 {
		var events []eventstore.Event
		for n := range 50 {
			events = append(events, spinetest.Event(fmt.Sprint("count-old", n), "counted", n))
		}
		trial.Put(events...)
	}
	run := func(view spine.Organ) (stop func() error) {
		return trial.Start(trial.Spine(trial.Open(trial.Tap()), spine.Config{}, view))
	}
	end := func(stop func() error) {
		t.Helper()
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
	stopOne := run(one)
	trial.Until("version 1 is complete", func() bool { return serving(trial) == 1 && complete(trial, "shown", 1) })

	live := startTraffic(trial, one, two)
	live.more()
	live.change(2)
	stopTwo := run(two)
	trial.Until("version 2 serves", func() bool { return serving(trial) == 2 })
	live.more()

	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	inUse := func(version int, why string) {
		t.Helper()
		if err := projections.Drop(trial.Ctx, trial.Store, "shown", version); !errors.Is(err, eventstore.ErrInUse) {
			t.Errorf("drop version %d, which %s: %v", version, why, err)
		}
	}
	inUse(1, "a process runs")
	live.change(1)
	must(projections.Serve(trial.Ctx, trial.Store, "shown", 1))
	live.more()
	end(stopTwo)
	inUse(1, "serves")
	stopTwo = run(two) // it has been complete before, so it does not take over by itself
	live.more()
	if v := serving(trial); v != 1 {
		t.Errorf("version %d serves, after somebody has gone back to 1", v)
	}
	live.change(2)
	must(projections.Serve(trial.Ctx, trial.Store, "shown", 2))
	end(stopOne)
	must(projections.Drop(trial.Ctx, trial.Store, "shown", 1))
	live.more()
	live.end()
	end(stopTwo)
	if versions, err := projections.Versions(trial.Ctx, trial.Store, "shown"); err != nil || len(versions) != 1 {
		t.Errorf("versions are %+v, %v", versions, err)
	}
	rows, differ := live.compare()
	t.Logf("%d events written and %d rows read meanwhile (%d of version 1, %d of version 2); %d rows compared, differing keys: %d",
		live.written.Load(), live.read[1].Load()+live.read[2].Load(), live.read[1].Load(), live.read[2].Load(), rows, differ)
	if differ > 0 || live.read[1].Load() == 0 || live.read[2].Load() == 0 {
		t.Error("rows differ, or one of the versions was never read")
	}
}

func serving(t *spinetest.Trial) int {
	versions, err := projections.Versions(t.Ctx, t.Store, "shown")
	if err != nil {
		t.Error(err)
	}
	for _, v := range versions {
		if v.Serves {
			return v.Version
		}
	}
	return 0
}

func complete(t *spinetest.Trial, view string, version int) bool {
	versions, err := projections.Versions(t.Ctx, t.Store, view)
	if err != nil {
		t.Error(err)
	}
	for _, v := range versions {
		if v.Version == version {
			return v.Complete
		}
	}
	return false
}

// traffic is writers who read what they have written, each a row of its own, and readers who are content with any answer.
type traffic struct {
	*spinetest.Trial

	views   []projections.View[shows]
	written atomic.Int64
	read    [3]atomic.Int64 // by version
	stop    chan struct{}
	wg      sync.WaitGroup

	mu     sync.Mutex
	to     int64 // the version that is about to serve
	turned bool  // somebody has seen it
}

func startTraffic(t *spinetest.Trial, views ...projections.View[shows]) *traffic {
	l := &traffic{Trial: t, views: views, stop: make(chan struct{})}
	l.change(1)
	for w := range 4 {
		rows := views[w%len(views)].Rows(t.Open(t.Tap()))
		l.wg.Go(func() { l.write(rows, fmt.Sprint("w", w)) })
	}
	for r := range 2 {
		rows := views[r%len(views)].Rows(t.Open(t.Tap()))
		l.wg.Go(func() { l.look(rows) })
	}
	return l
}

// change says which version is about to serve.
func (l *traffic) change(to int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.to, l.turned = to, false
}

// before is to be called before a row is read, and what it returns with the row: once somebody has seen a version serve,
// nobody may see the other one any more.
func (l *traffic) before() (see func(shows)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	to, turned := l.to, l.turned
	return func(row shows) {
		l.read[row.Made].Add(1)
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.to != to { // it changes again
			return
		}
		if turned && int64(row.Made) != to {
			l.Errorf("version %d was read after %d had been", row.Made, to)
		}
		l.turned = l.turned || int64(row.Made) == to
	}
}

func (l *traffic) write(rows projections.Rows[shows], key string) {
	for n := int64(1); !l.ending(); n++ {
		r, err := l.Store.Append(l.Ctx, eventstore.StreamOf("count", key), eventstore.Any, counted{n})
		if err != nil {
			l.Error(err)
			return
		}
		l.written.Add(1)
		see := l.before()
		row, err := rows.Get(l.Ctx, key, projections.AtLeast(r.Position))
		if err != nil || row.Count != n {
			l.Errorf("after %d writes, row %s is %+v, %v", n, key, row, err)
			return
		}
		see(row)
	}
}

func (l *traffic) look(rows projections.Rows[shows]) {
	for n := 0; !l.ending(); n++ {
		see := l.before()
		row, err := rows.Get(l.Ctx, fmt.Sprint("old", n%50))
		if err != nil || row.Count != 60 {
			l.Errorf("row %d is %+v, %v", n%50, row, err)
			return
		}
		see(row)
		sum := int64(0)
		for k, err := range rows.List(l.Ctx, projections.Page[shows]{OrderBy: "made", Limit: 60}) {
			if err != nil {
				l.Error(err)
				return
			}
			sum += k.Row.Count
		}
		if sum < 3000 {
			l.Errorf("all rows count %d", sum)
		}
	}
}

func (l *traffic) ending() bool {
	select {
	case <-l.stop:
		return true
	default:
		return l.Ctx.Err() != nil
	}
}

// more waits for more events.
func (l *traffic) more() {
	l.Helper()
	const n = 50
	from := l.written.Load()
	l.Until("there is more traffic", func() bool { return l.written.Load() >= from+n || l.Failed() })
}

func (l *traffic) end() {
	close(l.stop)
	l.wg.Wait()
}

// compare compares the rows with the log, and returns how many there are and how many differ.
func (l *traffic) compare() (rows, differ int) {
	want := map[string]int64{}
	for _, e := range l.Events(eventstore.All()) {
		want[e.Stream.ID()]++
	}
	for k, err := range l.views[1].Rows(l.Store).List(l.Ctx, projections.Page[shows]{}) {
		if err != nil {
			l.Fatal(err)
		}
		if rows++; want[k.Key] != k.Row.Count {
			differ++
		}
		delete(want, k.Key)
	}
	return rows, differ + len(want)
}
