package sagas

import (
	"testing"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

type noted struct{ ID string }

func (noted) CommandType() string { return "note" }
func (c noted) StreamID() string  { return c.ID }

type (
	asked   struct{ ID string }
	waiting struct{ Fired []string }
)

func (asked) EventType() string { return "asked" }

// The clock of the process is far ahead of the store's, by which these instances began and their timers fire.
func TestTimersThatAreNotDueByTheStoresClockWait(t *testing.T) {
	t.Parallel()
	store := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	t.Run("steps", func(t *testing.T) {
		t.Parallel()
		note := Command(func(s string) noted { return noted{s} })
		en, err := Saga[string]{Name: "clock", Start: StartBy(func(c noted) (string, error) { return c.ID, nil }), Steps: Sequence[string]{
			Parallel[string]{{ID: "a", Do: note, Timeout: time.Minute}, {ID: "b", Do: note, Timeout: 2 * time.Minute}},
		}, Deadline: 3 * time.Minute}.engine()
		if err != nil {
			t.Fatal(err)
		}
		begun, err := en.begin("1", "1", eventstore.Metadata{}, store)
		if err != nil {
			t.Fatal(err)
		}
		i := folded(t, begun...)
		moved, err := en.awake("1", i, wokenAt(t, 1, store.Add(time.Minute)))
		if err != nil {
			t.Fatal(err)
		}
		i = folded(t, append(begun, moved...)...)
		if a, b := i.steps["a"].phase, i.steps["b"].phase; a != Waiting || b != Sent || i.status != Running {
			t.Errorf("a is %s, b is %s, and the instance %s", a, b, i.status)
		}
	})
	t.Run("process", func(t *testing.T) {
		t.Parallel()
		timer := func(name string) Reaction[waiting] {
			return OnTimer(name, func(waiting) Actions { return nil })
		}
		p := Process[waiting]{Name: "clock", Key: eventstore.ByStream, React: Reactions[waiting]{
			Start(func(waiting, asked) Actions {
				return Actions{SetTimer("soon", time.Minute), SetTimer("later", time.Hour)}
			}),
			timer("soon"), timer("later"),
		}}
		i := folded(t, Began{Saga: "clock", Instance: "1", Version: 1, State: []byte(`{"Fired":null}`)},
			Moved{Moves: []Move{{What: Set, Step: "soon", Until: store.Add(time.Minute)}, {What: Set, Step: "later", Until: store.Add(time.Hour)}}, Wake: &Wake{1, store.Add(time.Minute)}})
		moved, err := p.awake("1", i, wokenAt(t, 1, store.Add(time.Minute)))
		if err != nil {
			t.Fatal(err)
		}
		if moves := moved[0].(Moved).Moves; len(moves) != 1 || moves[0].Step != "soon" {
			t.Errorf("it came to %+v", moves)
		}
	})
}

func folded(t *testing.T, events ...eventstore.Payload) (i instance) {
	t.Helper()
	for _, e := range events {
		switch e.(type) {
		case Began, Moved:
			if err := evolve.Apply(&i, eventOf(e)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return i
}

func wokenAt(t *testing.T, generation int, at time.Time) eventstore.Event {
	t.Helper()
	ev := eventOf(woken{generation})
	ev.Time = at
	return ev
}
