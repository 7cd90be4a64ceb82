package sagas

import (
	"testing"
	"time"
)

func TestSagaDoesNotTryOnWhatItIsAboutToUndo(t *testing.T) {
	t.Parallel()
	hotel := taking("hotel")
	hotel.Do = calling()
	w := begin(t, taking("flight"), Parallel[[]string]{hotel, taking("car")})
	w.comes("flight", false, Succeeded)
	w.comes("hotel", false, Waiting) // held back by a breaker, however often it is tried
	w.is(Running, "hotel", Waiting)
	w.comes("car", false, Refused)
	w.is(Compensating, "hotel", Sent)
	if !w.inst.steps["hotel"].undo {
		t.Error("hotel is done, not undone")
	}
	w.settle()
}

func TestNothingBeginsAfterTheDeadline(t *testing.T) {
	t.Parallel()
	steps := Sequence[[]string]{taking("flight"), Pivot[[]string]{ID: "pivot", Do: ordering("pivot")}}
	w := beginOf(t, Saga[[]string]{Steps: steps, Deadline: time.Minute})
	w.now = w.now.Add(time.Hour) // nobody was there, and the outcome is in the log before the timer
	w.comes("flight", false, Succeeded)
	w.is(Compensating, "flight", Sent)
	w.settle()

	w = beginOf(t, Saga[[]string]{Steps: steps[:1], Deadline: time.Minute})
	w.now = w.now.Add(time.Hour)
	w.comes("flight", false, Succeeded)
	w.is(Completed, "flight", Succeeded) // there is nothing left that could be late
}
