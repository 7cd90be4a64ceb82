package storetest

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

func schedules() promise {
	return promise{
		name:  "Schedules",
		says:  "a scheduled append is made once it is due, exactly once, unless it was cancelled",
		needs: []Capability{Scheduler},
		checks: []check{
			{name: "nothing fires before it is due", heavy: true, run: notEarly},
			{name: "what is due fires in the order of its times", run: fireInOrder},
			{name: "what fires is the event that was scheduled", run: fireFaithfully},
			{name: "Fire keeps to its limit and tells when the next is due", run: fireLimit},
			{name: "each schedule fires exactly once, whoever fires", run: fireOnce},
			{name: "what was cancelled never fires", run: cancelled},
			{name: "to cancel what fired or never was changes nothing", run: cancelLate},
			{name: "between a cancel and a firing exactly one wins", run: cancelRace},
			{name: "schedules that wait are listed earliest first", run: listSchedules},
			{name: "what fired counts for expectations and conditions", run: firedCounts},
		},
	}
}

func (t *trial) scheduler(s *eventstore.Store) eventstore.Scheduler {
	return s.Backend().(eventstore.Scheduler)
}

func (t *trial) scheduled(s *eventstore.Store) (list []eventstore.Schedule) {
	t.Helper()
	for x, err := range t.scheduler(s).Scheduled(t.ctx) {
		t.need(err, "list the schedules")
		list = append(list, x)
	}
	return list
}

func (t *trial) fire(s *eventstore.Store, limit int) (int, time.Time) {
	t.Helper()
	n, next, err := t.scheduler(s).Fire(t.ctx, limit)
	t.need(err, "fire what is due")
	return n, next
}

// fireAll fires until nothing is due.
func (t *trial) fireAll(s *eventstore.Store) {
	t.Helper()
	for n := 1; n > 0; {
		n, _ = t.fire(s, 100)
	}
}

func (t *trial) schedule(list ...eventstore.Schedule) {
	t.Helper()
	t.commit(t.store, eventstore.Commit{Schedules: list})
}

// clock is the store's time, as it shows in an event.
func (t *trial) clock() time.Time {
	t.Helper()
	r := t.add(t.store, "clock-1", event("ticked"))
	got, _ := t.read(t.store, eventstore.InStream("clock-1"), eventstore.Range{After: r.Position - 1})
	return got[len(got)-1].Time
}

func notEarly(t *trial) {
	if n, next := t.fire(t.store, 10); n != 0 || !next.IsZero() {
		t.brokenNow("of an empty log %d schedules fired, and the next was said to be due at %s", n, next)
	}
	due := t.clock().Add(short)
	t.schedule(later(due, "due-1", event("due")), later(due.Add(long), "due-1", event("not due")))
	t.until("a schedule had fired that was due", func() bool {
		n, next := t.fire(t.store, 10)
		if want := due.Add(long); n > 0 && !next.Equal(want) {
			t.brokenNow("the next schedule is due at %s, and Fire said %s", want, next)
		}
		if n == 0 && !next.Equal(due) {
			t.brokenNow("the next schedule is due at %s, and Fire said %s", due, next)
		}
		return n > 0
	})
	got, _ := t.read(t.store, eventstore.InStream("due-1"), eventstore.Range{})
	if len(got) != 1 || got[0].Time.Before(due) {
		t.broken("one event was due at %s, another an hour later; the log holds %s, of %v", due, showAll(got), got[0].Time)
	}
}

func fireInOrder(t *trial) {
	for _, n := range []int{3, 1, 4, 2, 5} {
		t.schedule(later(past(n), "ordered-1", event(fmt.Sprint("due ", n))), later(past(n+5), "ordered-2", event(fmt.Sprint("due ", n+5))))
	}
	t.fireAll(t.store)
	got := t.all(t.another())
	for i, e := range got {
		if e.Type != fmt.Sprint("due ", i+1) {
			t.brokenNow("schedules due at 1, 2, 3 … 10 fired as %s", showAll(got))
		}
	}
	if len(got) != 10 {
		t.broken("ten schedules were due, and fired as %s", showAll(got))
	}
	t.checkVersions(t.store)
}

