package rulestest

import (
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

// pivots is about the step after which there is no way back.
func pivots() []rule {
	return []rule{
		{"a refusal of the pivot has all before it undone", func(t *trial) {
			t.world.will("b", no)
			p := t.stage(saga(does("a"), sagas.Pivot[trip](final("b")), final("c")))
			p.run("1")
			p.want("1", "sent a", "succeeded a", "sent b", "refused b: no", "turned compensating: b: no",
				"sent undo a", "succeeded undo a", "turned compensated")
		}},
		{"after the pivot nothing is undone: what is refused is tried again as another command", func(t *trial) {
			t.world.will("c", no, no, no, no, no)
			c := final("c")
			c.Retry = t.tries(0) // without end
			p := t.stage(saga(does("a"), sagas.Pivot[trip](final("b")), c, final("d")))
			p.run("1")
			p.wantState("1", sagas.Completed)
			p.wantFacts("1", "did a", "did b", "did c", "did d")
			p.together("1", "sent c, cycle 6, attempt 6")
			p.together("1", "turned forward only")
		}},
		{"a pivot whose outcome is unknown is tried again as the same command, never taken for failed", func(t *trial) {
			b := t.within(farOff("b"), 2, 0)
			b.Undo = sagas.Action[trip]{}
			p := t.stage(saga(does("a"), sagas.Pivot[trip](b), final("c")))
			p.begin("1")
			p.until(func() bool { return len(p.at("1", "sent b, attempt 5")) == 1 })
			p.wantState("1", sagas.Running)
			p.comes()
			p.wantState("1", sagas.Completed)
			p.wantFacts("1", "did a", "did b", "did c")
			if n := t.world.asks("b", "1"); n != 1 {
				t.Errorf("the pivot was decided as %d commands, want 1", n)
			}
		}},
		{"the deadline does not turn back a pivot that is under way, nor what comes after it", func(t *trial) {
			b := t.within(farOff("b"), 2, 0)
			b.Undo = sagas.Action[trip]{}
			t.world.will("c", no, no, no, no)
			c := final("c")
			c.Retry = t.tries(0)
			s := saga(does("a"), sagas.Pivot[trip](b), c)
			s.Deadline = 4 * t.unit
			p := t.stage(s)
			p.begin("1")
			p.until(func() bool { return len(p.at("1", "sent b, attempt 5")) == 1 })
			p.wantState("1", sagas.Running)
			p.comes()
			p.wantState("1", sagas.Completed)
			p.wantFacts("1", "did a", "did b", "did c")
		}},
		{"neither can an operator cancel a pivot that is under way, nor what comes after it", func(t *trial) {
			b := t.within(farOff("b"), 2, 0)
			b.Undo = sagas.Action[trip]{}
			t.world.will("c", no)
			c := final("c")
			c.Retry = sagas.Retry{Attempts: 1}
			p := t.stage(saga(does("a"), sagas.Pivot[trip](b), c))
			p.begin("1")
			refused := func(when string) {
				t.Helper()
				if err := p.instances().Cancel(p.Ctx, "1", by); !errors.Is(err, sagas.ErrNotNow) {
					t.Errorf("%s: cancel: %v", when, err)
				}
			}
			p.Drain(p.sp)
			refused("under way")
			p.until(func() bool { return len(p.at("1", "waiting b: no outcome within "+b.Timeout.String())) > 0 })
			refused("waiting")
			p.comes()
			p.wantState("1", sagas.ForwardStuck)
			refused("stuck behind the pivot")
			p.must(p.instances().Skip(p.Ctx, "1", "c", by))
			p.end()
			p.wantState("1", sagas.Completed)
			refused("ended")
		}},
		{"a pivot that is stuck goes on by its outcome, should it come yet", func(t *trial) {
			for word, answer := range map[string]says{"yes": yes, "no": no} {
				id := "with " + word
				t.world.will(id+"/b", answer)
				b := t.within(farOff("b"), 2, 2)
				b.Undo = sagas.Action[trip]{}
				s := saga(does("a"), sagas.Pivot[trip](b), final("c"))
				p := t.stage(s)
				p.run(id)
				p.wantState(id, sagas.ForwardStuck)
				p.comes()
				if answer == yes {
					p.wantState(id, sagas.Completed)
					p.wantFacts(id, "did a", "did b", "did c")
				} else {
					p.wantState(id, sagas.Compensated)
					p.wantFacts(id, "did a", "undid a")
				}
			}
		}},
		{"what goes wrong beside others behind the pivot does not keep them from going on", func(t *trial) {
			t.world.will("c", no)
			c := final("c")
			c.Retry = sagas.Retry{Attempts: 1}
			t.world.will("d", no, no)
			d := final("d")
			d.Retry = t.tries(0)
			p := t.stage(saga(sagas.Pivot[trip](final("b")), sagas.Parallel[trip]{c, d}, final("e")))
			p.run("1")
			p.wantState("1", sagas.ForwardStuck)
			p.wantFacts("1", "did b", "did d")
			p.must(p.instances().Retry(p.Ctx, "1", by))
			p.end()
			p.wantState("1", sagas.Completed)
			p.wantFacts("1", "did b", "did d", "did c", "did e")
		}},
	}
}

// address is where the outcome of a step goes.
func address(id, step string, cycle int, undo bool) string {
	verb := "do"
	if undo {
		verb = "undo"
	}
	return fmt.Sprintf("saga.trip-%s/%s/%d/%s", id, step, cycle, verb)
}

var eventID = uuid.MustParse("018f4b1e-0000-7000-8000-000000000001")

func isRejected(err error) bool {
	_, is := errors.AsType[*spine.RejectedError](err)
	return is
}
