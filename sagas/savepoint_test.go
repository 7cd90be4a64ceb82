package sagas

import (
	"testing"
	"time"
)

// refusedBehind is an instance that goes forward again in a while: a step behind a savepoint was refused.
func refusedBehind(t *testing.T, s Saga[[]string]) *world {
	t.Helper()
	save := Savepoint[[]string]{Retry{Attempts: 2, Base: time.Hour, Most: time.Hour}}
	s.Steps = Sequence[[]string]{taking("before"), save, taking("hotel"), taking("refused")}
	w := beginOf(t, s)
	w.comes("before", false, Succeeded)
	w.comes("hotel", false, Succeeded)
	w.comes("refused", false, Refused)
	w.comes("hotel", true, Succeeded)
	w.is(Running, "hotel", Waiting)
	return w
}

func TestStepThatIsToBeDoneAgainFromASavepointIsNotUndoneTwice(t *testing.T) {
	t.Parallel()
	for name, turn := range map[string]func(w *world){
		"cancelled": func(w *world) { w.operate("cancel", "") },
		"too late":  late,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := refusedBehind(t, Saga[[]string]{Deadline: time.Minute})
			turn(w)
			w.is(Compensating, "before", Sent)
			w.settle()
		})
	}
}

func TestPivotThatIsToBeginAgainFromASavepointIsNotUnderWay(t *testing.T) {
	t.Parallel()
	save := Savepoint[[]string]{Retry{Attempts: 2, Base: time.Hour, Most: time.Hour}}
	at := func() *world {
		w := beginOf(t, Saga[[]string]{
			Steps: Sequence[[]string]{taking("before"), save, save, Pivot[[]string]{ID: "pivot", Do: ordering("pivot")}}, Deadline: time.Minute,
		})
		w.comes("before", false, Succeeded)
		w.comes("pivot", false, Refused)
		w.is(Running, "pivot", Waiting)
		return w
	}
	w := at()
	w.operate("cancel", "")
	w.is(Compensating, "before", Sent)
	w = at()
	late(w)
	w.is(Compensating, "before", Sent)
}

// late lets time pass until the deadline has come.
func late(w *world) {
	for w.inst.status == Running && w.now.Before(w.inst.deadline) {
		w.pass()
	}
}