func fireFaithfully(t *trial) {
	t.add(t.store, "kept-1", event("before"))
	s := later(past(1), "kept-1", laden(), laden())
	s.Append.Events[0].Metadata.Schema = 3
	s.Append.Events[0].Data = []byte(` {"b": 1.0,  "a": [] } `)
	cause := eventstore.Metadata{Correlation: uuid.New(), Causation: uuid.New(), Depth: 4, Actor: "someone", TraceParent: "trace"}
	if _, err := t.store.Commit(eventstore.WithMetadata(t.ctx, cause), eventstore.Commit{Schedules: []eventstore.Schedule{s}}); err != nil {
		t.need(err, "schedule")
	}
	t.fireAll(t.another())
	got := t.all(t.store)
	if len(got) != 3 {
		t.brokenNow("a schedule of two events fired as %s", showAll(got))
	}
	for i, want := range s.Append.Events {
		e := got[i+1]
		m := cause
		m.Schema, m.User = want.Metadata.Schema, want.Metadata.User
		tags := slices.Equal(slices.Sorted(slices.Values(e.Tags)), slices.Sorted(slices.Values(want.Tags)))
		if e.ID != want.ID || e.Type != want.Type || e.Stream != "kept-1" || !tags || string(e.Data) != string(want.Data) || showMetadata(e.Metadata) != showMetadata(m) {
			t.broken("scheduled was %s with the metadata %s; what fired is %s", showWhole(want), showMetadata(m), showWhole(e))
		}
		if e.Version != eventstore.Version(i+2) {
			t.broken("the stream stood at version 1; the scheduled event in place %d was given version %d", i+1, e.Version)
		}
	}
}

func fireLimit(t *trial) {
	for n := range 7 {
		t.schedule(later(past(n), "limited-1", event("due")))
	}
	t.schedule(later(future(1), "limited-1", event("not due")))
	for _, x := range []struct {
		limit, fired int
		next         time.Time
	}{{0, 0, past(0)}, {3, 3, past(3)}, {3, 3, past(6)}, {3, 1, future(1)}, {3, 0, future(1)}} {
		if n, next := t.fire(t.store, x.limit); n != x.fired || !next.Equal(x.next) {
			t.brokenNow("Fire with limit %d fired %d and said that the next is due at %s; it should be %d and %s", x.limit, n, next, x.fired, x.next)
		}
	}
	if got := t.all(t.store); len(got) != 7 {
		t.broken("seven schedules were due; the log holds %s", showAll(got))
	}
}

func fireOnce(t *trial) {
	stores := t.pair()
	const n = 40
	var list []eventstore.Schedule
	for i := range n {
		list = append(list, later(past(i), eventstore.StreamOf("once", fmt.Sprint(i%3)), event("due")))
	}
	t.schedule(list[:n/2]...)
	t.schedule(list[n/2:]...)
	var fired atomic.Int64
	together(racers, func(i int) {
		for {
			n, _, err := t.scheduler(stores[i%2]).Fire(t.ctx, 1+i)
			if err != nil {
				t.Errorf("could not try whether %s: %v", t.says, err)
			}
			if fired.Add(int64(n)); n == 0 || err != nil {
				return
			}
		}
	})
	if waiting := t.scheduled(t.store); len(waiting) > 0 {
		t.broken("everything was due, and %d still wait", len(waiting))
	}
	got := t.all(t.store)
	if fired.Load() != n || len(got) != n {
		t.broken("%d schedules were due; %d callers of Fire counted %d, and the log holds %d events", n, racers, fired.Load(), len(got))
	}
	t.checkVersions(t.store)
}

func cancelled(t *trial) {
	a, b, c := later(past(1), "off-1", event("called off")), later(past(2), "off-1", event("due")), later(future(1), "off-1", event("called off"))
	t.schedule(a, b, c)
	r := t.commit(t.another(), eventstore.Commit{Appends: []eventstore.Append{to("off-2", event("decided"))}, Cancels: []uuid.UUID{c.ID, a.ID}})
	if r.Position != 1 {
		t.broken("a commit of one event and two cancels to an empty log came to %+v", r)
	}
	if waiting := t.scheduled(t.store); len(waiting) != 1 || waiting[0].ID != b.ID {
		t.broken("of three schedules two were cancelled; %d wait", len(waiting))
	}
	t.fireAll(t.store)
	if got, _ := t.read(t.store, eventstore.InStream("off-1"), eventstore.Range{}); len(got) != 1 || got[0].ID != b.Append.Events[0].ID {
		t.broken("of three schedules two were cancelled; what fired is %s", showAll(got))
	}
}

