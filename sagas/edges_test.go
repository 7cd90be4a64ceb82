package sagas_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

type (
	ordered struct{ Order string }
	visit   struct{ Place, Order string }
	visited struct{ Place string }
	journey struct {
		ID   string
		Seen []string
	}
)

func (ordered) EventType() string { return "ordered" }
func (visited) EventType() string { return "visited" }
func (visit) CommandType() string { return "visit" }
func (c visit) StreamID() string  { return c.Order + "/" + c.Place }

func places(refuse func(c visit) error) organs.Aggregate[bool] {
	return organs.Aggregate[bool]{Category: "place", Decide: organs.Decide[bool]{
		organs.Handle(func(_ bool, c visit) (organs.Events, error) {
			if err := refuse(c); err != nil {
				return nil, err
			}
			return organs.Events{visited{c.Place}}, nil
		}),
	}}
}

func willing(visit) error { return nil }

func visiting(place string) sagas.Step[journey] {
	return sagas.Step[journey]{
		ID: place, Do: sagas.Command(func(j journey) visit { return visit{place, j.ID} }),
		On: sagas.Outcomes[journey]{sagas.Success(func(j *journey, e visited) { j.Seen = append(j.Seen, e.Place) })},
	}
}

func journeys(name string, steps ...sagas.Node[journey]) sagas.Saga[journey] {
	return sagas.Saga[journey]{
		Name: name, Steps: steps,
		Start: sagas.StartOn(func(e ordered) (string, journey) { return e.Order, journey{ID: e.Order} }),
	}
}

