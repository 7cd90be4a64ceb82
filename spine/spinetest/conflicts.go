package spinetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func conflicts() []promise {
	return []promise{
		{"a handler whose expectation loses is run again, and has not failed", conflictReruns},
		{"a handler whose expectation never holds is set aside", conflictForever},
	}
}

// conflictReruns has someone else write between the handler and its commit.
func conflictReruns(t *Trial) {
	var calls atomic.Int64
	var once sync.Once
	o := On("counter", "in", func(_ context.Context, in spine.Input) (spine.Output, error) {
		calls.Add(1)
		v := eventstore.Version(len(t.Numbers("count-1")))
		once.Do(func() { t.Put(Event("count-1", "count", -1)) })
		out := Out(Event("count-1", "count", N(in.Event)))
		out.Commit.Appends[0].Expect = eventstore.NoStream
		if v > 0 {
			out.Commit.Appends[0].Expect = eventstore.Exact(v)
		}
		return out, nil
	})
	t.Put(Event("s-1", "in", 1))
	sp := t.Spine(t.Open(t.Tap()), spine.Config{}, o)
	t.Drain(sp)
	t.WantNumbers("count-1", -1, 1)
	if st := sp.Stats(); calls.Load() != 2 || st.Failed != 0 || st.Parked != 0 || st.Organs[0].Conflicts != 1 || st.Processed != 1 {
		t.Errorf("%d calls, stats %+v: want two calls, one conflict and no failure", calls.Load(), st)
	}
}

func conflictForever(t *Trial) {
	o := On("counter", "in", func(_ context.Context, in spine.Input) (spine.Output, error) {
		out := Out(Event("count-1", "count", N(in.Event)))
		if N(in.Event) == 2 {
			out.Commit.Appends[0].Expect = eventstore.Exact(77)
		}
		return out, nil
	})
	o.Policy.Partitions = 1
	t.Put(Event("s-1", "in", 1), Event("s-2", "in", 2), Event("s-3", "in", 3))
	sp := t.Spine(t.Open(t.Tap()), spine.Config{Conflicts: 3}, o)
	t.Drain(sp)
	t.WantNumbers("count-1", 1, 3)
	t.WantParked("counter", "s-2@2!")
}

// add is a command that counts.
type add struct{ N int }

func (add) CommandType() string { return "add" }
func (add) StreamID() string    { return "1" }

// counter decides add: it appends to a stream, on condition of its version.
func counter(st *eventstore.Store, meet func()) Organ {
	return Organ{Wiring: spine.Wiring{Name: "counter", Decides: []spine.CommandHandler{{
		Type: "add",
		Decide: func(ctx context.Context, in spine.Request) (spine.Output, error) {
			c, _ := in.Command.(add)
			if c.N < 0 {
				return spine.Output{}, &spine.RejectedError{Command: "add", Err: errors.New("negative")}
			}
			v := eventstore.Version(0)
			for e, err := range st.Read(ctx, eventstore.InStream("count-1"), eventstore.Range{}) {
				if err != nil {
					return spine.Output{}, err
				}
				v = e.Version
			}
			if c.N == 0 {
				return spine.Output{Seen: eventstore.Result{Position: 7}}, nil
			}
			meet()
			out := Out(Event("count-1", "count", c.N))
			out.Commit.Appends[0].Expect = eventstore.NoStream
			if v > 0 {
				out.Commit.Appends[0].Expect = eventstore.Exact(v)
			}
			return out, nil
		},
	}}}}
}

func sends() []promise {
	return []promise{
		{"racing commands on two Spines are all decided on the newest state", sendRace},
		{"a command that always loses gives up after Conflicts", sendGivesUp},
		{"a refusal is a result, never retried", sendRefused},
		{"a command that nobody decides, or that is nil, is refused", sendUnknown},
		{"a decision for nothing returns what was seen", sendNothing},
		{"an unknown outcome is passed on", sendOutcomeUnknown},
		{"a panic of a decider is an error with its stack", sendPanic},
	}
}

