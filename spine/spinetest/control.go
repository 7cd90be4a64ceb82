package spinetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func control() []promise {
	return []promise{
		{"Pause and Reset refuse what nobody ever ran, and positions that are not in the log", controlsInVain},
		{"a paused organ does nothing in any process, until Resume, and loses and repeats nothing", pauses},
		{"an output that was under way when its organ was paused is not written, but made again", pauseFences},
		{"Drain does not wait for a paused organ, nor for its deliveries", drainsPaused},
		{"a paused Competing organ finishes what is under way, and takes no more", pausesCompeting},
		{"Reset to the beginning handles everything again, in every process", func(t *Trial) { resets(t, 0) }},
		{"Reset to the middle handles what comes after it again, and only that", func(t *Trial) { resets(t, 0.5) }},
		{"Reset of an idle organ begins at once", resetsIdle},
		{"Reset fences what is under way", resetFences},
		{"Reset of a Competing organ makes every later delivery again", resetsCompeting},
		{"Reset forgets the parked entries of what comes after it, and keeps the others", resetParked},
		{"an organ may be paused and reset while its definition changes", controlsChange},
		{"Status refuses what nobody ever ran", statusInVain},
		{"every process sees the same status, also of what is parked", statusAgrees},
		{"the status of an organ whose only process is gone gets worse, and says so when its lease is over", statusOfDead},
		{"the status of a paused organ says so", statusOfPaused},
		{"what has no lag is done, while others write", statusHonest},
	}
}

func controlsInVain(t *Trial) {
	for what, err := range map[string]error{
		"Pause": t.Store.Pause(t.Ctx, "nobody"), "Resume": t.Store.Resume(t.Ctx, "nobody"), "Reset": t.Store.Reset(t.Ctx, "nobody", 0),
	} {
		if !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("%s of an unknown organ returned %v, want ErrInvalid", what, err)
		}
	}
	t.Put(Event("s-1", "in", 1))
	t.Drain(t.Spine(t.Store, spine.Config{}, On("organ", "in", Ignore)))
	for _, p := range []eventstore.Position{-1, t.Head() + 1} {
		if err := t.Store.Reset(t.Ctx, "organ", p); !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("Reset to %d of %d returned %v, want ErrInvalid", p, t.Head(), err)
		}
	}
}

