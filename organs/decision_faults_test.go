package organs_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

func TestRefusalOfADecisionIsARejectionAndWritesNothing(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	d := enrolment()
	d.Decide = func(Seats, Enrol) (organs.Events, error) { return organs.Events{Enrolled{}}, errFull }
	sp := newSpine(t, st, d)
	_, err := sp.Send(t.Context(), Enrol{"go", "ann"})
	rejected, ok := errors.AsType[*spine.RejectedError](err)
	if !ok || rejected.Command != "enrol" || !errors.Is(err, errFull) {
		t.Errorf("error is %v, want a *RejectedError for %v", err, errFull)
	}
	wantLog(t, st, eventstore.All())
}

func TestZeroQueryIsAnErrorThatSaysSo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		query eventstore.Query
		want  string
	}{
		"zero":                    {eventstore.Query{}, "query of enrol is zero"},
		"no tags":                 {eventstore.WithTags(), "query of enrol is zero"},
		"nothing that is evolved": {eventstore.OfType("reported"), "query of enrol selects no type that Evolve knows"},
		"invalid":                 {eventstore.WithTags(" go"), `query item 1: tag " go" has space around it`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := open(t, memory.New())
			d := enrolment()
			d.Query = func(Enrol) eventstore.Query { return c.query }
			sp := newSpine(t, st, d)
			_, err := sp.Send(t.Context(), Enrol{"go", "ann"})
			if _, refused := errors.AsType[*spine.RejectedError](err); refused || !errors.Is(err, eventstore.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want ErrInvalid with %q, and no refusal", err, c.want)
			}
			post(t, st, Enrol{"go", "ann"})
			drain(t, sp)
			if p := parkedOf(t, st, "enrol"); len(p) != 1 || !strings.Contains(p[0].Failures[0].Error, c.want) {
				t.Errorf("parked %+v", p)
			}
		})
	}
}

func TestDecisionThatCannotBeMadeWritesNothing(t *testing.T) {
	t.Parallel()
	bad := eventstore.Event{ID: uuid.New(), Type: "course opened", Tags: []string{"course:go"}, Data: []byte(`{"Seats":"many"}`)}
	for name, c := range map[string]struct {
		change  func(d *organs.Decision[Seats, Enrol])
		command Enrol
		want    string
	}{
		"bad stream id": {func(*organs.Decision[Seats, Enrol]) {}, Enrol{" go", "ann"}, `stream id " go" has space around it`},
		"nil event": {func(d *organs.Decision[Seats, Enrol]) {
			d.Decide = func(Seats, Enrol) (organs.Events, error) { return organs.Events{Left{}, nil}, nil }
		}, Enrol{"art", "ann"}, "decision on enrol: event 2"},
		"undecodable history": {func(*organs.Decision[Seats, Enrol]) {}, Enrol{"go", "ann"}, "decode course opened at course-go@1"},
		"panic": {func(d *organs.Decision[Seats, Enrol]) {
			d.Decide = func(Seats, Enrol) (organs.Events, error) { panic("no idea") }
		}, Enrol{"art", "ann"}, "panic: no idea"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := open(t, memory.New())
			if _, err := st.Commit(t.Context(), eventstore.Commit{Appends: []eventstore.Append{{Stream: "course-go", Events: []eventstore.Event{bad}}}}); err != nil {
				t.Fatal(err)
			}
			d := enrolment()
			c.change(&d)
			_, err := newSpine(t, st, d).Send(t.Context(), c.command)
			if _, refused := errors.AsType[*spine.RejectedError](err); err == nil || refused || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %q", err, c.want)
			}
			if n := len(events(t, st, eventstore.All())); n != 1 {
				t.Errorf("%d events, want the bad one", n)
			}
		})
	}
}