func sendRace(t *Trial) {
	const each, racers = 8, 4
	var spines []*spine.Spine
	for range 2 {
		st := t.Open(t.Tap())
		spines = append(spines, t.Spine(st, spine.Config{Conflicts: 1000}, counter(st, func() {})))
	}
	var wg sync.WaitGroup
	for _, sp := range spines {
		for range racers {
			wg.Go(func() {
				for range each {
					if _, err := sp.Send(t.Ctx, add{1}); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	total := 2 * racers * each
	if n := len(t.Numbers("count-1")); n != total {
		t.Errorf("%d commands led to %d events", total, n)
	}
	if n := spines[0].Stats().Emitted + spines[1].Stats().Emitted; n != int64(total) {
		t.Errorf("the Spines say that they have emitted %d events, want %d", n, total)
	}
}

func sendGivesUp(t *Trial) {
	tries := 0
	sp := t.Spine(t.Store, spine.Config{Conflicts: 3}, counter(t.Store, func() {
		tries++
		t.Put(Event("count-1", "count", -1))
	}))
	if _, err := sp.Send(t.Ctx, add{1}); !errors.Is(err, eventstore.ErrConflict) || tries != 3 {
		t.Errorf("Send returned %v after %d decisions, want a conflict after 3", err, tries)
	}
	t.WantNumbers("count-1", -1, -1, -1)
}

func sendRefused(t *Trial) {
	sp := t.Spine(t.Store, spine.Config{}, counter(t.Store, func() {}))
	_, err := sp.Send(t.Ctx, add{-1})
	if refused, ok := errors.AsType[*spine.RejectedError](err); !ok || refused.Command != "add" || refused.Err.Error() != "negative" {
		t.Errorf("Send returned %v, want the refusal", err)
	}
	if t.Head() != 0 {
		t.Error("the refusal has written something")
	}
}

type stranger struct{ add }

func (stranger) CommandType() string { return "stranger" }

func sendUnknown(t *Trial) {
	sp := t.Spine(t.Store, spine.Config{}, counter(t.Store, func() {}))
	for _, c := range []spine.Command{stranger{}, nil, (*add)(nil)} {
		if _, err := sp.Send(t.Ctx, c); !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("Send(%#v) returned %v, want ErrInvalid", c, err)
		}
	}
	if _, err := sp.Emit(t.Ctx); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("Emit of nothing returned %v, want ErrInvalid", err)
	}
	if _, err := sp.Emit(t.Ctx, nil); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("Emit(nil) returned %v, want ErrInvalid", err)
	}
}

func sendNothing(t *Trial) {
	sp := t.Spine(t.Store, spine.Config{}, counter(t.Store, func() {}))
	if r, err := sp.Send(t.Ctx, add{0}); err != nil || r.Position != 7 || t.Head() != 0 {
		t.Errorf("Send returned %+v and %v, want what was seen, and nothing written", r, err)
	}
}

func sendOutcomeUnknown(t *Trial) {
	tap := t.Tap()
	tap.OnCommit = func(_ []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
		return vanishes(write)
	}
	st := t.Open(tap)
	decisions := 0
	sp := t.Spine(st, spine.Config{}, counter(st, func() { decisions++ }))
	_, err := sp.Send(t.Ctx, add{1})
	unknown, ok := errors.AsType[*eventstore.OutcomeUnknownError](err)
	if !ok || len(unknown.Commit.Appends) != 1 || decisions != 1 {
		t.Fatalf("Send returned %v after %d decisions, want the commit whose outcome is unknown", err, decisions)
	}
	if _, err := t.Store.Commit(t.Ctx, unknown.Commit); err != nil {
		t.Error(err)
	}
	t.WantNumbers("count-1", 1)
}

func sendPanic(t *Trial) {
	sp := t.Spine(t.Store, spine.Config{}, counter(t.Store, func() { panic("no idea") }))
	_, err := sp.Send(t.Ctx, add{1})
	if p, ok := errors.AsType[*spine.PanicError](err); !ok || p.Value != "no idea" || len(p.Stack) == 0 {
		t.Errorf("Send returned %v, want a PanicError with its stack", err)
	}
}
