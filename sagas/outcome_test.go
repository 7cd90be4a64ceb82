package sagas

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

type denied struct{ Step string }

func (denied) EventType() string { return "denied" }

// another is the id of a command that somebody else has sent.
var another = uuid.MustParse("0192d6ee-0000-7000-8000-000000000001")

func TestReplyToACommandThatFollowsFromAStepsIsNotTheStepsOutcome(t *testing.T) {
	t.Parallel()
	hotel := taking("hotel")
	hotel.On = Outcomes[[]string]{Success(takes)}
	for _, reply := range []eventstore.Payload{spine.Rejected{Reason: "there is one already"}, spine.Accepted{}} {
		w := begin(t, hotel, taking("plain"))
		w.reply(&sent{to: address{"model", "a/b", "hotel", 1, false}}, reply)
		w.replies[0].Tags, w.replies[0].Stream = []string{spine.CommandTag(another)}, eventstore.StreamOf("command", another.String())
		w.deliver()
		w.is(Running, "hotel", Sent)
		w.comes("hotel", false, Succeeded)
		w.reply(&sent{to: address{"model", "a/b", "plain", 1, false}}, reply)
		w.replies[0].Tags = []string{spine.CommandTag(another)}
		w.deliver()
		w.is(Running, "plain", Sent)
	}
}

func TestRefusalIsRememberedLikeASuccess(t *testing.T) {
	t.Parallel()
	hotel := taking("hotel")
	hotel.On = Outcomes[[]string]{Success(takes), Refusal(func(s *[]string, e denied) { *s = append(*s, "no "+e.Step) })}
	w := begin(t, taking("flight"), hotel)
	w.comes("flight", false, Succeeded)
	w.reply(&sent{to: address{"model", "a/b", "hotel", 1, false}}, denied{"hotel"})
	w.deliver()
	w.is(Compensating, "hotel", Refused)
	if got := string(w.inst.data); got != `["no hotel"]` {
		t.Errorf("it remembers %s", got)
	}
	w.answer(w.old[len(w.old)-1])
	if got := string(w.inst.data); got != `["no hotel"]` {
		t.Errorf("of a refusal that comes twice it remembers %s", got)
	}
}

func TestEndOfANestedSagaIsRememberedWhateverItIs(t *testing.T) {
	t.Parallel()
	inner := Step[[]string]{ID: "inner", Timeout: time.Hour, Do: Nested(func([]string) order { return order{} }), On: Outcomes[[]string]{
		Success(func(s *[]string, e Ended) { *s = append(*s, string(e.State)) }),
	}}
	for _, end := range []State{Completed, Compensated, Cancelled} {
		w := begin(t, taking("flight"), inner, taking("last"))
		w.comes("flight", false, Succeeded)
		w.reply(&sent{to: address{"model", "a/b", "inner", 1, false}}, Ended{Saga: "other", Instance: "1", State: end})
		w.deliver()
		if got := string(w.inst.data); got != `["`+string(end)+`"]` {
			t.Errorf("it is %s, and remembers %s", w.inst.status, got)
		}
	}
}

func TestNestedSagaWhoseEndIsNotAwaitedIsAFault(t *testing.T) {
	t.Parallel()
	inner := Step[[]string]{ID: "inner", Do: Nested(func([]string) order { return order{} }), On: Outcomes[[]string]{Success(takes)}}
	_, err := Saga[[]string]{Name: "model", Start: StartBy(func(order) ([]string, error) { return nil, nil }), Steps: Sequence[[]string]{inner}}.engine()
	if want := `step "inner": On does not list saga ended, which is how a nested saga is settled`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestFailureOfAnEarlierAttemptIsNotThatOfTheNext(t *testing.T) {
	t.Parallel()
	w := begin(t, Step[[]string]{ID: "call", Do: calling(), Retry: Retry{Attempts: 3}})
	first := w.open[0]
	for w.inst.steps["call"].attempt < 2 || w.inst.steps["call"].phase != Sent {
		w.pass()
	}
	w.sent[first].attempt = 1
	w.comes("call", false, Unknown)
	w.is(Running, "call", Sent)
	w.sent[first].attempt = 2
	w.comes("call", false, Unknown)
	w.is(Running, "call", Waiting)
}

func TestOutcomeThatCannotBeDecodedIsParked(t *testing.T) {
	t.Parallel()
	w := begin(t, taking("hotel"))
	w.reply(&sent{to: address{"model", "a/b", "hotel", 1, false}}, spine.Rejected{})
	e := w.replies[0]
	e.Data = []byte(`{"Reason": 7}`)
	if _, err := w.en.answer("a/b", w.inst.clone(), e); !spine.IsPark(err) || errors.Is(err, ErrVersion) {
		t.Errorf("%v", err)
	}
}
