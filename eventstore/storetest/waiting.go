package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

func waiting() promise {
	leased, waker := []Capability{Leaser}, []Capability{Waker}
	return promise{
		name: "Waiting",
		says: "who waits is told when something has happened, and never waits in vain",
		checks: []check{
			{name: "a wait for what has happened already returns at once", run: waitBehind},
			{name: "a commit wakes who waits", run: wokenByCommit},
			{name: "a commit of another connection is noticed", heavy: true, run: wokenByOther},
			{name: "a wait ends without an error when nothing happens", heavy: true, run: waitEnds},
			{name: "a firing wakes who waits", needs: []Capability{Waker, Scheduler}, run: wokenByFire},
			{name: "who comes and goes wakes who waits", heavy: true, needs: []Capability{Waker, Leaser}, run: wokenByRoster},
			{name: "a consumer redefined or controlled wakes who waits", heavy: true, needs: []Capability{Waker, Leaser}, run: wokenByControl},
			{name: "what can be taken wakes who waits", needs: []Capability{Waker, Leaser, Deliverer}, run: wokenByWindow},
			{name: "a backend's own wait ends with its context, without an error", needs: waker, run: waitEndsWithContext},
			{name: "WaitFor returns when every partition has come so far", heavy: true, needs: leased, run: waitFor},
			{name: "WaitFor says what can never be waited for", needs: leased, run: waitForNothing},
			{name: "WaitFor fails for an event that was set aside", needs: []Capability{Leaser, Parker}, run: waitForParked},
		},
	}
}

// patientStore does not look again for a long time by itself.
func (t *trial) patientStore() *eventstore.Store {
	t.Helper()
	return t.wrapped(eventstore.Config{Poll: long}, func(b eventstore.Backend) eventstore.Backend { return b })
}

// pulse waits in a goroutine.
func (t *trial) pulse(s *eventstore.Store, seen eventstore.Pulse) <-chan eventstore.Pulse {
	c := make(chan eventstore.Pulse, 1)
	go func() {
		p, err := s.Wait(t.ctx, seen)
		if err != nil {
			t.broken("a wait failed: %v", err)
		}
		c <- p
	}()
	return c
}

// now is the present pulse.
func (t *trial) now(s *eventstore.Store) eventstore.Pulse {
	t.Helper()
	return await(t, t.pulse(s, eventstore.Pulse{Head: -1, Roster: -1, Window: -1}), "the present pulse")
}

func waitBehind(t *trial) {
	s := t.patientStore()
	t.add(t.store, "pulse-1", eventsOf(3, "beat")...)
	for _, seen := range []eventstore.Pulse{{Head: 1}, {Head: 2}, {Head: 99}} {
		if p := await(t, t.pulse(s, seen), "a pulse that is there already"); p.Head != 3 {
			t.broken("the head is 3; who waited after %d was told of %d", seen.Head, p.Head)
		}
	}
}

func wokenByCommit(t *trial) {
	s := t.patientStore()
	for n := range eventstore.Position(20) {
		seen := t.now(s)
		waits := t.pulse(s, seen)
		t.add(s, "pulse-1", event("beat"))
		if p := await(t, waits, "the pulse of a commit made by the same store"); p.Head != n+1 {
			t.broken("the head is %d; who waited after %d was told of %d", n+1, seen.Head, p.Head)
		}
	}
}

// wokenByOther leaves the backend time to poll: a wait may miss what another process does, a Store may not.
func wokenByOther(t *trial) {
	s := t.wrapped(eventstore.Config{Poll: 20 * time.Millisecond}, func(b eventstore.Backend) eventstore.Backend { return b })
	other := t.another()
	for n := range eventstore.Position(5) {
		seen := t.now(s)
		t.add(other, "pulse-1", event("beat"))
		t.until("the other's commit was noticed", func() bool {
			p, err := s.Wait(t.ctx, seen)
			t.need(err, "wait")
			return p.Head == n+1
		})
	}
}

func waitEnds(t *trial) {
	s := t.wrapped(eventstore.Config{Poll: 5 * time.Millisecond}, func(b eventstore.Backend) eventstore.Backend { return b })
	t.add(s, "pulse-1", event("beat"))
	seen := t.now(t.patientStore())
	if p := await(t, t.pulse(s, seen), "a wait with a short Poll"); p != seen {
		t.broken("nothing happened; who waited after %+v was told of %+v", seen, p)
	}
	ctx, cancel := context.WithCancel(t.ctx)
	cancel()
	if _, err := t.patientStore().Wait(ctx, seen); err != nil {
		t.broken("a wait whose context had ended failed: %v", err)
	}
}

func wokenByFire(t *trial) {
	s := t.patientStore()
	t.schedule(later(past(1), "pulse-1", event("beat")))
	t.now(s)
	seen := t.now(s)
	waits := t.pulse(s, seen)
	t.fireAll(s)
	if p := await(t, waits, "the pulse of a firing made by the same store"); p.Head == 0 {
		t.until("the firing was noticed", func() bool { return t.now(s).Head > 0 })
	}
}