func cancelLate(t *trial) {
	a := later(past(1), "late-1", event("due"))
	t.schedule(a, later(future(1), "late-1", event("waits")))
	t.fireAll(t.store)
	before := t.dump(t.store)
	for _, ids := range [][]uuid.UUID{{a.ID}, {newID()}, {a.ID, newID(), a.Append.Events[0].ID}} {
		if _, err := t.store.Commit(t.ctx, eventstore.Commit{Cancels: ids}); err != nil {
			t.broken("to cancel what fired, or never was, failed: %v", err)
		}
	}
	if after := t.dump(t.store); after != before {
		t.broken("to cancel what fired, or never was, changed something:\n%s", difference(before, after))
	}
}

func cancelRace(t *trial) {
	stores := t.pair()
	const n = 30
	var list []eventstore.Schedule
	for i := range n {
		list = append(list, later(past(i), "raced-1", event("due")))
	}
	t.schedule(list...)
	var fired atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for range n {
			n, _, err := t.scheduler(stores[0]).Fire(t.ctx, 1)
			if err != nil {
				t.Errorf("could not try whether %s: %v", t.says, err)
			}
			fired.Add(int64(n))
		}
	})
	wg.Go(func() {
		for i := range list {
			c := eventstore.Commit{Cancels: []uuid.UUID{list[n-1-i].ID}}
			if _, err := stores[1].Commit(t.ctx, c); err != nil {
				t.broken("a cancel failed: %v", err)
			}
		}
	})
	wg.Wait()
	if got := t.all(t.store); len(got) != int(fired.Load()) || len(t.scheduled(t.store)) != 0 {
		t.broken("all schedules were cancelled or fired; %d were said to have fired, the log holds %d and %d wait", fired.Load(), len(got), len(t.scheduled(t.store)))
	}
}

func listSchedules(t *trial) {
	var want []eventstore.Schedule
	for _, n := range []int{3, 1, 2} {
		s := later(future(n).Add(123456789).In(time.FixedZone("", 3600)), "listed-1", laden())
		s.Append.Events[0].Metadata.Correlation = newID()
		want = append(want, s)
	}
	t.schedule(want...)
	for i := range want { // as everywhere: UTC, whole microseconds
		want[i].Due = want[i].Due.UTC().Truncate(time.Microsecond)
	}
	slices.SortFunc(want, func(a, b eventstore.Schedule) int { return a.Due.Compare(b.Due) })
	got := t.scheduled(t.another())
	if len(got) != len(want) {
		t.brokenNow("of %d schedules %d are listed", len(want), len(got))
	}
	for i := range want {
		g, w := got[i].Append.Events[0], want[i].Append.Events[0]
		same := g.ID == w.ID && g.Type == w.Type && string(g.Data) == string(w.Data) && len(g.Tags) == 2 && showMetadata(g.Metadata) == showMetadata(w.Metadata)
		if showSchedule(got[i]) != showSchedule(want[i]) || !same {
			t.broken("in place %d is listed\n\t%s with %s; it should be\n\t%s with %s", i+1, showSchedule(got[i]), showWhole(g), showSchedule(want[i]), showWhole(w))
		}
	}
	for _, err := range t.scheduler(t.store).Scheduled(t.ctx) {
		t.need(err, "list the schedules")
		break // a list that is left early must not go on
	}
}

func firedCounts(t *trial) {
	s := later(past(1), "counted-1", event("due", "tagged"))
	t.schedule(s)
	t.commit(t.store, unless(appends(expecting(eventstore.NoStream, "counted-2", event("before"))), eventstore.WithTags("tagged"), 0))
	t.fireAll(t.store)
	t.refused(t.store, unless(appends(to("counted-2", event("after"))), eventstore.WithTags("tagged"), 1), eventstore.ErrConflict)
	t.refused(t.store, appends(expecting(eventstore.NoStream, "counted-1", event("after"))), eventstore.ErrConflict)
	t.commit(t.store, unless(appends(expecting(eventstore.Exact(1), "counted-1", event("after"))), eventstore.WithTags("tagged"), 2))
}
