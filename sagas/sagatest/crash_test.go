package sagatest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

// A lamp that is lit burns, and somebody counts how often.
type (
	lit    struct{ N int }
	burned struct{ N int }
)

func (lit) EventType() string    { return "lit" }
func (burned) EventType() string { return "burned" }

// organ is one made of functions.
type organ func(st *eventstore.Store) spine.Wiring

func (o organ) Attach(st *eventstore.Store) (spine.Wiring, error) { return o(st), nil }

// lamp reacts to lit: soundly, or by some flaw.
func lamp(react func(ctx context.Context, st *eventstore.Store, in spine.Input) (spine.Output, error)) organ {
	return func(st *eventstore.Store) spine.Wiring {
		return spine.Wiring{Name: "lamp", Listens: eventstore.OfType("lit"), Handle: func(ctx context.Context, in spine.Input) (spine.Output, error) {
			return react(ctx, st, in)
		}}
	}
}

func burn(st *eventstore.Store, n int) (c eventstore.Commit, err error) {
	a, err := st.NewAppend("lamp-1", eventstore.Any, burned{n})
	return eventstore.Commit{Appends: []eventstore.Append{a}}, err
}

// lampScenario counts what has burned.
func lampScenario(o spine.Organ) Scenario {
	return Scenario{
		Organs: []spine.Organ{o},
		Play: func(ctx context.Context, sp *spine.Spine) error {
			_, err := sp.Emit(ctx, eventstore.Draft{Payload: lit{1}, ID: uuid.UUID{1}}, eventstore.Draft{Payload: lit{2}, ID: uuid.UUID{2}})
			return err
		},
		Result: func(ctx context.Context, st *eventstore.Store) (any, error) {
			var all []int
			for ev, err := range st.Read(ctx, eventstore.OfType("burned"), eventstore.Range{}) {
				if err != nil {
					return nil, err
				}
				b, err := eventstore.Decode[burned](ev)
				if err != nil {
					return nil, err
				}
				all = append(all, b.N)
			}
			return all, nil
		},
	}
}

func TestASoundOrganSurvives(t *testing.T) {
	t.Parallel()
	r := explore(t, lampScenario(lamp(func(_ context.Context, st *eventstore.Store, in spine.Input) (out spine.Output, err error) {
		e, err := eventstore.Decode[lit](*in.Event)
		if err == nil {
			out.Commit, err = burn(st, e.N)
		}
		return out, err
	})))
	if len(r.faults) > 0 || r.points < 2 || r.singles < 4 || r.pairs < 1 || r.again < 2 || r.late < 1 {
		t.Errorf("%s, faults %q; want none, and some runs of each kind", r, r.faults)
	}
}

// Each of these organs ends well as long as nothing crashes.
func TestEachFlawIsFound(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		flaw organ
		want string
	}{
		"it writes beside its commit": {lamp(func(ctx context.Context, st *eventstore.Store, _ spine.Input) (out spine.Output, err error) {
			c, err := burn(st, 1)
			if err == nil {
				_, err = st.Commit(ctx, c)
			}
			return out, err
		}), "it ends like no run without faults"},
		"it parks what it meets a second time": {lamp(func(ctx context.Context, st *eventstore.Store, _ spine.Input) (out spine.Output, err error) {
			seen := 0
			for _, err := range st.Read(ctx, eventstore.OfType("saw"), eventstore.Range{}) {
				if err == nil {
					seen++
				}
			}
			if _, err := st.Emit(ctx, saw{}); err != nil || seen > 1 {
				return out, spine.Park(errors.New("again"))
			}
			return out, nil
		}), "events are parked"},
		"it goes on without end": {lamp(func(_ context.Context, st *eventstore.Store, in spine.Input) (out spine.Output, err error) {
			a, err := st.NewAppend(in.Stream, eventstore.Any, lit{3})
			out.Commit.Appends = []eventstore.Append{a}
			return out, err
		}), "looping: lit"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := lampScenario(tt.flaw)
			s.Config.MaxSteps = 50
			r := explore(t, s)
			if len(r.faults) == 0 || !strings.Contains(r.faults[0], tt.want) || !strings.Contains(r.faults[0], "the log:") {
				t.Errorf("%s, faults %q; want one with %q", r, r.faults, tt.want)
			}
		})
	}
}

