package projections

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

// Handlers keeps a read model of a shape of its own, by functions that write it, such as postgres.Handlers. What they write
// and their progress are one transaction, so each event counts once.
type Handlers struct {
	Name    string // like that of a View
	Version int    // to be raised when the read model is to be made anew, from the beginning. Defaults to 1
	To      Target

	// Key says which rows an event is about, so that several partitions can work without meeting at one: whatever changes
	// the same row must have a key in common. Defaults to one partition, which does everything in the order of the log.
	Key    eventstore.Key
	Policy spine.Policy
	Batch  int // how many events go into one transaction at most. Defaults to 500
	Rate   int // how many events a second it handles at most, in one process. Defaults to no bound
}

// Target is who writes a read model. A backend's package implements it.
type Target interface {
	// Attach checks the handlers, and whether they can work with a store, and returns the types of events that they
	// handle.
	Attach(st *eventstore.Store) (types []string, err error)
	// Apply handles events in a transaction, and leaves it open: it ends with the Pending's Commit, or with release,
	// which is called in any case. It returns of how many events it is; if these are not all, err is why the next one
	// cannot be handled. Parts of one stored event, which share a position, are handled together or not at all.
	Apply(ctx context.Context, st *eventstore.Store, batch []eventstore.Event) (p eventstore.Pending, release func(), done int, err error)
}

// Clearer is a Target that can remove what it has written, so that a rebuild can begin.
type Clearer interface {
	Target

	// Clear removes everything, and resets the consumer to position 0, in one transaction.
	Clear(ctx context.Context, st *eventstore.Store, consumer string) error
}

const defaultHandled = 500

// set names what is handled like the rows of a view.
func (h Handlers) set() eventstore.RowSet {
	set := eventstore.RowSet{Name: h.Name, Version: h.Version}
	if h.Version == 0 {
		set.Version = 1
	}
	return set
}

// Attach implements spine.Organ. The consumer is named by Name and Version: "statement_v1".
func (h Handlers) Attach(st *eventstore.Store) (spine.Wiring, error) {
	set := h.set()
	errs := []error{set.Validate()}
	if h.Rate < 0 {
		errs = append(errs, fmt.Errorf("the rate is %d", h.Rate))
	}
	w := spine.Wiring{Name: set.Table(), Key: h.Key, Policy: h.Policy, MaxBatch: h.Batch}
	if h.Batch == 0 {
		w.MaxBatch = defaultHandled
	}
	if h.Key == nil && h.Policy.Partitions == 0 {
		w.Policy.Partitions = 1
	}
	if h.Key == nil && h.Policy.Partitions > 1 {
		errs = append(errs, fmt.Errorf("Policy.Partitions is %d, and there is no Key that says which of them may work at the same time", h.Policy.Partitions))
	}
	if h.Policy.Delivery == spine.Competing {
		errs = append(errs, errors.New("handlers of a read model cannot be Competing: they keep the order of the log"))
	}
	if h.To == nil {
		return w, errors.Join(append(errs, errors.New("nobody is to write the read model: To is nil"))...)
	}
	types, err := h.To.Attach(st)
	if len(types) > 0 {
		w.Listens = eventstore.OfType(types...)
	} else if err == nil {
		err = errors.New("there is no handler in To")
	}
	w.HandleBatch = func(ctx context.Context, batch []spine.Input) (out spine.Output, done int, err error) {
		events := make([]eventstore.Event, len(batch))
		for i := range batch {
			events[i] = *batch[i].Event
		}
		var release func()
		out.Into, release, done, err = h.To.Apply(ctx, st, events)
		if release != nil {
			out.Settled = func(eventstore.Result, error) { release() }
		}
		return out, done, err
	}
	throttle(&w, h.Rate)
	return w, errors.Join(append(errs, err)...)
}

// atMost implements Projection.
func (h Handlers) atMost(rate int) Projection {
	h.Rate = cmp.Or(rate, h.Rate)
	return h
}

// anew implements Projection.
func (h Handlers) anew(ctx context.Context, st *eventstore.Store) (consumer string, done func(context.Context) error, err error) {
	consumer, done = h.set().Table(), func(context.Context) error { return nil }
	clearer, ok := h.To.(Clearer)
	if !ok {
		return consumer, done, fmt.Errorf("%s: nobody can clear what %T writes: raise its Version instead", consumer, h.To)
	}
	begun, err := underWay(ctx, st, consumer)
	if err == nil && !begun {
		err = clearer.Clear(ctx, st, consumer)
	}
	return consumer, done, err
}
