package sagas

import (
	"testing"
	"time"
)

func TestStepWhoseOutcomeIsUnknownWhileAnotherCannotBeUndoneWaitsToBeUndone(t *testing.T) {
	t.Parallel()
	hotel, slow := taking("hotel"), taking("slow")
	hotel.UndoRetry, slow.Timeout = Retry{Attempts: 1}, time.Hour
	for _, suspended := range []bool{false, true} {
		w := begin(t, Parallel[[]string]{hotel, slow})
		w.comes("hotel", false, Succeeded)
		w.operate("cancel", "")
		until(w, UndoStuck)
		if suspended {
			w.operate("suspend", "")
			w.now = w.now.Add(time.Hour)
			w.operate("resume", "")
		}
		for w.inst.steps["slow"].phase == Sent {
			w.pass() // it fails if the instance is woken for nothing, again and again
		}
		w.is(UndoStuck, "slow", Unknown)
		w.operate("retry", "")
		w.is(Compensating, "slow", Sent)
		w.settle()
	}
}
