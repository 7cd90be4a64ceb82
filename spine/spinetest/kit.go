package spinetest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

// Organ is an organ made of its wiring.
type Organ struct {
	spine.Wiring

	Fault error // what Attach reports
}

// Attach implements spine.Organ.
func (o Organ) Attach(*eventstore.Store) (spine.Wiring, error) { return o.Wiring, o.Fault }

// On is an organ that handles events of one type. It tries only once.
func On(name, typ string, handle spine.Handle) Organ {
	return Organ{Wiring: spine.Wiring{
		Name: name, Listens: eventstore.OfType(typ), Handle: handle,
		Policy: spine.Policy{Retry: spine.Retry{Attempts: 1}},
	}}
}

// Ignore handles events by doing nothing.
func Ignore(context.Context, spine.Input) (spine.Output, error) { return spine.Output{}, nil }

// Copy answers every event with one of another type, in a stream that has the name of the event's with a
// prefix. It copies the number, too.
func Copy(prefix, typ string) spine.Handle {
	return func(_ context.Context, in spine.Input) (spine.Output, error) {
		return Out(Event(prefix+string(in.Stream), typ, N(in.Event))), nil
	}
}

// Event makes an event that carries a number.
func Event(stream, typ string, n int) eventstore.Event {
	return eventstore.Event{
		ID: uuid.Must(uuid.NewV7()), Type: typ, Stream: eventstore.Stream(stream), Data: fmt.Appendf(nil, `{"N":%d}`, n),
	}
}

// N is the number that an event carries.
func N(e *eventstore.Event) int {
	var data struct{ N int }
	if err := json.Unmarshal(e.Data, &data); err != nil {
		panic(err)
	}
	return data.N
}

// Out is an output that appends events, each to its stream, expecting nothing.
func Out(events ...eventstore.Event) (out spine.Output) {
	for _, e := range events {
		out.Commit.Appends = append(out.Commit.Appends, eventstore.Append{Stream: e.Stream, Events: []eventstore.Event{e}})
	}
	return out
}

// Put appends events in one commit.
func (t *Trial) Put(events ...eventstore.Event) eventstore.Result {
	t.Helper()
	r, err := t.Store.Commit(t.Ctx, Out(events...).Commit)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Events reads what a query selects.
func (t *Trial) Events(q eventstore.Query) (events []eventstore.Event) {
	t.Helper()
	for e, err := range t.Store.Read(t.Ctx, q, eventstore.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

// Numbers are those that the events of a stream carry.
func (t *Trial) Numbers(stream string) (ns []int) {
	t.Helper()
	for _, e := range t.Events(eventstore.InStream(eventstore.Stream(stream))) {
		ns = append(ns, N(&e))
	}
	return ns
}

// WantNumbers compares the numbers that the events of a stream carry.
func (t *Trial) WantNumbers(stream string, want ...int) {
	t.Helper()
	if got := t.Numbers(stream); !slices.Equal(got, want) {
		t.Errorf("stream %s has the numbers %v, want %v", stream, got, want)
	}
}

// Head is the last event's position.
func (t *Trial) Head() eventstore.Position {
	t.Helper()
	head, err := t.Store.Head(t.Ctx)
	if err != nil {
		t.Fatal(err)
	}
	return head
}

// Parked are a consumer's parked entries.
func (t *Trial) Parked(consumer string) (all []eventstore.Parked) {
	t.Helper()
	parker, _ := t.Store.Backend().(eventstore.Parker)
	for p, err := range parker.Parked(t.Ctx, eventstore.ParkedFilter{Consumer: consumer}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// ParkedKeys are a consumer's parked entries as "key@position", each with "!" if the event was tried.
func (t *Trial) ParkedKeys(consumer string) (keys []string) {
	t.Helper()
	for _, p := range t.Parked(consumer) {
		tried := ""
		if p.Attempts > 0 {
			tried = "!"
		}
		keys = append(keys, fmt.Sprintf("%s@%d%s", p.Key, p.Position, tried))
	}
	return keys
}

// WantParked compares ParkedKeys.
func (t *Trial) WantParked(consumer string, want ...string) {
	t.Helper()
	if got := t.ParkedKeys(consumer); !slices.Equal(got, want) {
		t.Errorf("%s has parked %q, want %q", consumer, got, want)
	}
}

// State is all streams with their numbers, and all keys that have parked events: what must not depend on any
// disturbance. Positions do.
func (t *Trial) State() string {
	t.Helper()
	streams := map[eventstore.Stream][]string{}
	for _, e := range t.Events(eventstore.All()) {
		streams[e.Stream] = append(streams[e.Stream], fmt.Sprintf("%s %d", e.Type, N(&e)))
	}
	var lines []string
	for s, events := range streams {
		lines = append(lines, fmt.Sprintf("%s: %s", s, strings.Join(events, ", ")))
	}
	for _, p := range t.Parked("") {
		lines = append(lines, fmt.Sprintf("%s has parked %s, tried %t", p.Consumer, p.Key, p.Attempts > 0))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// Roster is who runs a consumer.
func (t *Trial) Roster(consumer string) eventstore.Roster {
	t.Helper()
	leaser, _ := t.Store.Backend().(eventstore.Leaser)
	r, err := leaser.Roster(t.Ctx, consumer)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
