package spinetest

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func schedules() []promise {
	return []promise{
		{"a timer that was due while nobody ran fires once, with the ids it was made with", firesLate},
		{"a cancelled timer never fires, even if what made it is sent again", cancelsTimer},
		{"a timer that one event sets and the next one cancels never fires", cancelsAtOnce},
		{"a timer fires once, whoever's clock fires it", firesOnce},
	}
}

// timerIDs of the timer that an event sets.
func timerIDs(e *eventstore.Event) (timer, event uuid.UUID) {
	return uuid.NewSHA1(e.ID, []byte("timer")), uuid.NewSHA1(e.ID, []byte("event"))
}

// timers sets a timer for every event "in", and cancels that of the event before for every event "off".
func timers(due time.Duration) Organ {
	var last uuid.UUID
	o := On("organ", "in", func(_ context.Context, in spine.Input) (out spine.Output, err error) {
		if in.Type == "off" {
			out.Commit.Cancels = []uuid.UUID{last}
			return out, nil
		}
		e := Event("late-1", "late", N(in.Event))
		last, e.ID = timerIDs(in.Event)
		out.Commit.Schedules = []eventstore.Schedule{{ID: last, Due: in.Time.Add(due), Append: Out(e).Commit.Appends[0]}}
		return out, nil
	})
	o.Listens, o.Policy.Partitions = eventstore.OfType("in", "off"), 1
	return o
}

// firesLate gives a machine on which the timer is due before anybody has set it more time.
func firesLate(t *Trial) {
	for wait := 300 * time.Millisecond; !firedLate(NewTrial(t.T, t.harness), wait); wait *= 2 {
		if t.Ctx.Err() != nil {
			t.Fatal(t.Ctx.Err())
		}
	}
}

// firedLate reports false if the timer was due too soon.
func firedLate(t *Trial, wait time.Duration) bool {
	sp := t.another(spine.Config{}, timers(wait))
	t.Put(Event("a-1", "in", 1))
	due := t.Events(eventstore.OfType("in"))[0].Time.Add(wait)
	next := t.Drain(sp)
	if !time.Now().Before(due) {
		return false
	}
	if !next.Equal(due) {
		t.Errorf("Drain says that %s is next, want %s", next, due)
	}
	if n := len(t.Numbers("late-1")); n != 0 {
		t.Fatalf("it has fired %d times before it was due", n)
	}
	time.Sleep(time.Until(due) + wait/3) // nobody runs
	t.WantNumbers("late-1")
	for range 2 {
		if next := t.Drain(t.another(spine.Config{}, timers(time.Hour))); !next.IsZero() {
			t.Errorf("Drain says that %s is next", next)
		}
		t.WantNumbers("late-1", 1)
	}
	e := t.Events(eventstore.InStream("late-1"))[0]
	if _, id := timerIDs(&t.Events(eventstore.OfType("in"))[0]); e.ID != id || e.Time.Before(due) {
		t.Errorf("it is event %s of %s, want %s, not before %s", e.ID, e.Time, id, due)
	}
	return true
}

// cancelsTimer keeps what has set a timer, and sends it again after the cancel, as a resend that was long on its way.
func cancelsTimer(t *Trial) {
	tap := t.Tap()
	var kept atomic.Pointer[eventstore.Commit]
	tap.OnCommit = func(batch []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
		for i := range batch {
			if len(batch[i].Schedules) > 0 {
				c := batch[i]
				kept.Store(&c)
			}
		}
		return write()
	}
	const delay = 2 * time.Second // more than it takes to cancel it, on a busy server
	o := timers(delay)
	sp := t.Spine(t.Open(tap), spine.Config{}, o)
	t.Put(Event("a-1", "in", 1))
	t.Drain(sp)
	due := time.Now().Add(delay)
	t.Put(Event("a-1", "off", 0))
	if next := t.Drain(sp); !next.IsZero() {
		t.Errorf("after the cancel, Drain says that %s is next", next)
	}
	again := *kept.Load()
	for range 2 {
		if _, err := t.Store.Commit(t.Ctx, again); err != nil {
			t.Errorf("sent again, it is %v", err)
		}
		time.Sleep(time.Until(due.Add(50 * time.Millisecond)))
		if next := t.Drain(sp); !next.IsZero() {
			t.Errorf("after the resend, Drain says that %s is next", next)
		}
		t.WantNumbers("late-1")
	}
}

func cancelsAtOnce(t *Trial) {
	t.Put(Event("a-1", "in", 1), Event("a-1", "off", 0), Event("a-1", "in", 2))
	sp := t.another(spine.Config{}, timers(-time.Hour))
	t.Drain(sp)
	t.WantNumbers("late-1", 2)
}

func firesOnce(t *Trial) {
	for range 3 {
		t.Start(t.another(spine.Config{}, timers(50*time.Millisecond)))
	}
	for i := range 30 {
		t.Put(Event("a-1", "in", i))
	}
	t.Until("all have fired", func() bool { return len(t.Numbers("late-1")) >= 30 })
	t.Done("organ")
	seen := map[int]bool{}
	for _, e := range t.Events(eventstore.InStream("late-1")) {
		if seen[N(&e)] {
			t.Errorf("timer %d has fired twice", N(&e))
		}
		seen[N(&e)] = true
		if in := t.Events(eventstore.OfType("in"))[N(&e)]; e.Time.Before(in.Time.Add(50 * time.Millisecond)) {
			t.Errorf("timer %d has fired at %s, too early", N(&e), e.Time)
		}
	}
}
