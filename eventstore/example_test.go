package eventstore_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

type Lent struct{ Reader string }

func (Lent) EventType() string { return "lent" }

type Seated struct{ Seat, Guest string }

func (Seated) EventType() string     { return "seated" }
func (s Seated) EventTags() []string { return []string{"seat:" + s.Seat, "guest:" + s.Guest} }

func ExampleStore_Append() {
	ctx, store := context.Background(), memory.Open(memory.Config{})
	defer store.Close()

	r, err := store.Append(ctx, "book-dune", eventstore.NoStream, Lent{"ann"})
	fmt.Println("version", r.Version(), "at position", r.Position, err)

	_, err = store.Append(ctx, "book-dune", eventstore.NoStream, Lent{"bob"})
	fmt.Println(err, errors.Is(err, eventstore.ErrConflict))
	// Output:
	// version 1 at position 1 <nil>
	// commit: append to book-dune: expected no stream, stands at version 1 true
}

// A reader goes on from Through, and not from a head that it asks for later: no event can slip in between.
func ExampleStore_Read() {
	ctx, store := context.Background(), memory.Open(memory.Config{})
	defer store.Close()

	var through eventstore.Position
	for _, guest := range []string{"ann", "bob"} {
		if _, err := store.Emit(ctx, eventstore.In("book-dune", Lent{guest}), eventstore.In("table-1", Seated{"3", guest})); err != nil {
			fmt.Println(err)
		}
		for e, err := range store.Read(ctx, eventstore.OfType("lent"), eventstore.Range{After: through, Through: &through}) {
			if err != nil {
				fmt.Println(err)
				return
			}
			lent, err := eventstore.Decode[Lent](e)
			fmt.Println(e.Position, e.Stream, "lent to", lent.Reader, err)
		}
		fmt.Println("read through", through)
	}
	// Output:
	// 1 book-dune lent to ann <nil>
	// read through 2
	// 3 book-dune lent to bob <nil>
	// read through 4
}

// A seat is taken once, whatever streams the events go to: the commit is refused if anybody was seated there
// since the decision was made.
func ExampleStore_Commit() {
	ctx, store := context.Background(), memory.Open(memory.Config{})
	defer store.Close()

	take := func(guest, seat string, after eventstore.Position) error {
		e, err := store.Encode(Seated{seat, guest})
		if err != nil {
			return err
		}
		_, err = store.Commit(ctx, eventstore.Commit{
			Appends: []eventstore.Append{{Stream: eventstore.StreamOf("guest", guest), Events: []eventstore.Event{e}}},
			Unless:  []eventstore.Condition{{Query: eventstore.WithTags("seat:" + seat), After: after}},
		})
		return err
	}
	var free eventstore.Position // both have read the log by then, and saw that no seat is taken
	fmt.Println(take("ann", "3", free))
	fmt.Println(take("bob", "3", free))
	fmt.Println(take("bob", "4", free))
	// Output:
	// <nil>
	// commit: condition 1: the event at position 1 matches, after position 0
	// <nil>
}

// lossy is a backend whose first answer is lost on the way.
type lossy struct {
	*memory.Backend
	lost bool
}

func (l *lossy) Commit(ctx context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	outcomes, err := l.Backend.Commit(ctx, batch)
	if !l.lost {
		l.lost = true
		return nil, fmt.Errorf("connection lost: %w", eventstore.ErrOutcomeUnknown)
	}
	return outcomes, err
}

// When nobody knows whether a commit was written, the same commit is sent again: it is written once.
func ExampleOutcomeUnknownError() {
	ctx, store := context.Background(), eventstore.New(&lossy{Backend: memory.New()}, eventstore.Config{})
	defer store.Close()

	r, err := store.Append(ctx, "book-dune", eventstore.NoStream, Lent{"ann"})
	for {
		unknown, ok := errors.AsType[*eventstore.OutcomeUnknownError](err)
		if !ok {
			break
		}
		fmt.Println(unknown)
		r, err = store.Commit(ctx, unknown.Commit)
	}
	fmt.Println("version", r.Version(), "at position", r.Position, err)
	// Output:
	// commit: outcome unknown: connection lost: outcome unknown
	// version 1 at position 1 <nil>
}
