package sagas

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func TestCallThatUndoesSomethingIsMadeWhenThatCannotHappenAnyMore(t *testing.T) {
	t.Parallel()
	st := memory.Open(memory.Config{})
	defer st.Close()
	id, undone := uuid.New(), another
	replies := func() (n int) {
		for _, err := range st.Read(t.Context(), eventstore.WithTags(spine.CommandTag(undone)), eventstore.Range{}) {
			if n++; err != nil {
				t.Error(err)
			}
		}
		return n
	}
	called := 0
	step := taking("hotel")
	step.Undo = Call(func(context.Context, []string, uuid.UUID) (taken, error) {
		if called++; replies() != 1 {
			t.Errorf("call %d: the command may still be decided", called)
		}
		return taken{}, context.DeadlineExceeded
	})
	s := Saga[[]string]{Name: "model", Start: StartBy(func(order) ([]string, error) { return nil, nil }), Steps: Sequence[[]string]{step}}
	en, err := s.engine()
	if err != nil {
		t.Fatal(err)
	}
	w, err := caller[[]string]{en}.Attach(st)
	if err != nil {
		t.Fatal(err)
	}
	ev := eventOf(requested{Saga: "model", Instance: "1", Version: 1, Step: "hotel", Undo: true, Attempt: 1, Revokes: undone, State: []byte(`[]`)})
	ev.Stream = eventstore.StreamOf(calls("model"), id.String())
	for range 2 { // what fails is tried again
		if _, err := w.Handle(t.Context(), spine.Input{Event: &ev}); err != nil {
			t.Fatal(err)
		}
	}
	if n := replies(); n != 1 || called != 2 {
		t.Errorf("%d events say that the command is revoked, after %d calls", n, called)
	}
}

func TestBreakerStaysOpenForHalfAMinuteUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	for set, want := range map[time.Duration]time.Duration{0: 30 * time.Second, time.Minute: time.Minute} {
		if a := calling().Guarded(Breaker{Failures: 1, Open: set}); a.breaker.Open != want || a.fault != nil {
			t.Errorf("Open: %s is %s, %v", set, a.breaker.Open, a.fault)
		}
	}
}
