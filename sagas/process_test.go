package sagas

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// reviews is a process that begins with taken, whose Step is its id.
func reviews(react func([]string, taken) Actions, more ...Reaction[[]string]) Process[[]string] {
	return Process[[]string]{
		Name: "model", Evolve: Evolve[[]string]{On(takes)}, React: append(Reactions[[]string]{Start(react)}, more...),
		Key: func(e eventstore.Event) ([]string, error) {
			t, err := eventstore.Decode[taken](e)
			return []string{t.Step}, err
		},
	}
}

// whats lists the kinds of moves that a decision has come to.
func whats(t *testing.T, out organs.Events) (all []string) {
	t.Helper()
	for _, p := range out {
		if moved, ok := p.(Moved); ok {
			for _, m := range moved.Moves {
				all = append(all, strings.TrimSpace(string(m.What)+" "+m.Step+string(m.To)))
			}
		}
	}
	return all
}

func TestWhatIsWantedDoneTogetherWithTheEndIsDone(t *testing.T) {
	t.Parallel()
	p := reviews(func([]string, taken) Actions { return Actions{Done(), Send(order{}), SetTimer("late", time.Hour)} })
	out, err := p.take("1", instance{}, eventOf(taken{"1"}))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"took taken", "sent order", "set late", "stopped late", "turned completed"}
	if got := whats(t, out); !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestEventThatBeginsAnInstanceBelongsToThatAlsoIfAnotherHasLedToIt(t *testing.T) {
	t.Parallel()
	p := reviews(func([]string, taken) Actions { return nil }, When(func([]string, denied) Actions { return nil }))
	key := func(payload eventstore.Payload) []string {
		e := eventOf(payload)
		e.Metadata.ReplyTo = address{"model", "first", "command", 1, false}.String()
		ids, err := p.key(e)
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	if ids := key(taken{"second"}); !reflect.DeepEqual(ids, []string{"second"}) {
		t.Errorf("one that begins an instance belongs to %q", ids)
	}
	if ids := key(denied{"second"}); !reflect.DeepEqual(ids, []string{"first"}) {
		t.Errorf("another one belongs to %q", ids)
	}
}

func TestEventIsParkedForAnInstanceWithAnIDThatNothingCanBeNamedBy(t *testing.T) {
	t.Parallel()
	p := reviews(func([]string, taken) Actions { return nil })
	for _, id := range []string{strings.Repeat("ä", 61), "a\x00", " a"} {
		if _, err := p.take(id, instance{}, eventOf(taken{id})); !spine.IsPark(err) || !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("id %q: %v", id, err)
		}
	}
	if _, err := p.take(strings.Repeat("ä", 60), instance{}, eventOf(taken{})); err != nil {
		t.Error(err)
	}
}

func TestTimersThatAreDueTogetherFireInTheOrderOfTheirNames(t *testing.T) {
	t.Parallel()
	p := reviews(func([]string, taken) Actions {
		return Actions{SetTimer("c", time.Hour), SetTimer("a", time.Hour), SetTimer("b", time.Hour)}
	})
	for range 20 {
		r := &run[[]string]{saga: "model", now: time.Now(), inst: instance{id: "1", version: 1, status: Running}}
		for _, name := range []string{"c", "a", "d", "b"} {
			r.do(Move{What: Set, Step: name, Until: r.now})
		}
		r.moves, r.woken, r.fired = nil, true, r.now
		r.fire(p)
		if got := whats(t, organs.Events{Moved{Moves: r.moves}}); !reflect.DeepEqual(got, []string{"fired a", "fired b", "fired c", "fired d"}) {
			t.Fatalf("%q", got)
		}
	}
}
