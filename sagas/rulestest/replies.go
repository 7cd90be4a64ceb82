package rulestest

import (
	"context"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

// replies is about which outcomes count.
func replies() []rule {
	return []rule{
		{"an outcome that comes twice, or late, or of another cycle, changes nothing", func(t *trial) {
			t.world.will("b", no)
			p := t.stage(saga(does("a"), sagas.Savepoint[trip]{Retry: t.tries(1)}, does("b"), farOff("c")))
			p.begin("1")
			p.until(func() bool { return len(p.at("1", "sent c")) == 1 })
			before := told(p.show("1"))
			for _, cycle := range []int{0, 1, 2, 3} {
				for _, undo := range []bool{false, true} {
					p.answer("1", "a", cycle, undo, did{"a"})
					p.answer("1", "b", cycle, undo, did{"b"})
				}
			}
			p.Drain(p.sp)
			p.want("1", before...)
			if got := p.show("1").Result; string(got) != `{"ID":"1","Did":["a","b"]}` {
				t.Errorf("it remembers %s", got)
			}
			p.comes()
			p.wantState("1", sagas.Completed)
			p.answer("1", "c", 1, false, did{"c"})
			p.Drain(p.sp)
			p.wantState("1", sagas.Completed)
		}},
		{"an outcome for an instance, a step or a saga that there is not changes nothing", func(t *trial) {
			p := t.stage(saga(farOff("a")))
			p.begin("1")
			p.answer("2", "a", 1, false, did{"a"})
			p.answer("1", "z", 1, false, did{"z"})
			for _, to := range []string{"saga.trip-", "saga.trip-1", "saga.trip-1/a/x/do", "saga.trip-1/a/1/be", "saga.other-1/a/1/do", "a/1/do", "-///"} {
				_, err := p.sp.Emit(p.Ctx, eventstore.Draft{Payload: did{"a"}, Stream: "late-1", ReplyTo: to})
				p.must(err)
			}
			p.Drain(p.sp)
			p.want("1", "sent a")
			p.wantParked()
			for _, err := range p.instances().List(p.Ctx, sagas.Which{}) {
				p.must(err)
			}
		}},
		{"the reply to a command that only follows from a step's is none of the step's", func(t *trial) {
			t.world.will("other", no)
			a := does("a")
			a.Do = sagas.Command(func(s trip) act { return act{s.ID, "slow"} })
			t.world.will("slow", mute)
			p := t.stage(saga(a, does("b")))
			chatter := organs.Reactor{Name: "chatter", Sends: []spine.Command{act{}}, On: organs.Reactions{
				organs.React(func(_ context.Context, _ eventstore.Recorded[heard]) (organs.Events, error) {
					return organs.Events{spine.Post(act{"x", "other"})}, nil
				}),
			}}
			p.sp = t.Spine(t.Store, spine.Config{}, p.saga, t.world.near(), chatter)
			p.begin("1")
			p.Drain(p.sp)
			p.want("1", "sent a") // though a command that followed was refused
			p.answer("1", "a", 1, false, did{"a"})
			p.end()
			p.wantState("1", sagas.Completed)
		}},
	}
}
