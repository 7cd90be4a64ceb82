package rulestest

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/sagas"
	"pgregory.net/rapid"
)

// scenario is a definition, and what those who take part say.
type scenario struct {
	nodes     []scene
	pivot     int // the node of it; len(nodes) for none
	attempts  int // at a step before the pivot
	forward   int // from the pivot on
	undos     int
	script    map[string][]says
	cancelled bool // by an operator, at some time or other
	suspended bool // likewise, and resumed
	hurry     bool // it has a deadline
}

// scene is a node: a savepoint if it has no steps.
type scene struct {
	steps []string
	times int
}

// scenarios draws one. With orderly, what comes of it is certain.
func scenarios(orderly bool) *rapid.Generator[scenario] {
	return rapid.Custom(func(t *rapid.T) scenario {
		sc := scenario{
			attempts: rapid.IntRange(1, 2).Draw(t, "attempts"), forward: rapid.IntRange(1, 3).Draw(t, "forward"),
			undos: rapid.IntRange(1, 2).Draw(t, "undos"), script: map[string][]says{},
		}
		n := rapid.IntRange(1, 5).Draw(t, "nodes")
		sc.pivot = rapid.IntRange(0, n).Draw(t, "pivot")
		answer := rapid.SampledFrom([]says{yes, yes, yes, yes, no, mute, unseen})
		for i := range n {
			width := 1
			if i != sc.pivot {
				width = rapid.IntRange(1, 3).Draw(t, "width")
			}
			if !orderly && i < sc.pivot && i < n-1 && rapid.IntRange(0, 4).Draw(t, "savepoint") == 0 {
				sc.nodes = append(sc.nodes, scene{times: rapid.IntRange(1, 2).Draw(t, "times")})
				continue
			}
			var s scene
			for k := range width {
				id := fmt.Sprintf("s%d%c", i, 'a'+k)
				s.steps = append(s.steps, id)
				sc.script[id] = rapid.SliceOfN(answer, 0, 4).Draw(t, id)
				sc.script["undo "+id] = rapid.SliceOfN(rapid.SampledFrom([]says{yes, yes, no}), 0, 4).Draw(t, "undo "+id)
			}
			sc.nodes = append(sc.nodes, s)
		}
		if !orderly {
			sc.cancelled = rapid.IntRange(0, 3).Draw(t, "cancel") == 0
			sc.suspended = rapid.IntRange(0, 3).Draw(t, "suspend") == 0
			sc.hurry = rapid.IntRange(0, 3).Draw(t, "hurry") == 0
		}
		return sc
	})
}

// saga is the scenario's definition.
func (sc scenario) saga(t *trial) sagas.Saga[trip] {
	s := saga()
	if sc.hurry {
		s.Deadline = 7 * t.unit
	}
	for i, n := range sc.nodes {
		var group sagas.Parallel[trip]
		for _, id := range n.steps {
			st := t.within(does(id), 3, sc.attempts)
			st.UndoRetry = t.tries(sc.undos)
			if i >= sc.pivot {
				st = t.within(final(id), 3, sc.forward)
			}
			group = append(group, st)
		}
		switch {
		case len(group) == 0:
			s.Steps = append(s.Steps, sagas.Savepoint[trip]{Retry: t.tries(n.times)})
		case i == sc.pivot:
			s.Steps = append(s.Steps, sagas.Pivot[trip](group[0]))
		default:
			s.Steps = append(s.Steps, group)
		}
	}
	return s
}

// oracle says what comes of a scenario in the plainest way: one step at a time, and no events, timers or crashes. It
// helps whatever is stuck as help does: it retries once, and then skips.
type oracle struct {
	scenario

	asked   map[string]int
	silent  map[string]bool // its command was accepted, and the same command is never asked again
	facts   map[string]int  // how often each step was done, and with "undo " before it undone
	skipped map[string]bool
}

func (o *oracle) ask(key string) says {
	n := o.asked[key]
	if o.asked[key]++; n < len(o.script[key]) {
		return o.script[key][n]
	}
	return yes
}