// drained runs organs on a log of its own, until there is nothing left to do after the events.
func drained(t *testing.T, events []eventstore.Payload, all ...spine.Organ) *eventstore.Store {
	t.Helper()
	st := memory.Open(memory.Config{})
	t.Cleanup(func() { st.Close() })
	sp, err := spine.New(st, spine.Config{Logger: slog.New(slog.DiscardHandler), MaxSteps: 100_000, MaxDepth: 10_000}, all...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sp.Emit(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
	if _, err := sp.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	return st
}

func parked(t *testing.T, st *eventstore.Store) (all []eventstore.Parked) {
	t.Helper()
	for p, err := range st.Parked(t.Context(), eventstore.ParkedFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func TestInstancesOfSagasWithNamesStepsAndIDsAlikeAreKeptApart(t *testing.T) {
	t.Parallel()
	odd := []string{"1", "1/rome/1/do", "/", "a-b", "saga.trip-1", "ünïcödé 世界", strings.Repeat("é", 60), "undo", "1/"}
	var events []eventstore.Payload
	for _, id := range odd {
		events = append(events, ordered{id})
	}
	short, long := journeys("trip", visiting("rome")), journeys("trip_x", visiting("rome"), visiting("oslo"))
	st := drained(t, events, short, long, places(willing))
	for _, id := range odd {
		for _, s := range []sagas.Saga[journey]{short, long} {
			show, err := s.Instances(st).Show(t.Context(), id)
			if err != nil || show.State != sagas.Completed || len(show.Steps) != len(s.Steps) {
				t.Errorf("%s of %s: %s %v, %v", id, s.Name, show.State, show.Steps, err)
			}
		}
	}
	if p := parked(t, st); len(p) > 0 {
		t.Errorf("parked: %+v", p)
	}
}

func TestInstanceWithoutAProperIDIsParkedOrRefusedAndNoOther(t *testing.T) {
	t.Parallel()
	s := journeys("trip", visiting("rome"))
	bad := []string{"", " x", strings.Repeat("é", 61), "a\x00"}
	events := []eventstore.Payload{ordered{"good"}}
	for _, id := range bad {
		events = append(events, ordered{id})
	}
	st := drained(t, append(events, ordered{"better"}), s, places(willing))
	if p := parked(t, st); len(p) != len(bad) {
		t.Errorf("parked: %+v", p)
	}
	if counts, err := s.Instances(st).Counts(t.Context()); err != nil || len(counts) != 1 || counts[sagas.Completed] != 2 {
		t.Errorf("%v, %v", counts, err)
	}

	by := s
	by.Start = sagas.StartBy(func(c bookTrip) (journey, error) { return journey{ID: c.Trip}, nil })
	st = memory.Open(memory.Config{})
	defer st.Close()
	sp, err := spine.New(st, spine.Config{Logger: slog.New(slog.DiscardHandler)}, by, places(willing))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range bad {
		if _, err := sp.Send(t.Context(), bookTrip{id}); !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("sent with id %.20q: %v", id, err)
		}
		if _, err := sp.Post(t.Context(), bookTrip{id}); err != nil {
			t.Errorf("posted with id %.20q: %v", id, err)
		}
	}
	if _, err := sp.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if counts, err := by.Instances(st).Counts(t.Context()); err != nil || len(counts) != 0 {
		t.Errorf("%v, %v", counts, err)
	}
}

func TestSagaOfHundredsOfStepsIsDoneAndUndone(t *testing.T) {
	t.Parallel()
	var all sagas.Parallel[journey]
	var row sagas.Sequence[journey]
	for i := range 200 {
		all = append(all, visiting(fmt.Sprintf("p%d", i)))
		row = append(row, visiting(fmt.Sprintf("s%d", i)))
	}
	for i := range all {
		all[i].Undo = sagas.Command(func(j journey) visit { return visit{"home", j.ID} })
	}
	for last, want := range map[string]sagas.State{"there": sagas.Completed, "nowhere": sagas.Compensated} {
		s := journeys("long", append(append(sagas.Sequence[journey]{all}, row...), visiting(last))...)
		st := drained(t, []eventstore.Payload{ordered{"1"}}, s, places(func(c visit) error {
			if c.Place == "nowhere" {
				return errors.New("no such place")
			}
			return nil
		}))
		show, err := s.Instances(st).Show(t.Context(), "1")
		if err != nil || show.State != want || len(show.Steps) != 401 {
			t.Errorf("%s: %s after %d steps: %s, %v, parked %+v", last, show.State, len(show.Steps), show.Reason, err, parked(t, st))
		}
	}
}

func TestEventThatBeginsASagaIsNoOutcomeOfItsSteps(t *testing.T) {
	t.Parallel()
	s := journeys("trip", sagas.Step[journey]{
		ID: "again", Do: sagas.Command(func(j journey) visit { return visit{"rome", j.ID} }),
		On: sagas.Outcomes[journey]{sagas.Success(func(*journey, ordered) {})},
	})
	st := memory.Open(memory.Config{})
	defer st.Close()
	if _, err := spine.New(st, spine.Config{}, s, places(willing)); err == nil || !strings.Contains(err.Error(), "ordered") {
		t.Errorf("%v", err)
	}
}

func TestProcessIsToldOfRefusalsOfItsOwnCommandsAlone(t *testing.T) {
	t.Parallel()
	type notes struct{ No int }
	p := sagas.Process[notes]{
		Name: "review", Key: func(ev eventstore.Event) ([]string, error) {
			o, err := eventstore.Decode[ordered](ev)
			return []string{o.Order}, err
		},
		Evolve: sagas.Evolve[notes]{sagas.On(func(n *notes, _ spine.Rejected) { n.No++ })},
		React: sagas.Reactions[notes]{
			sagas.Start(func(_ notes, e ordered) sagas.Actions { return sagas.Actions{sagas.Send(visit{"nowhere", e.Order})} }),
			sagas.When(func(notes, spine.Rejected) sagas.Actions { return sagas.Actions{sagas.Done()} }),
		},
		Sends: []spine.Command{visit{}},
	}
	s := journeys("trip", visiting("nowhere"))
	st := drained(t, []eventstore.Payload{ordered{"1"}, ordered{"2"}}, p, s, places(func(visit) error { return errors.New("no such place") }))
	for _, id := range []string{"1", "2"} {
		show, err := p.Instances(st).Show(t.Context(), id)
		if err != nil || show.State != sagas.Completed || string(show.Result) != `{"No":1}` {
			t.Errorf("%s is %s with %s, %v, parked %+v", id, show.State, show.Result, err, parked(t, st))
		}
	}
}
