package rulestest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

// play is a saga in a world.
type play struct {
	*trial

	saga   sagas.Saga[trip]
	inner  sagas.Saga[trip] // that the saga begins, if it does
	organs []spine.Organ
	sp     *spine.Spine
}

// stage has a saga played by the world's people, but those who are away.
func (t *trial) stage(s sagas.Saga[trip], others ...spine.Organ) *play {
	t.Helper()
	p := &play{trial: t, saga: s, organs: append(others, s, t.world.near(), t.world.nearer())}
	p.sp = t.Spine(t.Store, spine.Config{MaxSteps: 20_000, Elsewhere: []string{"far"}}, p.organs...)
	return p
}

// begin begins an instance.
func (p *play) begin(id string) {
	p.Helper()
	if _, err := p.sp.Send(p.Ctx, begin{id}); err != nil {
		p.Fatal(err)
	}
}

// end plays until nothing is due any more.
func (p *play) end() {
	p.Helper()
	p.until(func() bool { return false })
}

// until plays until something is so, or nothing is due any more.
func (p *play) until(is func() bool) {
	p.Helper()
	for {
		next := p.Drain(p.sp)
		if is() || next.IsZero() {
			return
		}
		p.pass(time.Until(next))
	}
}

// pass has some time pass.
func (t *trial) pass(d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Ctx.Done():
		t.Fatal("it never came to an end")
	}
}

// run is begin and end.
func (p *play) run(id string) {
	p.Helper()
	p.begin(id)
	p.end()
}

// comes has those who are away come, and play along until nothing is due any more.
func (p *play) comes() {
	p.Helper()
	p.sp = p.Spine(p.Store, spine.Config{MaxSteps: 20_000}, append(p.organs, p.world.away())...)
	p.end()
}

// instances are what operators see.
func (p *play) instances() sagas.Instances { return p.saga.Instances(p.Store) }

func (p *play) show(id string) sagas.Timeline {
	p.Helper()
	line, err := p.instances().Show(p.Ctx, id)
	if err != nil {
		p.Fatal(err)
	}
	return line
}

// wantState compares the state of an instance.
func (p *play) wantState(id string, want sagas.State) {
	p.Helper()
	if line := p.show(id); line.State != want {
		p.Errorf("%s is %s, want %s: %s\n%s", id, line.State, want, line.Reason, strings.Join(told(line), "\n"))
	}
}

// want compares what has happened to an instance.
func (p *play) want(id string, moves ...string) {
	p.Helper()
	if got := told(p.show(id)); !slices.Equal(got, moves) {
		p.Errorf("it came to\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(moves, "\n\t"))
	}
}

// told is a timeline as text.
func told(line sagas.Timeline) (all []string) {
	for _, e := range line.Entries {
		all = append(all, tell(e.Move))
	}
	return all
}

// tell is a move as text, such as "sent undo hotel, cycle 2, attempt 3: no".
func tell(m sagas.Move) string {
	var b strings.Builder
	b.WriteString(string(m.What))
	if m.Undo {
		b.WriteString(" undo")
	}
	if m.Step != "" {
		b.WriteString(" " + m.Step)
	}
	if m.To != "" {
		fmt.Fprintf(&b, " %s", m.To)
	}
	if m.What == sagas.Sent && m.Cycle > 1 {
		fmt.Fprintf(&b, ", cycle %d", m.Cycle)
	}
	if m.What == sagas.Sent && m.Attempt > 1 {
		fmt.Fprintf(&b, ", attempt %d", m.Attempt)
	}
	if m.By != "" {
		b.WriteString(" by " + m.By)
	}
	if m.Why != "" {
		b.WriteString(": " + m.Why)
	}
	return b.String()
}

// at is the positions in the log of an instance's moves of one kind.
func (p *play) at(id, move string) (at []eventstore.Position) {
	p.Helper()
	for _, e := range p.show(id).Entries {
		if tell(e.Move) == move {
			at = append(at, e.Position)
		}
	}
	return at
}

// together compares whether moves, of which there is one each, are one commit.
func (p *play) together(id string, moves ...string) (at eventstore.Position) {
	p.Helper()
	for _, m := range moves {
		switch got := p.at(id, m); {
		case len(got) != 1:
			p.Errorf("%q happened %d times:\n%s", m, len(got), strings.Join(told(p.show(id)), "\n"))
		case at != 0 && got[0] != at:
			p.Errorf("%q stands at %d, and %q at %d", moves[0], at, m, got[0])
		default:
			at = got[0]
		}
	}
	return at
}

// facts are what was done and undone of an instance, in order: "did a", "hidden b", "undid a".
func (p *play) facts(id string) (all []string) {
	p.Helper()
	for _, e := range p.Events(eventstore.OfType("did", "hidden", "undid")) {
		if at, step, ok := strings.Cut(e.Stream.ID(), "/"); ok && at == id {
			all = append(all, e.Type+" "+step)
		}
	}
	return all
}

// wantFacts compares them.
func (p *play) wantFacts(id string, want ...string) {
	p.Helper()
	if got := p.facts(id); !slices.Equal(got, want) {
		p.Errorf("it was so: %q, want %q", got, want)
	}
}

// by is an operator.
var by = sagas.By{Who: "ann", Why: "it must go on"}

// must fails the test for an error.
func (t *trial) must(err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