// must fails the test if an operator's call has failed.
func (t *Trial) must(err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// copied are the numbers that came out, of all streams.
func (t *Trial) copied() (ns []int) {
	t.Helper()
	for _, e := range t.Events(eventstore.OfType("mid")) {
		ns = append(ns, N(&e))
	}
	slices.Sort(ns)
	return ns
}

func upTo(n int) (ns []int) {
	for i := range n {
		ns = append(ns, i)
	}
	return ns
}

func pauses(t *Trial) {
	copier := On("copier", "in", Copy("copy.", "mid"))
	a, b := t.another(spine.Config{}, copier), t.another(spine.Config{}, copier)
	t.Start(a)
	t.Start(b)
	t.Until("they share", func() bool { return lanes(a, "copier") == 8 && lanes(b, "copier") == 8 })
	n := 0
	put := func() {
		for range 50 {
			t.Put(Event(fmt.Sprint("s-", n%9), "in", n))
			n++
		}
	}
	for range 3 {
		put()
		t.must(t.Store.Pause(t.Ctx, "copier"))
		t.must(t.Store.Pause(t.Ctx, "copier"))
		at := len(t.copied()) // from here on nothing is written
		put()
		t.Until("they have given all up", func() bool { return lanes(a, "copier")+lanes(b, "copier") == 0 })
		if got := len(t.copied()); got != at {
			t.Errorf("a paused organ has written %d events", got-at)
		}
		if err := t.Store.WaitFor(t.Ctx, "copier", t.Head()); !errors.Is(err, eventstore.ErrPaused) {
			t.Errorf("WaitFor on a paused organ returned %v", err)
		}
		if err := t.Store.WaitFor(t.Ctx, "copier", t.Roster("copier").Position()); err != nil {
			t.Errorf("WaitFor for what was done before the pause returned %v", err)
		}
		t.must(t.Store.Resume(t.Ctx, "copier"))
		t.Done("copier")
	}
	if got := t.copied(); !slices.Equal(got, upTo(n)) {
		t.Errorf("%d events led to %v", n, got)
	}
	for i := range 9 {
		t.WantNumbers(fmt.Sprint("copy.s-", i), t.Numbers(fmt.Sprint("s-", i))...)
	}
}

// holding is a handler that waits, the first time it sees number 1, until it is told to go on.
func holding(h spine.Handle) (handle spine.Handle, busy, goOn chan struct{}, runs *atomic.Int64) {
	busy, goOn, runs = make(chan struct{}), make(chan struct{}), new(atomic.Int64)
	return func(ctx context.Context, in spine.Input) (spine.Output, error) {
		if N(in.Event) == 1 && runs.Add(1) == 1 {
			close(busy)
			<-goOn
		}
		return h(ctx, in)
	}, busy, goOn, runs
}

func pauseFences(t *Trial) {
	handle, busy, goOn, runs := holding(Copy("copy.", "mid"))
	t.Put(Event("s-1", "in", 1))
	sp := t.another(spine.Config{}, On("organ", "in", handle))
	t.Start(sp)
	<-busy
	t.must(t.Store.Pause(t.Ctx, "organ"))
	close(goOn)
	t.Until("its lanes end", func() bool { return lanes(sp, "organ") == 0 })
	t.WantNumbers("copy.s-1")
	t.must(t.Store.Resume(t.Ctx, "organ"))
	t.Done("organ")
	t.WantNumbers("copy.s-1", 1)
	if runs.Load() != 2 {
		t.Errorf("the handler ran %d times, want once before and once after the pause", runs.Load())
	}
}

func drainsPaused(t *Trial) {
	slow := competing("slow", Copy("slow.", "mid"))
	organs := []spine.Organ{On("stopped", "in", Copy("stopped.", "mid")), slow, On("other", "in", Copy("other.", "mid"))}
	t.Put(Event("s-1", "in", 1))
	t.Drain(t.another(spine.Config{}, organs...))
	t.deliver("slow", t.Put(Event("s-1", "in", 2))) // is in the window already
	t.must(t.Store.Pause(t.Ctx, "stopped"))
	t.must(t.Store.Pause(t.Ctx, "slow"))
	if next := t.Drain(t.another(spine.Config{}, organs...)); !next.IsZero() {
		t.Errorf("something is due at %s, want nothing of a paused organ", next)
	}
	t.WantNumbers("stopped.s-1", 1)
	t.WantNumbers("slow.s-1", 1)
	t.WantNumbers("other.s-1", 1, 2)
	t.must(t.Store.Resume(t.Ctx, "stopped"))
	t.must(t.Store.Resume(t.Ctx, "slow"))
	t.Drain(t.another(spine.Config{}, organs...))
	t.WantNumbers("stopped.s-1", 1, 2)
	t.WantNumbers("slow.s-1", 1, 2)
}

// deliver puts an event into a window, as the feeder does.
func (t *Trial) deliver(consumer string, r eventstore.Result) {
	t.Helper()
	leaser, _ := t.Store.Backend().(eventstore.Leaser)
	if _, err := leaser.Renew(t.Ctx, eventstore.Member{ID: "feeder", Consumers: []string{consumer}}, time.Minute); err != nil {
		t.Fatal(err)
	}
	lease, err := leaser.Claim(t.Ctx, "feeder", consumer, t.Roster(consumer).Generation, []int{0})
	if err != nil || len(lease) != 1 {
		t.Fatalf("claimed %v, %v", lease, err)
	}
	for e, err := range t.Store.Read(t.Ctx, eventstore.All(), eventstore.Range{After: r.Position - 1, UpTo: r.Position}) {
		t.must(err)
		_, err = t.Store.Commit(t.Ctx, eventstore.Commit{
			Checkpoints: []eventstore.Checkpoint{{Consumer: consumer, Epoch: lease[0].Epoch, From: lease[0].Position, To: r.Position}},
			Deliveries: []eventstore.Delivery{{
				ID: uuid.NewSHA1(e.ID, []byte(consumer)), Consumer: consumer, Position: e.Position, Event: e.ID,
			}},
		})
		t.must(err)
	}
	t.must(leaser.Leave(t.Ctx, "feeder"))
}

func pausesCompeting(t *Trial) {
	handle, busy, goOn, runs := holding(Copy("copy.", "mid"))
	o := competing("organ", handle)
	o.Policy.Workers = 1
	t.Put(Event("s-1", "in", 1), Event("s-1", "in", 2))
	t.Start(t.another(spine.Config{}, o))
	<-busy
	t.must(t.Store.Pause(t.Ctx, "organ"))
	close(goOn)
	t.Until("the first is done", func() bool { return len(t.copied()) == 1 })
	t.Put(Event("s-1", "in", 3))
	time.Sleep(20 * time.Millisecond)
	t.WantNumbers("copy.s-1", 1)
	t.must(t.Store.Resume(t.Ctx, "organ"))
	t.Until("all are done", func() bool { return len(t.copied()) == 3 })
	t.WantNumbers("copy.s-1", 1, 2, 3)
	if runs.Load() != 1 {
		t.Errorf("the handler ran %d times for one event", runs.Load())
	}
}
