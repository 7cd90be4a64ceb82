package rulestest

import (
	"fmt"
	"slices"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

// order is about what comes after what.
func order() []rule {
	return []rule{
		{"steps come one after the other, those of a Parallel at once", func(t *trial) {
			p := t.stage(saga(does("a"), sagas.Parallel[trip]{does("b"), does("c"), does("d")}, does("e")))
			p.run("1")
			p.wantState("1", sagas.Completed)
			a := p.together("1", "succeeded a")
			if at := p.together("1", "sent b", "sent c", "sent d"); at != a {
				t.Errorf("a was done at %d, and those after it began at %d", a, at)
			}
			last := max(p.together("1", "succeeded b"), p.together("1", "succeeded c"), p.together("1", "succeeded d"))
			if at := p.together("1", "sent e"); at != last {
				t.Errorf("the last of the three was done at %d, and e began at %d", last, at)
			}
			facts := p.facts("1")
			if len(facts) != 5 || facts[0] != "did a" || facts[4] != "did e" {
				t.Errorf("it was so: %q", facts)
			}
		}},
		{"what an instance does at one time is one commit, and each command is sent and decided once", func(t *trial) {
			p := t.stage(saga(does("a"), sagas.Parallel[trip]{does("b"), does("c")}, sagas.Pivot[trip](final("d")), final("e")))
			p.run("1")
			p.wantState("1", sagas.Completed)
			commands := map[string]int{}
			for _, e := range p.Events(eventstore.OfType("act")) {
				commands[e.Metadata.ReplyTo]++
			}
			for _, to := range []string{"a", "b", "c", "d", "e"} {
				if n := commands["saga.trip-1/"+to+"/1/do"]; n != 1 {
					t.Errorf("there are %d commands of %s: %v", n, to, commands)
				}
			}
			if n := len(p.Events(eventstore.OfType("command accepted"))); n != 5 {
				t.Errorf("%d commands were accepted, want 5", n)
			}
		}},
		{"a saga without outcomes listed goes on by the replies", func(t *trial) {
			a, b := does("a"), does("b")
			a.On, b.On = nil, nil
			p := t.stage(saga(a, b))
			p.run("1")
			p.want("1", "sent a", "succeeded a", "sent b", "succeeded b", "turned completed")
		}},
		{"a saga of many steps is no runaway", func(t *trial) {
			var steps []sagas.Node[trip]
			most := 60
			if !t.virtual {
				most = 20
			}
			for i := range most {
				steps = append(steps, does(fmt.Sprint("s", i)))
			}
			p := t.stage(saga(steps...))
			p.run("1")
			p.wantState("1", sagas.Completed)
			p.wantParked()
		}},
		{"nor is one that tries again without end, and in haste", func(t *trial) {
			b := final("b")
			b.Retry = sagas.Retry{Base: 2 * time.Millisecond, Most: 2 * time.Millisecond}
			tries := 45 // of which each adds to the depth, if anything does
			if !t.virtual {
				tries = 10 // a server takes its time; in memory it is tried in full
			}
			t.world.will("b", slices.Repeat([]says{no}, tries)...)
			p := t.stage(saga(sagas.Pivot[trip](final("a")), b))
			p.run("1")
			p.wantState("1", sagas.Completed)
			p.wantParked()
		}},
		{"a start that comes twice begins one instance, and one that comes late none", func(t *trial) {
			s := saga(does("a"))
			s.Start = sagas.StartOn(func(e wanted) (string, trip) { return e.Trip, trip{ID: e.Trip} })
			p := t.stage(s)
			for range 2 {
				_, err := p.sp.Emit(p.Ctx, wanted{"1"})
				p.must(err)
			}
			p.end()
			_, err := p.sp.Emit(p.Ctx, wanted{"1"})
			p.must(err)
			p.end()
			p.want("1", "sent a", "succeeded a", "turned completed")
			p.wantParked()
		}},
		{"a start without an id is parked, and holds nobody up", func(t *trial) {
			s := saga(does("a"))
			s.Start = sagas.StartOn(func(e wanted) (string, trip) { return e.Trip, trip{ID: e.Trip} })
			p := t.stage(s)
			for _, id := range []string{"", "1"} {
				_, err := p.sp.Emit(p.Ctx, wanted{id})
				p.must(err)
			}
			p.end()
			p.wantState("1", sagas.Completed)
			p.wantParked("saga.trip")
		}},
		{"a second start by a command is refused, and the same command gets the same answer", func(t *trial) {
			p := t.stage(saga(does("a")))
			first := spine.WithID(eventID, begin{"1"})
			_, err := p.sp.Send(p.Ctx, first)
			p.must(err)
			_, err = p.sp.Send(p.Ctx, first)
			p.must(err)
			if _, err := p.sp.Send(p.Ctx, begin{"1"}); !isRejected(err) {
				t.Errorf("the second one: %v", err)
			}
			p.end()
			if _, err := p.sp.Send(p.Ctx, begin{"1"}); !isRejected(err) {
				t.Errorf("one after the end: %v", err)
			}
			p.want("1", "sent a", "succeeded a", "turned completed")
			if _, err := p.sp.Send(p.Ctx, begin{" "}); err == nil {
				t.Error("an instance without an id has begun")
			}
		}},
	}
}

// wantParked compares the organs that have parked anything.
func (p *play) wantParked(organs ...string) {
	p.Helper()
	var got []string
	for _, e := range p.Parked("") {
		got = append(got, e.Consumer)
	}
	if !slices.Equal(got, organs) {
		p.Errorf("parked was for %q, want %q: %+v", got, organs, p.Parked(""))
	}
}