func wokenByRoster(t *trial) {
	s := t.patientStore()
	t.define(s, "pulsing", 1)
	var leases []eventstore.Lease
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"a member came", func() { t.renew(s, "adam", "pulsing", long) }},
		{"another member came", func() { t.renew(s, "zoe", "pulsing", long) }},
		{"a partition was released", func() {
			leases = t.claimSome(s, "adam", "pulsing", 0)
			t.need(t.leaser(s).Release(t.ctx, "adam", leases), "release")
		}},
		{"a member runs another consumer", func() { t.renew(s, "adam", "pulsing too", long) }},
		{"a member left", func() { t.need(t.leaser(s).Leave(t.ctx, "zoe"), "leave") }},
		{"a member came for a short time", func() { t.renew(s, "eve", "pulsing", short) }},
		{"a member was gone", func() {
			t.until("the member had expired", func() bool { return len(t.roster(s, "pulsing").Members) == 0 })
			t.renew(s, "adam", "pulsing too", long)
		}},
	} {
		seen := t.now(s)
		waits := t.pulse(s, seen)
		step.do()
		if p := await(t, waits, "the pulse when "+step.name); p.Roster <= seen.Roster {
			t.broken("%s, and the roster's pulse went from %d to %d", step.name, seen.Roster, p.Roster)
		}
	}
}

func waitEndsWithContext(t *trial) {
	w := t.store.Backend().(eventstore.Waker)
	t.add(t.store, "pulse-1", event("beat"))
	seen := t.now(t.store)
	ctx, cancel := context.WithCancel(t.ctx)
	ended := make(chan error, 1)
	go func() {
		_, err := w.Wait(ctx, seen)
		ended <- err
	}()
	cancel()
	if err := await(t, ended, "a wait whose context had ended"); err != nil {
		t.broken("a wait whose context ended failed: %v", err)
	}
}

func waitFor(t *trial) {
	other := t.another()
	t.add(t.store, "awaited-1", eventsOf(3, "awaited")...)
	l := t.claim(t.store, "owner", "waiter", 2)
	if err := t.store.WaitFor(t.ctx, "waiter", 0); err != nil {
		t.broken("a wait for position 0 failed: %v", err)
	}
	for _, s := range []*eventstore.Store{t.store, other} {
		for i := range l {
			done := make(chan error, 1)
			target := l[i].Position + 1
			if i == 0 {
				ctx, cancel := context.WithTimeout(t.ctx, 5*time.Millisecond)
				if err := s.WaitFor(ctx, "waiter", target); !errors.Is(err, context.DeadlineExceeded) {
					t.broken("no partition had come to %d, and a wait for it came to %v", target, err)
				}
				cancel()
			}
			go func() { done <- s.WaitFor(t.ctx, "waiter", target) }()
			t.commit(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(l[i], target)}})
			l[i].Position = target
			if i == len(l)-1 {
				if err := await(t, done, "WaitFor, when every partition had come so far"); err != nil {
					t.broken("every partition had come to %d, and a wait for it failed: %v", target, err)
				}
				continue
			}
			ctx, cancel := context.WithTimeout(t.ctx, 5*time.Millisecond)
			if err := s.WaitFor(ctx, "waiter", target); !errors.Is(err, context.DeadlineExceeded) {
				t.broken("one of two partitions had come to %d, and a wait for it came to %v", target, err)
			}
			cancel()
		}
	}
}

func waitForNothing(t *trial) {
	t.add(t.store, "awaited-1", event("awaited"))
	t.define(t.store, "waiter", 1)
	for _, x := range []struct {
		consumer string
		position eventstore.Position
	}{{"waiter", 2}, {"waiter", -1}, {"unheard of", 1}, {"unheard of", 0}} {
		if err := t.store.WaitFor(t.ctx, x.consumer, x.position); !errors.Is(err, eventstore.ErrInvalid) {
			t.broken("a wait for %s at %d in a log of one event, where only waiter is known, came to %v", x.consumer, x.position, err)
		}
	}
}

func waitForParked(t *trial) {
	t.add(t.store, "awaited-1", eventsOf(4, "awaited")...)
	l := t.claim(t.store, "owner", "waiter", 1)[0]
	elsewhere := t.claim(t.store, "owner of the other", "other", 1)[0]
	log := t.all(t.store)
	t.commit(t.store, eventstore.Commit{
		Checkpoints: []eventstore.Checkpoint{checkpoint(l, 4), checkpoint(elsewhere, 4)},
		Parks:       []eventstore.Parked{entry(l, "a", log[1]), entry(l, "b", log[3]), entry(elsewhere, "a", log[0])},
	})
	for p, parked := range map[eventstore.Position]bool{1: false, 2: true, 3: false, 4: true} {
		if err := t.store.WaitFor(t.ctx, "waiter", p); errors.Is(err, eventstore.ErrParked) != parked || (err != nil) != parked {
			t.broken("the events at 2 and 4 were parked, and a wait for %d came to %v", p, err)
		}
	}
}
