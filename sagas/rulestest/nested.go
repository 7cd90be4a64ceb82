package rulestest

import (
	"strings"

	"github.com/necrostack/necrostack/sagas"
)

type beginInner struct{ Trip string }

func (beginInner) CommandType() string { return "begin inner" }
func (c beginInner) StreamID() string  { return c.Trip }

// inner is a saga that others begin as a step.
func inner(steps ...sagas.Node[trip]) sagas.Saga[trip] {
	s := saga(steps...)
	s.Name = "inner"
	s.Start = sagas.StartBy(func(c beginInner) (trip, error) {
		if strings.HasPrefix(c.Trip, "bad") {
			return trip{}, errNo
		}
		return trip{ID: c.Trip}, nil
	})
	return s
}

// nests is a step b that begins an inner saga.
func nests() sagas.Step[trip] {
	s := does("b")
	s.Do, s.On = sagas.Nested(func(s trip) beginInner { return beginInner{s.ID} }), nil
	return s
}

func (t *trial) stageBoth(outer, inner sagas.Saga[trip]) *play {
	t.Helper()
	p := t.stage(outer, inner)
	p.inner = inner
	return p
}

// wantInner compares the state of an instance of the inner saga.
func (p *play) wantInner(id string, want sagas.State) {
	p.Helper()
	line, err := p.inner.Instances(p.Store).Show(p.Ctx, id)
	p.must(err)
	if line.State != want {
		p.Errorf("the inner %s is %s, want %s: %q", id, line.State, want, told(line))
	}
}

// nested is about steps that are sagas.
func nested() []rule {
	return []rule{
		{"a saga as a step is done when it is completed", func(t *trial) {
			p := t.stageBoth(saga(does("a"), nests(), does("c")), inner(does("x"), sagas.Pivot[trip](final("y")), final("z")))
			p.run("1")
			p.want("1", "sent a", "succeeded a", "sent b", "succeeded b", "sent c", "succeeded c", "turned completed")
			p.wantInner("1", sagas.Completed)
			p.wantFacts("1", "did a", "did x", "did y", "did z", "did c")
		}},
		{"one that was compensated is a refusal", func(t *trial) {
			t.world.will("y", no)
			p := t.stageBoth(saga(does("a"), nests(), does("c")), inner(does("x"), does("y")))
			p.run("1")
			why := "inner 1 is compensated: y: no"
			p.want("1", "sent a", "succeeded a", "sent b", "refused b: "+why, "turned compensating: b: "+why,
				"sent undo a", "succeeded undo a", "turned compensated")
			p.wantFacts("1", "did a", "did x", "undid x", "undid a")
		}},
		{"one that an operator cancelled, too", func(t *trial) {
			p := t.stageBoth(saga(does("a"), nests()), inner(does("x"), farOff("y"), does("z")))
			p.begin("1")
			p.Drain(p.sp)
			p.must(p.inner.Instances(p.Store).Cancel(p.Ctx, "1", by))
			p.comes()
			p.wantInner("1", sagas.Cancelled)
			p.wantState("1", sagas.Compensated)
			p.wantFacts("1", "did a", "did x", "did y", "undid x", "undid a") // another one undoes y, and does not know it
		}},
		{"one that may not begin, too", func(t *trial) {
			p := t.stageBoth(saga(does("a"), nests()), inner(does("x")))
			p.run("bad")
			p.wantState("bad", sagas.Compensated)
			p.wantFacts("bad", "did a", "undid a")
			p.run("1")
			p.wantState("1", sagas.Completed)
			p.must(noError(p.sp.Send(p.Ctx, beginInner{"2"}))) // it is there already when 2 wants to begin it
			p.run("2")
			p.wantState("2", sagas.Compensated)
		}},
		{"one that was completed is undone by its Undo", func(t *trial) {
			t.world.will("c", no)
			p := t.stageBoth(saga(does("a"), nests(), does("c")), inner(does("x")))
			p.run("1")
			p.wantState("1", sagas.Compensated)
			p.together("1", "succeeded undo b")
		}},
		{"a saga that is to turn back waits for the one that it has begun", func(t *trial) {
			outer := saga(does("a"), nests(), does("c"))
			outer.Deadline = 8 * t.unit
			x := t.within(farOff("x"), 24, 1)
			p := t.stageBoth(outer, inner(x))
			p.run("1")
			p.wantInner("1", sagas.Compensated)
			p.wantState("1", sagas.Compensated)
			if turned, refused := p.together("1", "turned compensating: not done within "+outer.Deadline.String()),
				p.together("1", "refused b: inner 1 is compensated: x: no outcome within "+x.Timeout.String()); turned >= refused {
				t.Errorf("it turned at %d, and the inner one ended at %d", turned, refused)
			}
			p.wantFacts("1", "did a", "undid a")
		}},
		{"what it came to can be listed as an outcome", func(t *trial) {
			b := nests()
			b.On = sagas.Outcomes[trip]{sagas.Success(func(s *trip, e sagas.Ended) { s.Did = append(s.Did, string(e.Result)) })}
			p := t.stageBoth(saga(b), inner(does("x")))
			p.run("1")
			p.wantState("1", sagas.Completed)
			if got, want := string(p.show("1").Result), `{"ID":"1","Did":["{\"ID\":\"1\",\"Did\":[\"x\"]}"]}`; got != want {
				t.Errorf("it remembers %s, want %s", got, want)
			}
		}},
	}
}

func noError(_ any, err error) error { return err }
