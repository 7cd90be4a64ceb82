package spinetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func waiting() []promise {
	return []promise{
		{"WaitFor returns when all is done, with ErrParked if the event was set aside", waitsFor},
		{"WaitFor refuses what can never come", waitsInVain},
		{"idle lanes reach the head, also of a consumer whose types never occur", idleLanesMove},
		{"Stats count what was done", counts},
	}
}

func waitsFor(t *Trial) {
	var p poison
	sp := t.Spine(t.Open(t.Tap()), spine.Config{}, On("organ", "in", p.handle(2)))
	t.Start(sp)
	first := t.Put(Event("a-1", "in", 1))
	bad := t.Put(Event("a-1", "in", 2))
	behind := t.Put(Event("a-1", "in", 3))
	last := t.Put(Event("b-1", "in", 4))
	t.Done("organ")
	for _, c := range []struct {
		at   eventstore.Position
		want error
	}{{0, nil}, {first.Position, nil}, {bad.Position, eventstore.ErrParked}, {behind.Position, eventstore.ErrParked}, {last.Position, nil}} {
		if err := sp.WaitFor(t.Ctx, "organ", c.at); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("WaitFor position %d returned %v, want %v", c.at, err, c.want)
		}
	}
	t.WantNumbers("copy.b-1", 4)
}

func waitsInVain(t *Trial) {
	sp := t.Spine(t.Store, spine.Config{}, On("organ", "in", Ignore))
	t.Put(Event("a-1", "in", 1))
	t.Drain(sp)
	if err := sp.WaitFor(t.Ctx, "organ", 99); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("beyond the head WaitFor returned %v, want ErrInvalid", err)
	}
	if err := sp.WaitFor(t.Ctx, "nobody", 1); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("for an unknown consumer WaitFor returned %v, want ErrInvalid", err)
	}
	p := t.Put(Event("a-1", "in", 2)).Position // and nobody runs
	ctx, cancel := context.WithCancel(t.Ctx)
	cancel()
	if err := sp.WaitFor(ctx, "organ", p); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context WaitFor returned %v", err)
	}
}

func idleLanesMove(t *Trial) {
	sp := t.Spine(t.Open(t.Tap()), spine.Config{}, On("busy", "in", Copy("copy.", "mid")), On("never", "nothing", Ignore))
	t.Start(sp)
	for i := range 5 {
		t.Put(Event("s-1", "in", i))
	}
	t.Done("busy")
	t.Done("never")
	t.Until("all lanes stand at the head", func() bool {
		return t.Roster("never").Position() == t.Head() && t.Roster("busy").Position() == t.Head()
	})
	t.Until("there is no lag", func() bool {
		st := sp.Stats()
		return st.Organs[0].Lag == 0 && st.Organs[1].Lag == 0 && st.Organs[1].Lanes == 16
	})
}

func counts(t *Trial) {
	var p poison
	a := On("a", "in", p.handle(3))
	b := On("b", "mid", Ignore)
	for i := range 5 {
		t.Put(Event(fmt.Sprint("s-", i), "in", i))
	}
	sp := t.Spine(t.Store, spine.Config{}, a, b)
	t.Drain(sp)
	st := sp.Stats()
	want := spine.Stats{Processed: 9, Emitted: 4, Failed: 1, Parked: 1, Organs: []spine.OrganStats{
		{Name: "a", Processed: 5, Emitted: 4, Failed: 1, Parked: 1}, {Name: "b", Processed: 4},
	}}
	if fmt.Sprint(st) != fmt.Sprint(want) {
		t.Errorf("stats are %+v, want %+v", st, want)
	}
}

func drains() []promise {
	return []promise{
		{"Drain returns when all is done, at once if nothing is to do", drainsDry},
		{"Drain reports a loop, and which events loop", drainLoops},
		{"Drain fires what is due and says when the next is", drainFires},
		{"Drain waits for what another Spine works", drainTogether},
		{"Drain ends with its context, with the context's error", drainEnds},
	}
}

func drainsDry(t *Trial) {
	sp := t.Spine(t.Store, spine.Config{}, On("a", "in", Copy("copy.", "mid")), On("b", "mid", Copy("copy.", "end")))
	if next := t.Drain(sp); !next.IsZero() {
		t.Errorf("an empty log has something due at %s", next)
	}
	for i := range 100 {
		t.Put(Event(fmt.Sprint("s-", i%7), "in", i))
	}
	t.Drain(sp)
	if n := len(t.Events(eventstore.OfType("end"))); n != 100 {
		t.Errorf("%d events came to the end of the chain, want 100", n)
	}
	t.Drain(t.Spine(t.Store, spine.Config{})) // and without organs
}

func drainLoops(t *Trial) {
	ping, pong := On("ping", "pong", Copy("", "ping")), On("pong", "ping", Copy("", "pong"))
	t.Put(Event("s-1", "ping", 1), Event("s-1", "once", 1))
	sp := t.Spine(t.Store, spine.Config{MaxSteps: 200, MaxDepth: 1 << 20}, ping, pong, On("once", "once", Ignore))
	_, err := sp.Drain(t.Ctx)
	loop, ok := errors.AsType[*spine.LoopError](err)
	if !ok || loop.Steps <= 200 || loop.Types["ping"] == 0 || loop.Types["pong"] == 0 || loop.Types["once"] != 0 {
		t.Errorf("Drain returned %v, want a loop of ping and pong", err)
	}
}

func (t *Trial) schedule(due time.Time, e eventstore.Event) {
	t.Helper()
	s := eventstore.Schedule{ID: uuid.New(), Due: due, Append: Out(e).Commit.Appends[0]}
	if _, err := t.Store.Commit(t.Ctx, eventstore.Commit{Schedules: []eventstore.Schedule{s}}); err != nil {
		t.Fatal(err)
	}
}

func drainFires(t *Trial) {
	t.schedule(time.Now().Add(-time.Second), Event("s-1", "in", 1))
	t.schedule(time.Now().Add(-time.Minute), Event("s-1", "in", 2))
	later := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	t.schedule(later, Event("s-1", "in", 3))
	next := t.Drain(t.Spine(t.Store, spine.Config{}, On("a", "in", Copy("copy.", "mid"))))
	if !next.Equal(later) {
		t.Errorf("the next is due at %s, want %s", next, later)
	}
	t.WantNumbers("copy.s-1", 2, 1)
}

func drainTogether(t *Trial) {
	copier := On("copier", "in", Copy("copy.", "mid"))
	other := t.another(spine.Config{}, copier)
	t.Start(other)
	t.Until("the other works all", func() bool { return lanes(other, "copier") == 16 })
	for i := range 100 {
		t.Put(Event(fmt.Sprint("s-", i%20), "in", i))
	}
	t.Drain(t.another(spine.Config{}, copier))
	if n := len(t.Events(eventstore.OfType("mid"))); n != 100 {
		t.Errorf("%d events are done after Drain, want 100", n)
	}
}

func drainEnds(t *Trial) {
	ctx, cancel := context.WithCancel(t.Ctx)
	sp := t.Spine(t.Store, spine.Config{}, On("a", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
		cancel()
		return Copy("copy.", "mid")(ctx, in)
	}))
	t.Put(Event("s-1", "in", 1))
	if _, err := sp.Drain(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Drain returned %v, want the context's error", err)
	}
	t.WantNumbers("copy.s-1", 1) // what was under way is finished
}
