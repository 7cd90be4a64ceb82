package sagas

import (
	"testing"
	"time"
)

func TestRefusalThatComesWhenAStepIsStuckHasItTriedAnewOnceItIsRetried(t *testing.T) {
	t.Parallel()
	once := Retry{Attempts: 1}
	stuck := taking("hotel")
	stuck.UndoRetry = once
	w := begin(t, stuck, taking("refused"))
	w.comes("hotel", false, Succeeded)
	w.comes("refused", false, Refused)
	until(w, UndoStuck)
	w.comes("hotel", true, Refused)
	w.is(UndoStuck, "hotel", Stuck)
	if w.operate("retry", ""); len(w.open) != 1 {
		t.Error("what undoes the step is not sent by another id: the one that was refused is answered for ever")
	}
	w.settle()

	w = begin(t, Pivot[[]string]{ID: "pivot", Do: ordering("pivot")}, Step[[]string]{ID: "mail", Do: ordering("mail"), Retry: once})
	w.comes("pivot", false, Succeeded)
	until(w, ForwardStuck)
	w.operate("suspend", "")
	w.comes("mail", false, Refused)
	w.is(Suspended, "mail", Stuck)
	w.operate("resume", "")
	if w.operate("retry", ""); len(w.open) != 1 {
		t.Error("the step is not sent by another id")
	}
	w.settle()
}

// until lets time pass until the instance is in a state.
func until(w *world, s State) {
	w.t.Helper()
	for end := w.now.Add(24 * time.Hour); w.inst.status != s && w.now.Before(end); {
		w.pass()
	}
	if w.inst.status != s {
		w.t.Fatalf("it is %s, not %s", w.inst.status, s)
	}
}
