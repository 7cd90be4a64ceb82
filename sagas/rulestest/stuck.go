package rulestest

import (
	"errors"

	"github.com/necrostack/necrostack/sagas"
)

// stuck is about what cannot go on by itself, and who helps.
func stuck() []rule {
	undone := func(t *trial, script ...says) *play {
		t.world.will("c", no)
		t.world.will("undo b", script...)
		b := does("b")
		b.UndoRetry = t.tries(2)
		p := t.stage(saga(does("a"), b, does("c")))
		p.run("1")
		p.wantState("1", sagas.UndoStuck)
		p.wantFacts("1", "did a", "did b")
		p.together("1", "turned undo stuck: b: no")
		return p
	}
	forward := func(t *trial, script ...says) *play {
		t.world.will("c", script...)
		c := final("c")
		c.Retry = t.tries(2)
		p := t.stage(saga(does("a"), sagas.Pivot[trip](final("b")), c, final("d")))
		p.run("1")
		p.wantState("1", sagas.ForwardStuck)
		p.wantFacts("1", "did a", "did b")
		p.together("1", "turned forward stuck: c: no")
		return p
	}
	return []rule{
		{"an undoing that uses up its attempts is stuck, and Retry has it tried as often again", func(t *trial) {
			p := undone(t, no, no, no, no)
			p.must(p.instances().Retry(p.Ctx, "1", by))
			p.end()
			p.wantState("1", sagas.UndoStuck)
			p.must(p.instances().Retry(p.Ctx, "1", by))
			p.end()
			p.wantState("1", sagas.Compensated)
			p.wantFacts("1", "did a", "did b", "undid b", "undid a")
			if n := len(p.at("1", "retried undo b by ann: it must go on")); n != 2 {
				t.Errorf("the timeline shows %d retries, want 2", n)
			}
		}},
		{"Skip has an undoing that is stuck taken for undone", func(t *trial) {
			p := undone(t, no, no)
			if err := p.instances().Skip(p.Ctx, "1", "a", by); !errors.Is(err, sagas.ErrNotNow) {
				t.Errorf("skip what is not stuck: %v", err)
			}
			p.must(p.instances().Skip(p.Ctx, "1", "b", by))
			p.end()
			p.wantState("1", sagas.Compensated)
			p.wantFacts("1", "did a", "did b", "undid a")
			p.together("1", "skipped undo b by ann: it must go on")
		}},
		{"a step behind the pivot that uses up its attempts is stuck, and Retry has it tried as often again", func(t *trial) {
			p := forward(t, no, no, no, no)
			p.must(p.instances().Retry(p.Ctx, "1", by))
			p.end()
			p.wantState("1", sagas.ForwardStuck)
			p.must(p.instances().Retry(p.Ctx, "1", by))
			p.end()
			p.wantState("1", sagas.Completed)
			p.wantFacts("1", "did a", "did b", "did c", "did d")
			p.together("1", "sent c, cycle 5")
		}},
		{"Skip has a step behind the pivot that is stuck taken for done", func(t *trial) {
			p := forward(t, no, no)
			p.must(p.instances().Skip(p.Ctx, "1", "c", by))
			p.end()
			p.wantState("1", sagas.Completed)
			p.wantFacts("1", "did a", "did b", "did d")
		}},
		{"the pivot itself can be retried and skipped when it is stuck", func(t *trial) {
			b := t.within(farOff("b"), 2, 2)
			b.Undo = sagas.Action[trip]{}
			p := t.stage(saga(does("a"), sagas.Pivot[trip](b), final("c")))
			p.run("1")
			p.wantState("1", sagas.ForwardStuck)
			p.must(p.instances().Retry(p.Ctx, "1", by))
			p.end()
			p.wantState("1", sagas.ForwardStuck)
			p.must(p.instances().Skip(p.Ctx, "1", "b", by))
			p.end()
			p.wantState("1", sagas.Completed)
			p.wantFacts("1", "did a", "did c")
		}},
		{"what is under way while an undoing is stuck is given up in time, and undone once that is not", func(t *trial) {
			t.world.will("undo a", no)
			a := does("a")
			a.UndoRetry = sagas.Retry{Attempts: 1}
			s := saga(sagas.Parallel[trip]{a, t.within(farOff("b"), 6, 3)}, does("c"))
			s.Deadline = 3 * t.unit
			p := t.stage(s)
			p.begin("1")
			for range 60 { // of the loop that this would be, if it were one
				next := p.Drain(p.sp)
				if next.IsZero() {
					break
				}
				p.pass(until(next))
			}
			p.wantState("1", sagas.UndoStuck)
			p.together("1", "unknown b: no outcome within "+(6*t.unit).String())
			p.must(p.instances().Retry(p.Ctx, "1", by))
			p.end()
			p.wantState("1", sagas.Compensated)
			p.wantFacts("1", "did a", "undid a")
			p.together("1", "succeeded undo b")
		}},
		{"nothing that is not stuck can be retried or skipped", func(t *trial) {
			p := t.stage(saga(farOff("a")))
			p.begin("1")
			p.Drain(p.sp)
			for what, err := range map[string]error{
				"retry":           p.instances().Retry(p.Ctx, "1", by),
				"skip":            p.instances().Skip(p.Ctx, "1", "a", by),
				"skip no step":    p.instances().Skip(p.Ctx, "1", "z", by),
				"resume":          p.instances().Resume(p.Ctx, "1", by),
				"without a who":   p.instances().Suspend(p.Ctx, "1", sagas.By{Why: "so"}),
				"without a why":   p.instances().Suspend(p.Ctx, "1", sagas.By{Who: "ann"}),
				"of no instance":  p.instances().Suspend(p.Ctx, "2", by),
				"without an name": p.instances().Suspend(p.Ctx, "", by),
			} {
				if err == nil {
					t.Errorf("%s: it was done", what)
				}
			}
			p.want("1", "sent a")
		}},
	}
}