type saw struct{}

func (saw) EventType() string { return "saw" }

func TestAScenarioWithoutItsPartsIsRefused(t *testing.T) {
	t.Parallel()
	if r := explore(t, Scenario{}); len(r.faults) != 1 || !strings.Contains(r.faults[0], "required") {
		t.Errorf("faults %q, want that parts are required", r.faults)
	}
}

func TestPairsAreAllPairs(t *testing.T) {
	t.Parallel()
	const n = 7
	seen := map[[2]int]bool{}
	for k := range n * (n - 1) / 2 {
		i, j := pair(k)
		if i < 1 || j <= i || j > n {
			t.Errorf("pair %d is (%d,%d)", k, i, j)
		}
		seen[[2]int{i, j}] = true
	}
	if len(seen) != n*(n-1)/2 {
		t.Errorf("%d different pairs, want %d", len(seen), n*(n-1)/2)
	}
}

const other = "0190f3a4-5b6c-7d8e-9f00-112233445566"

// What the audit of a log must not overlook, at rest.
func TestTheAuditFindsEachFault(t *testing.T) {
	t.Parallel()
	const id = "0190f3a4-5b6c-7d8e-9f00-000000000001"
	trip, cmd := eventstore.Stream("saga.trip-1"), eventstore.Stream("command-"+id)
	began := eventstore.In(trip, sagas.Began{Saga: "trip", Instance: "1", Version: 1})
	moved := func(moves ...sagas.Move) eventstore.Payload {
		return eventstore.In(trip, sagas.Moved{Saga: "trip", Instance: "1", Moves: moves})
	}
	reply := func(to eventstore.Stream, tags ...string) eventstore.Payload {
		return eventstore.Draft{Payload: spine.Accepted{Command: "fly"}, Stream: to, Tags: tags}
	}
	ended := eventstore.In(trip, sagas.Ended{Saga: "trip", Instance: "1"})
	done := sagas.Move{What: sagas.Succeeded, Step: "a", Cycle: 1}
	undone := sagas.Move{What: sagas.Succeeded, Step: "a", Cycle: 1, Undo: true}
	to := func(s sagas.State) sagas.Move { return sagas.Move{What: sagas.Turned, To: s} }
	sent := sagas.Move{What: sagas.Sent, Step: "a", Cycle: 1, Until: time.Now().Add(time.Hour)}
	wakes := eventstore.In(trip, sagas.Moved{Wake: &sagas.Wake{Generation: 1, Due: time.Now()}})
	for name, tt := range map[string]struct {
		log  []eventstore.Payload
		want string // "" for none
	}{
		"a sound end":               {[]eventstore.Payload{began, moved(done, to(sagas.Compensating), undone, to(sagas.Compensated)), ended}, ""},
		"begun twice":               {[]eventstore.Payload{began, began, moved(to(sagas.Completed)), ended}, "began 2 times"},
		"ended twice":               {[]eventstore.Payload{began, moved(to(sagas.Completed)), ended, ended}, "ended 2 times"},
		"moved after the end":       {[]eventstore.Payload{began, moved(to(sagas.Completed)), ended, moved(done)}, "moved after its end"},
		"no end":                    {[]eventstore.Payload{began, moved(to(sagas.Completed))}, "its end is not in the log"},
		"not undone":                {[]eventstore.Payload{began, moved(done, to(sagas.Compensating), to(sagas.Compensated)), ended}, "undone 0 times"},
		"unknown, not undone":       {[]eventstore.Payload{began, moved(sagas.Move{What: sagas.Unknown, Step: "a", Cycle: 1}, to(sagas.Cancelled)), ended}, "undone 0 times"},
		"undone twice":              {[]eventstore.Payload{began, moved(done, undone, undone, to(sagas.Compensated)), ended}, "undone 2 times"},
		"undone for nothing":        {[]eventstore.Payload{began, moved(undone, to(sagas.Compensated)), ended}, "there was false to undo"},
		"under way at the end":      {[]eventstore.Payload{began, moved(sent, to(sagas.Compensated)), ended}, "step a is under way"},
		"undone after the pivot":    {[]eventstore.Payload{began, moved(done, to(sagas.ForwardOnly), undone, to(sagas.Completed)), ended}, "after the pivot"},
		"turned after the pivot":    {[]eventstore.Payload{began, moved(to(sagas.ForwardOnly), to(sagas.Compensating), to(sagas.Compensated)), ended}, "after its pivot"},
		"nothing wakes it":          {[]eventstore.Payload{began, moved(sent)}, "nothing will wake it"},
		"its timer is lost":         {[]eventstore.Payload{began, moved(sent), wakes}, "is lost"},
		"it waits for an operator":  {[]eventstore.Payload{began, moved(to(sagas.UndoStuck))}, ""},
		"decided twice":             {[]eventstore.Payload{reply(cmd, "command:"+id), reply(cmd, "command:"+id)}, "decided 2 times"},
		"decided after its undoing": {[]eventstore.Payload{reply("command-"+other, "command:"+other, "command:"+id), reply(cmd, "command:"+id)}, "after it had been revoked"},
		"undone after it":           {[]eventstore.Payload{reply(cmd, "command:"+id), reply("command-"+other, "command:"+other, "command:"+id)}, ""},
		"lost":                      {[]eventstore.Payload{eventstore.Draft{Payload: lit{}, Stream: cmd, ReplyTo: "saga.trip-1/a/1/do"}}, "was lost"},
		"fired early": {[]eventstore.Payload{
			began, moved(sagas.Move{What: sagas.Set, Step: "x", Until: time.Now().Add(time.Hour)}, sagas.Move{What: sagas.Fired, Step: "x"}),
		}, "early"},
		"tried again early": {[]eventstore.Payload{
			began, moved(sagas.Move{What: sagas.Waiting, Step: "a", Cycle: 1, Until: time.Now().Add(time.Hour)}, sent, to(sagas.UndoStuck)),
		}, "tried again"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &run{explorer: &explorer{}, disk: &disk{Backend: memory.New()}}
			st := eventstore.New(r.disk.Backend, eventstore.Config{})
			for _, p := range tt.log {
				if _, err := st.Emit(t.Context(), p); err != nil {
					t.Fatal(err)
				}
			}
			got := strings.Join(r.audit(t.Context(), true), "\n")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("faults:\n%s\nwant %q", got, tt.want)
			}
		})
	}
}

// What the dead process goes on with never reaches the log.
func TestADeadProcessWritesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &disk{Backend: memory.New(), plan: plan{crashes: map[int]crash{1: before}}}
		_, kill := context.WithCancel(t.Context())
		st := eventstore.New(&process{Backend: d.Backend, disk: d, kill: kill}, eventstore.Config{})
		for range 2 {
			if _, err := st.Emit(t.Context(), lit{1}); !errors.Is(err, errCrashed) || !errors.Is(err, eventstore.ErrOutcomeUnknown) {
				t.Errorf("emit: %v, want that nobody knows", err)
			}
		}
		if err := st.Pause(t.Context(), "lamp"); err == nil {
			t.Error("it has paused a consumer")
		}
		if head, err := eventstore.New(d.Backend, eventstore.Config{}).Head(t.Context()); head != 0 || err != nil {
			t.Errorf("head %d, %v; want an empty log", head, err)
		}
	})
}
