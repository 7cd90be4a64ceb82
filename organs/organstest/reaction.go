package organstest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// Reaction is what a reactor made of an event.
type Reaction struct {
	t    testing.TB
	when string
	out  organs.Events
	err  error
}

// React lets a reactor react to an event.
func React(t testing.TB, r organs.Reactor, e eventstore.Payload) Reaction {
	t.Helper()
	ev, err := eventstore.Encode(e)
	if err != nil {
		t.Fatalf("when event: %v", err)
	}
	out, err := r.Try(t.Context(), ev)
	return Reaction{t, fmt.Sprintf("%T%+v", e, e), out, err}
}

// Then wants exactly these events, and no error; without events, none. A command in it, made by spine.Post, is
// compared without its id if that is a UUIDv7, such as spine.Post gives to one that has none.
func (r Reaction) Then(want ...eventstore.Payload) Reaction {
	r.t.Helper()
	if r.err != nil {
		r.t.Errorf("when %s: failed: %v\nwant events:%s", r.when, r.err, list(want))
		return r
	}
	return r.ThenEvents(want...)
}

// ThenEvents wants exactly these events, with an error or without. Those with an error count only if it is final:
// see ThenParked.
func (r Reaction) ThenEvents(want ...eventstore.Payload) Reaction {
	r.t.Helper()
	if diff := compare(unite(want), unite(r.out)); diff != "" {
		r.t.Errorf("when %s: events (-want +got):\n%s", r.when, diff)
	}
	return r
}

// ThenError wants an error, by errors.Is.
func (r Reaction) ThenError(want error) Reaction {
	r.t.Helper()
	switch {
	case r.err == nil:
		r.t.Errorf("when %s: want error %q, got events:%s", r.when, want, list(r.out))
	case !errors.Is(r.err, want):
		r.t.Errorf("when %s: want error %q, got %q", r.when, want, r.err)
	}
	return r
}

// ThenErrorText wants an error with this in its text, for errors that have no other name.
func (r Reaction) ThenErrorText(want string) Reaction {
	r.t.Helper()
	switch {
	case r.err == nil:
		r.t.Errorf("when %s: want an error with %q, got events:%s", r.when, want, list(r.out))
	case !strings.Contains(r.err.Error(), want):
		r.t.Errorf("when %s: want an error with %q, got %q", r.when, want, r.err)
	}
	return r
}

// ThenParked wants an error that is final: one made by spine.Park. The event is parked at once, and the events
// that were returned are committed.
func (r Reaction) ThenParked() Reaction {
	r.t.Helper()
	switch {
	case r.err == nil:
		r.t.Errorf("when %s: want an error made by spine.Park, got events:%s", r.when, list(r.out))
	case !spine.IsPark(r.err):
		r.t.Errorf("when %s: want an error made by spine.Park, got one to be tried again: %q", r.when, r.err)
	}
	return r
}
