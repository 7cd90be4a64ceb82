package organs

import (
	"fmt"
	"slices"

	"github.com/necrostack/necrostack/eventstore"
)

// Events is what a handler appends, in order. eventstore.In directs one to another stream; spine.Post makes one of
// a command; At, Set and Stop are about events to come.
type Events []eventstore.Payload

// appendTo reports whether one of the events goes to a stream at once: by name, or because it names none.
func (out Events) appendTo(s eventstore.Stream) bool {
	return slices.ContainsFunc(out, func(p eventstore.Payload) bool {
		if _, planned := planOf(p); planned {
			return false
		}
		d, named := p.(eventstore.Draft)
		return !named || d.Stream == "" || d.Stream == s
	})
}

// Evolve is the fold of an aggregate: how events make its state.
type Evolve[S any] = eventstore.Fold[S]

// On is eventstore.On: one case of an Evolve.
func On[S any, E eventstore.Payload](fold func(state *S, e E)) eventstore.Folder[S] {
	return eventstore.On(fold)
}

// commitOf appends each event to the stream that it names, or to the default one under its expectation, and
// schedules what is planned. It also returns the events that are appended to the default stream.
func commitOf(st *eventstore.Store, out Events, to eventstore.Stream, expect eventstore.Expected) (
	c eventstore.Commit, own []eventstore.Event, err error,
) {
	for i, p := range out {
		if plan, ok := planOf(p); ok {
			if err := plan.addTo(&c, st, to); err != nil {
				return c, nil, fmt.Errorf("event %d: %w", i+1, err)
			}
			continue
		}
		e, err := st.Encode(p)
		if err != nil {
			return c, nil, fmt.Errorf("event %d: %w", i+1, err)
		}
		a := eventstore.Append{Stream: e.Stream}
		if a.Stream == "" || a.Stream == to {
			e.Stream = to
			a = eventstore.Append{Stream: to, Expect: expect}
			own = append(own, e)
		}
		if n := len(c.Appends) - 1; n >= 0 && c.Appends[n].Stream == a.Stream {
			c.Appends[n].Events = append(c.Appends[n].Events, e)
			continue
		}
		a.Events = []eventstore.Event{e}
		c.Appends = append(c.Appends, a)
	}
	return c, own, nil
}
