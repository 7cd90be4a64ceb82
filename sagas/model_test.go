package sagas

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// arbitrary is a saga with any steps.
func arbitrary(t *rapid.T) Saga[[]string] {
	n := 0
	action := func(label, step string) Action[[]string] {
		if rapid.IntRange(0, 3).Draw(t, label) == 0 {
			return calling()
		}
		return ordering(step)
	}
	attempts := rapid.SampledFrom([]int{0, 1, 2, 3})
	step := func(past bool) Step[[]string] {
		n++
		s := Step[[]string]{
			ID: fmt.Sprintf("s%d", n), Do: action("do", "do"),
			Retry:     Retry{attempts.Draw(t, "attempts"), time.Second, 10 * time.Second},
			UndoRetry: Retry{attempts.Draw(t, "attempts to undo"), time.Second, 10 * time.Second},
			Timeout:   rapid.SampledFrom([]time.Duration{0, 5 * time.Second}).Draw(t, "timeout"),
		}
		if !past && rapid.IntRange(0, 4).Draw(t, "has undo") > 0 {
			s.Undo = action("undo", "undo")
		}
		if rapid.Bool().Draw(t, "on") {
			s.On = Outcomes[[]string]{Success(takes)}
		}
		return s
	}
	saga := Saga[[]string]{Deadline: rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(t, "deadline")}
	pivot, past := rapid.IntRange(-1, 4).Draw(t, "pivot"), false
	for i := range rapid.IntRange(1, 5).Draw(t, "nodes") {
		kind := rapid.IntRange(0, 5).Draw(t, "node")
		if kind == 0 && !past {
			saga.Steps = append(saga.Steps, Savepoint[[]string]{Retry{Attempts: 2, Base: 20 * time.Second}})
		}
		switch {
		case i == pivot:
			saga.Steps, past = append(saga.Steps, Pivot[[]string](step(true))), true
		case kind == 1 || kind == 2:
			var p Parallel[[]string]
			for range rapid.IntRange(1, 3).Draw(t, "parallel") {
				p = append(p, step(past))
			}
			saga.Steps = append(saga.Steps, p)
		default:
			saga.Steps = append(saga.Steps, step(past))
		}
	}
	return saga
}

func TestInstanceKeepsItsPromisesWhateverHappensAndInWhateverOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := beginOf(t, arbitrary(t))
		unless := func(not bool) {
			if not {
				t.Skip()
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"decide": func(t *rapid.T) {
				unless(len(w.open) == 0)
				id, all := rapid.SampledFrom(w.open).Draw(t, "which"), []What{Succeeded, Succeeded, Refused}
				if w.sent[id].call {
					all = append(all, Unknown, Waiting)
				}
				w.decide(id, rapid.SampledFrom(all).Draw(t, "verdict"))
			},
			"deliver": func(*rapid.T) { unless(len(w.replies) == 0); w.deliver() },
			"deliver again": func(t *rapid.T) {
				unless(len(w.old) == 0)
				w.answer(rapid.SampledFrom(w.old).Draw(t, "old"))
			},
			"pass": func(*rapid.T) { unless(w.inst.wake.Due.IsZero()); w.pass() },
			"operate": func(t *rapid.T) {
				verb, stuck := rapid.SampledFrom([]string{"retry", "skip", "cancel", "suspend", "resume", "resume"}).Draw(t, "verb"), ""
				for id, p := range w.inst.steps {
					if p.phase == Stuck {
						stuck = max(stuck, id)
					}
				}
				w.operate(verb, stuck)
			},
		})
		w.settle()
	})
}
