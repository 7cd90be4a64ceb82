package rulestest

import (
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/sagas"
)

// undo is about what becomes of a saga that turns back.
func undo() []rule {
	return []rule{
		{"what was done is undone in reverse, and what was refused or never began is not", func(t *trial) {
			t.world.will("c", no)
			p := t.stage(saga(does("a"), does("b"), does("c"), does("d")))
			p.run("1")
			p.want("1", "sent a", "succeeded a", "sent b", "succeeded b", "sent c", "refused c: no",
				"turned compensating: c: no", "sent undo b", "succeeded undo b", "sent undo a", "succeeded undo a", "turned compensated")
			p.wantFacts("1", "did a", "did b", "undid b", "undid a")
		}},
		{"steps of a Parallel are undone at once, after all that came behind them and before what came before", func(t *trial) {
			t.world.will("e", no)
			p := t.stage(saga(does("a"), sagas.Parallel[trip]{does("b"), does("c")}, does("d"), does("e")))
			p.run("1")
			p.wantState("1", sagas.Compensated)
			d := p.together("1", "succeeded undo d")
			if at := p.together("1", "sent undo b", "sent undo c"); at != d {
				t.Errorf("d was undone at %d, and the undoing of those before it began at %d", d, at)
			}
			last := max(p.together("1", "succeeded undo b"), p.together("1", "succeeded undo c"))
			if at := p.together("1", "sent undo a"); at != last {
				t.Errorf("the last of the two was undone at %d, and the undoing of a began at %d", last, at)
			}
			if facts := p.facts("1"); len(facts) != 8 {
				t.Errorf("it was so: %q", facts)
			}
		}},
		{"what is under way beside a refused step is waited for, and undone", func(t *trial) {
			t.world.will("b", no)
			p := t.stage(saga(sagas.Parallel[trip]{farOff("a"), does("b")}))
			p.begin("1")
			p.until(func() bool { return len(p.at("1", "refused b: no")) == 1 })
			p.wantState("1", sagas.Running)
			p.comes()
			p.wantState("1", sagas.Compensated)
			p.wantFacts("1", "did a") // the one who undoes it is another, and has not seen it
			p.together("1", "succeeded undo a")
			if n := len(p.at("1", "sent undo b")); n != 0 {
				t.Errorf("what was refused was undone %d times", n)
			}
		}},
		{"a step without an Undo is passed over", func(t *trial) {
			t.world.will("c", no)
			p := t.stage(saga(does("a"), final("b"), does("c")))
			p.run("1")
			p.want("1", "sent a", "succeeded a", "sent b", "succeeded b", "sent c", "refused c: no", "turned compensating: c: no",
				"succeeded undo b: nothing to undo", "sent undo a", "succeeded undo a", "turned compensated")
			p.wantFacts("1", "did a", "did b", "undid a")
		}},
		{"a step whose outcome is unknown is undone, and its command refused should it come by late", func(t *trial) {
			p := t.stage(saga(does("a"), t.within(farOff("b"), 2, 2), does("c")))
			p.run("1")
			why := "no outcome within " + (2 * t.unit).String()
			p.want("1", "sent a", "succeeded a", "sent b", "waiting b: "+why, "sent b, attempt 2", "unknown b: "+why,
				"turned compensating: b: "+why, "sent undo b", "succeeded undo b", "sent undo a", "succeeded undo a", "turned compensated")
			p.comes()
			if err := p.Store.WaitFor(p.Ctx, "away", p.Head()); err != nil {
				t.Error(err)
			}
			p.wantFacts("1", "did a", "undid a")
			p.wantState("1", sagas.Compensated)
		}},
		{"an outcome that comes after all attempts, but before it is undone, counts", func(t *trial) {
			t.world.will("a", mute)
			a := t.within(does("a"), 2, 1)
			p := t.stage(saga(sagas.Parallel[trip]{a, t.within(farOff("b"), 80, 1)}, does("c")))
			p.begin("1")
			p.until(func() bool { return len(p.at("1", "unknown a: no outcome within "+a.Timeout.String())) == 1 })
			p.answer("1", "a", 1, false, did{"a"})
			p.Drain(p.sp)
			p.wantState("1", sagas.Running)
			p.together("1", "succeeded a")
			p.comes()
			p.wantState("1", sagas.Completed)
		}},
		{"an undoing that is refused is tried again as another command, one without an outcome as the same", func(t *trial) {
			t.world.will("c", no)
			t.world.will("undo a", no, no)
			a, b := does("a"), t.within(does("b"), 2, 1)
			a.UndoRetry, b.UndoRetry = t.tries(5), t.tries(5)
			b.Undo = sagas.Command(func(s trip) far { return far{s.ID, "b-undone"} })
			p := t.stage(saga(a, b, does("c")))
			p.begin("1")
			p.until(func() bool { return len(p.at("1", "sent undo b, attempt 2")) == 1 })
			p.comes()
			p.wantState("1", sagas.Compensated)
			p.together("1", "sent undo a, cycle 3, attempt 3")
			if n := t.world.asks("b-undone", "1"); n != 1 {
				t.Errorf("it was undone as %d commands, want 1", n)
			}
			if facts := p.facts("1"); len(facts) != 4 { // did a, did b, b-undone, undid a
				t.Errorf("it was so: %q", facts)
			}
		}},
		{"after its deadline what was done is undone, once what is under way has come to something", func(t *trial) {
			s := saga(does("a"), sagas.Parallel[trip]{does("b"), t.within(farOff("c"), 9, 1)}, does("d"))
			s.Deadline = 3 * t.unit
			p := t.stage(s)
			begun := time.Now()
			p.run("1")
			why := "not done within " + s.Deadline.String()
			turned := p.timeOf("1", "turned compensating: "+why)
			if d := turned.Sub(begun); d < s.Deadline {
				t.Errorf("it turned back after %s, before its deadline", d)
			}
			if unknown := p.timeOf("1", "unknown c: no outcome within "+(9*t.unit).String()); unknown.Sub(begun) < 9*t.unit {
				t.Errorf("c was given up after %s", unknown.Sub(begun))
			}
			p.wantState("1", sagas.Compensated)
			if got := p.show("1").Reason; got != why {
				t.Errorf("the reason is %q, want %q", got, why)
			}
		}},
		{"a savepoint has what comes behind it done again, so often as it says, and then all is undone", func(t *trial) {
			t.world.will("c", no, no, no)
			p := t.stage(saga(does("a"), sagas.Savepoint[trip]{Retry: t.tries(2)}, does("b"), does("c")))
			p.run("1")
			p.want("1", "sent a", "succeeded a", "sent b", "succeeded b", "sent c", "refused c: no", "turned compensating: c: no",
				"sent undo b", "succeeded undo b", "turned running", "waiting b",
				"sent b, cycle 2", "succeeded b", "sent c, cycle 2", "refused c: no", "turned compensating: c: no",
				"sent undo b, cycle 2", "succeeded undo b", "turned running", "waiting b",
				"sent b, cycle 3", "succeeded b", "sent c, cycle 3", "refused c: no", "turned compensating: c: no",
				"sent undo b, cycle 3", "succeeded undo b", "sent undo a", "succeeded undo a", "turned compensated")
		}},
		{"a savepoint helps", func(t *trial) {
			t.world.will("c", no)
			p := t.stage(saga(does("a"), sagas.Savepoint[trip]{Retry: t.tries(2)}, does("b"), sagas.Pivot[trip](final("c")), final("d")))
			p.run("1")
			p.wantState("1", sagas.Completed)
			p.wantFacts("1", "did a", "did b", "undid b", "did b", "did c", "did d")
		}},
		{"what waits to be done again behind a savepoint is not undone again", func(t *trial) {
			t.world.will("c", no)
			wait := sagas.Retry{Attempts: 2, Base: 40 * t.unit, Most: 40 * t.unit}
			p := t.stage(saga(does("a"), sagas.Savepoint[trip]{Retry: wait}, does("b"), does("c")))
			p.begin("1")
			p.Drain(p.sp)
			p.together("1", "waiting b")
			p.must(p.instances().Cancel(p.Ctx, "1", by))
			p.end()
			p.wantState("1", sagas.Cancelled)
			p.wantFacts("1", "did a", "did b", "undid b", "undid a")
			p.together("1", "sent undo b")
			if n := len(p.at("1", "sent undo b, cycle 2")); n != 0 {
				t.Error("b was undone twice")
			}
		}},
		{"a deadline holds while a pivot waits behind a savepoint", func(t *trial) {
			t.world.will("b", no)
			wait := sagas.Retry{Attempts: 2, Base: 40 * t.unit, Most: 40 * t.unit}
			s := saga(does("a"), sagas.Savepoint[trip]{Retry: wait}, sagas.Pivot[trip](final("b")))
			s.Deadline = 4 * t.unit
			p := t.stage(s)
			p.run("1")
			p.wantState("1", sagas.Compensated)
			p.wantFacts("1", "did a", "undid a")
		}},
	}
}

// answer puts an event into the log that follows from a step's command.
func (p *play) answer(id, step string, cycle int, undo bool, e eventstore.Payload) {
	p.Helper()
	_, err := p.sp.Emit(p.Ctx, eventstore.Draft{Payload: e, Stream: eventstore.StreamOf("late", id), ReplyTo: address(id, step, cycle, undo)})
	p.must(err)
}

// timeOf is when a move happened, of which there has to be one.
func (p *play) timeOf(id, move string) time.Time {
	p.Helper()
	at := p.together(id, move)
	for _, e := range p.show(id).Entries {
		if e.Position == at {
			return e.Time
		}
	}
	return time.Time{}
}
