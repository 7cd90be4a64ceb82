package sagas

import (
	"fmt"
	"strings"
	"time"
)

// Mermaid is the saga as a flowchart for https://mermaid.js.org: its steps on the way forward, and on the way back what undoes
// them. What is wrong with the saga is no error here, only when it is attached.
func (s Saga[S]) Mermaid() string {
	c := chart[S]{back: "undone"}
	c.line(`flowchart TD`)
	begin := s.Start.event
	if s.Start.command != "" {
		begin = s.Start.command
	}
	c.line(`    begin([%s])`, quoted(begin))
	c.from = "begin"
	for i, n := range s.Steps {
		switch n := n.(type) {
		case nil:
		case Savepoint[S]:
			c.savepoint(i+1, n)
		case Pivot[S]:
			c.steps(i+1, n.steps(), true)
		default:
			c.steps(i+1, n.steps(), false)
		}
	}
	c.line(`    done([%s])`, quoted(string(Completed)))
	c.line(`    %s --> done`, c.from)
	if c.turns {
		c.line(`    undone([%s])`, quoted(string(Compensated)))
	}
	return c.text.String()
}

// chart draws a saga, node by node.
type chart[S any] struct {
	text  strings.Builder
	from  string // the node before, on the way forward
	back  string // what a refusal leads to: the node before, on the way back
	save  string // a savepoint behind which nothing is undone yet
	again int    // how often it is gone forward from there
	pivot bool   // it was drawn
	turns bool   // there is a way back
}

func (c *chart[S]) line(format string, args ...any) { fmt.Fprintf(&c.text, format+"\n", args...) }

func (c *chart[S]) savepoint(at int, s Savepoint[S]) {
	id := fmt.Sprintf("save%d", at)
	c.line(`    %s[/%s/]`, id, quoted("savepoint"))
	c.line(`    %s --> %s`, c.from, id)
	c.from, c.save, c.again = id, id, s.Retry.Attempts
}

func (c *chart[S]) steps(at int, steps []Step[S], pivot bool) {
	id := fmt.Sprintf("node%d", at)
	c.box(id, "at once", len(steps), func(k int) string {
		label := quoted(steps[k].ID + ": " + steps[k].Do.words())
		if pivot {
			return `{{` + label + `}}`
		}
		return `[` + label + `]`
	})
	c.line(`    %s --> %s`, c.from, id)
	c.from = id
	if c.pivot {
		return // there is no way back from here
	}
	c.pivot, c.turns = pivot, true
	if undo := c.undo(at, steps); undo != "" {
		c.line(`    %s --> %s`, undo, c.back)
		c.back = undo
	}
	why := "refused, or unknown"
	if pivot {
		why = "refused"
	}
	c.line(`    %s -.->|%s| %s`, id, quoted(why), c.back)
	if c.save != "" {
		from := c.back
		if from != fmt.Sprintf("undo%d", at) {
			from = id
		}
		c.line(`    %s -.->|%s| %s`, from, quoted(fmt.Sprintf("again, %d × at most", c.again)), c.save)
		c.save = ""
	}
}

// undo draws what undoes steps, and returns its name; "" if there is nothing.
func (c *chart[S]) undo(at int, steps []Step[S]) string {
	var undone []Step[S]
	for _, st := range steps {
		if st.Undo.kind != "" {
			undone = append(undone, st)
		}
	}
	if len(undone) == 0 {
		return ""
	}
	id := fmt.Sprintf("undo%d", at)
	c.box(id, "undone at once", len(undone), func(k int) string {
		return `[` + quoted("undo "+undone[k].ID+": "+undone[k].Undo.words()) + `]`
	})
	return id
}

// box draws several things that are done at once, or one.
func (c *chart[S]) box(id, title string, n int, draw func(k int) string) {
	if n == 1 {
		c.line(`    %s%s`, id, draw(0))
		return
	}
	c.line(`    subgraph %s [%s]`, id, quoted(title))
	for k := range n {
		c.line(`        %s_%d%s`, id, k+1, draw(k))
	}
	c.line(`    end`)
}

// words say what an action does.
func (a Action[S]) words() string {
	switch a.kind {
	case call:
		return "call, " + a.event
	case nested:
		return "saga, " + a.sends
	}
	return a.kind + " " + a.sends
}

// Mermaid is the timeline as a sequence diagram for https://mermaid.js.org: what passed between the instance and its steps, and
// what it came to.
func (t Timeline) Mermaid() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line(`sequenceDiagram`)
	line(`    participant saga as %s`, plain(t.Saga+" "+t.Instance))
	names := map[string]string{}
	for _, e := range t.Entries {
		if names[e.Step] != "" || e.Step == "" || e.What == Turned || e.Cycle == 0 {
			continue
		}
		names[e.Step] = fmt.Sprintf("step%d", len(names)+1)
		line(`    participant %s as %s`, names[e.Step], plain(e.Step))
	}
	for _, e := range t.Entries {
		text := e.words()
		if more := e.remarks(t.Entries[0].Time); more != "" {
			text += " (" + more + ")"
		}
		step := names[e.Step]
		switch {
		case step == "" || e.What == Turned:
			line(`    Note over saga: %s`, plain(text))
		case e.What == Sent:
			line(`    saga->>%s: %s`, step, plain(strings.TrimSpace(e.asks(t.Entries[0].Time))))
		case e.What == Succeeded, e.What == Refused:
			line(`    %s-->>saga: %s`, step, plain(text))
		default:
			line(`    Note over saga,%s: %s`, step, plain(text))
		}
	}
	return b.String()
}

// asks says what an attempt asks for.
func (m Move) asks(first time.Time) string {
	verb := "do"
	if m.Undo {
		verb = "undo"
	}
	if more := m.remarks(first); more != "" {
		verb += " (" + more + ")"
	}
	return verb
}

// entities are Mermaid's names for characters that mean something in its texts.
var entities = strings.NewReplacer("#", "#35;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", ";", "#59;", "`", "#96;", "%", "#37;")

// plain is a text as Mermaid takes it for a message or a name.
func plain(text string) string { return entities.Replace(oneLine(text)) }

// quoted is a text as Mermaid takes it for a label.
func quoted(text string) string { return `"` + plain(text) + `"` }
