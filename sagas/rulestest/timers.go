package rulestest

import (
	"strings"
	"time"

	"github.com/necrostack/necrostack/sagas"
)

// timers is about time.
func timers() []rule {
	return []rule{
		{"a timeout never comes early, and once each after a time when nobody was there", func(t *trial) {
			p := t.stage(saga(t.within(farOff("a"), 3, 3)))
			ids := []string{"1", "2", "3", "4", "5"}
			for _, id := range ids {
				p.begin(id)
			}
			p.Drain(p.sp)
			p.pass(20 * t.unit) // nobody is there
			p.end()
			why := "no outcome within " + (3 * t.unit).String()
			for _, id := range ids {
				p.wantState(id, sagas.Compensated)
				p.want(id, "sent a", "waiting a: "+why, "sent a, attempt 2", "waiting a: "+why, "sent a, attempt 3", "unknown a: "+why,
					"turned compensating: a: "+why, "sent undo a", "succeeded undo a", "turned compensated")
				p.wantInTime(id)
			}
		}},
		{"an instance has one timer, and none when it has ended", func(t *trial) {
			s := saga(does("a"), t.within(farOff("b"), 3, 2), does("c"))
			s.Deadline = time.Hour
			p := t.stage(s)
			p.run("1")
			p.wantState("1", sagas.Compensated)
			if next := p.Drain(p.sp); !next.IsZero() {
				t.Errorf("something is due at %s", next)
			}
		}},
		{"an instance that is suspended has no timer, and when it is resumed what is due happens at once", func(t *trial) {
			p := t.stage(saga(does("a"), t.within(farOff("b"), 20, 1), does("c")))
			p.begin("1")
			p.Drain(p.sp)
			p.must(p.instances().Suspend(p.Ctx, "1", by))
			if next := p.Drain(p.sp); !next.IsZero() {
				t.Errorf("something is due at %s", next)
			}
			p.pass(21 * t.unit)
			p.Drain(p.sp)
			p.wantState("1", sagas.Suspended)
			p.must(p.instances().Resume(p.Ctx, "1", by))
			p.end()
			p.wantState("1", sagas.Compensated)
			p.wantFacts("1", "did a", "undid a")
		}},
		{"an instance that is suspended notes what comes, and goes on from there", func(t *trial) {
			p := t.stage(saga(does("a"), does("b")))
			p.begin("1")
			p.must(p.instances().Suspend(p.Ctx, "1", by))
			p.end()
			p.want("1", "sent a", "turned suspended by ann: it must go on", "succeeded a")
			p.must(p.instances().Resume(p.Ctx, "1", by))
			p.end()
			p.want("1", "sent a", "turned suspended by ann: it must go on", "succeeded a", "turned running by ann: it must go on",
				"sent b", "succeeded b", "turned completed")
		}},
	}
}

// wantInTime compares the times of what has happened with the times before which it must not.
func (p *play) wantInTime(id string) {
	p.Helper()
	last := map[string]sagas.Entry{}
	for _, e := range p.show(id).Entries {
		before := last[e.Step]
		timedOut := before.What == sagas.Sent && strings.HasPrefix(e.Why, "no outcome within")
		again := before.What == sagas.Waiting && e.What == sagas.Sent
		if (timedOut || again) && e.Undo == before.Undo && e.Time.Before(before.Until) {
			p.Errorf("%s: %s at %s, before %s", id, tell(e.Move), e.Time, before.Until)
		}
		last[e.Step] = e
	}
}

func until(t time.Time) time.Duration { return time.Until(t) }