// try makes so many attempts at a step, or at its undoing.
func (o *oracle) try(key string, attempts int, retried bool) says {
	last := yes
	for range attempts {
		if !o.silent[key] {
			if last = o.ask(key); last == yes {
				return yes
			}
			if o.silent[key] = last == mute || last == unseen; last == unseen {
				o.facts[key]++
			}
		}
		if o.silent[key] {
			last = mute
		}
		if !retried { // a refusal settles it
			if last == no {
				return no
			}
		}
	}
	return last
}

// helped is try from the pivot on, and of undoing.
func (o *oracle) helped(key string, attempts int) bool {
	for range 2 {
		if o.try(key, attempts, true) == yes {
			return true
		}
	}
	o.skipped[key] = true
	return false
}

func (o *oracle) run() sagas.State {
	for i, n := range o.nodes {
		turned := false
		for _, id := range n.steps {
			switch {
			case i > o.pivot:
				if o.helped(id, o.forward) {
					o.facts[id]++
				}
			case i == o.pivot:
				said := o.try(id, o.forward, false)
				if said == mute { // stuck: it is retried, as the same command, and then skipped
					o.skipped[id] = true
				}
				turned = said == no
				if said == yes {
					o.facts[id]++
				}
			default:
				said := o.try(id, o.attempts, false)
				turned = turned || said != yes
				if said == yes {
					o.facts[id]++
				}
				if said == no {
					o.skipped["undo "+id] = true // there is nothing to undo
				}
			}
		}
		if turned {
			o.back(i)
			return sagas.Compensated
		}
	}
	return sagas.Completed
}

// back undoes all steps through a node that may have been done.
func (o *oracle) back(through int) {
	for i := min(through, o.pivot-1); i >= 0; i-- {
		for _, id := range o.nodes[i].steps {
			if o.skipped["undo "+id] {
				continue
			}
			if o.helped("undo "+id, o.undos) && o.facts[id] > 0 {
				o.facts["undo "+id]++
			}
		}
	}
}

// Model compares what becomes of random scenarios with what an oracle says, and holds those that it cannot foresee to
// the rules. Each ends, and until then has something that wakes it. A failure names its seed.
func Model(t *testing.T, h Harness, seeds int) {
	t.Helper()
	for name, orderly := range map[string]bool{"foreseen": true, "disturbed": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gen, ends := scenarios(orderly), map[sagas.State]int{}
			for seed := range seeds {
				sc := gen.Example(seed)
				h.try(t, rule{name, func(t *trial) {
					ends[sc.play(t, "1", time.Duration(seed%20)*t.unit/2)]++
					if t.Failed() {
						t.Fatalf("seed %d: %+v", seed, sc)
					}
				}})
			}
			t.Logf("%d scenarios ended so: %v", seeds, ends)
		})
	}
}

// play has a scenario played, with an operator who interferes after some time if it is to be disturbed, and one who helps
// whatever is stuck.
func (sc scenario) play(t *trial, id string, delay time.Duration) sagas.State {
	t.Helper()
	t.world.script = map[string][]says{}
	for step, script := range sc.script {
		t.world.will(step, script...)
	}
	p := t.stage(sc.saga(t))
	p.begin(id)
	if sc.cancelled || sc.suspended {
		p.disturb(sc, id, delay)
	}
	retried := map[string]bool{}
	for range 100 {
		p.end()
		line := p.show(id)
		if line.State.Ended() {
			break
		}
		if !line.State.Stuck() {
			t.Fatalf("it is %s, and nothing is due: %q", line.State, told(line))
		}
		for step, what := range line.Steps {
			if what != sagas.Stuck {
				continue
			}
			if !retried[step] {
				for s, w := range line.Steps {
					retried[s] = retried[s] || w == sagas.Stuck
				}
				p.must(p.instances().Retry(p.Ctx, id, by))
			} else {
				p.must(p.instances().Skip(p.Ctx, id, undoing(step), by))
			}
			break
		}
	}
	p.check(sc, id)
	return p.show(id).State
}

func undoing(step string) string {
	if len(step) > 5 && step[:5] == "undo " {
		return step[5:]
	}
	return step
}

// disturb plays for some time, and then is an operator. What cannot be done just then is not.
func (p *play) disturb(sc scenario, id string, delay time.Duration) {
	p.Helper()
	at := time.Now().Add(delay)
	p.reach(at)
	if sc.suspended && p.instances().Suspend(p.Ctx, id, by) == nil {
		p.reach(at.Add(4 * p.unit))
		p.wantState(id, sagas.Suspended)
		p.must(p.instances().Resume(p.Ctx, id, by))
	}
	if sc.cancelled {
		_ = p.instances().Cancel(p.Ctx, id, by) // it may be too late
	}
}

// reach plays until a time.
func (p *play) reach(at time.Time) {
	p.Helper()
	for {
		next := p.Drain(p.sp)
		if next.IsZero() || next.After(at) {
			break
		}
		p.pass(time.Until(next))
	}
	p.pass(time.Until(at))
}

// check holds what came of a scenario to the rules.
func (p *play) check(sc scenario, id string) {
	p.Helper()
	line := p.show(id)
	facts, skipped, done := map[string]int{}, map[string]bool{}, map[string]bool{}
	for _, f := range p.facts(id) {
		var verb, step string
		fmt.Sscan(f, &verb, &step) //nolint:errcheck // it is two words
		if done[step] = verb != "undid"; verb == "undid" {
			step = "undo " + step
		}
		facts[step]++
	}
	for _, e := range line.Entries {
		if e.What == sagas.Skipped {
			name := e.Step
			if e.Undo {
				name = "undo " + name
			}
			skipped[name] = true
		}
	}
	if !sc.cancelled && !sc.suspended && !sc.hurry && !slices.ContainsFunc(sc.nodes, func(s scene) bool { return s.times > 0 }) {
		o := &oracle{sc, map[string]int{}, map[string]bool{}, map[string]int{}, map[string]bool{}}
		if want := o.run(); line.State != want {
			p.Errorf("it is %s, and the oracle says %s: %q", line.State, want, told(line))
		}
		if !maps.Equal(facts, o.facts) {
			p.Errorf("it came to %v, and the oracle says %v: %q", facts, o.facts, told(line))
		}
	}
	for i, n := range sc.nodes {
		for _, step := range n.steps {
			switch {
			case line.State == sagas.Completed && !done[step] && !skipped[step]:
				p.Errorf("it is completed, and %s is not done: %q", step, told(line))
			case line.State != sagas.Completed && done[step] && !skipped["undo "+step]:
				p.Errorf("it is %s, and %s is done: %q", line.State, step, told(line))
			case i >= sc.pivot && facts["undo "+step] > 0:
				p.Errorf("%s is behind the pivot, and was undone: %q", step, told(line))
			}
		}
	}
	p.wantParked()
	p.wantWakes(id)
	p.wantInTime(id)
}

// wantWakes looks at an instance after each of its commits: as long as it has not ended, and does not wait for an
// operator, it has a timer.
func (p *play) wantWakes(id string) {
	p.Helper()
	state, wake := sagas.Running, sagas.Wake{}
	for _, e := range p.Events(eventstore.InStream(eventstore.StreamOf("saga.trip", id)).Only("saga moved")) {
		moved, err := eventstore.Decode[sagas.Moved](e)
		p.must(err)
		for _, m := range moved.Moves {
			if m.What == sagas.Turned {
				state = m.To
			}
		}
		if moved.Wake != nil {
			wake = *moved.Wake
		}
		waits := state.Ended() || state.Stuck()
		if wake.Due.IsZero() && !waits {
			p.Errorf("at %d it is %s, and nothing wakes it", e.Position, state)
		}
		if !wake.Due.IsZero() && state.Ended() {
			p.Errorf("at %d it is %s, and something wakes it", e.Position, state)
		}
	}
}
