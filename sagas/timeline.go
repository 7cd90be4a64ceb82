package sagas

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// String is the timeline as a text: a line for each move, with when it was counted from the first one, in one lane what went
// forward and in another what was undone, and beside them attempts, reasons, and who wanted it.
func (t Timeline) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %s", t.Saga, t.Instance, t.State)
	if t.Reason != "" {
		fmt.Fprintf(&b, ", for %s", oneLine(t.Reason))
	}
	b.WriteByte('\n')
	if len(t.Entries) == 0 {
		return b.String()
	}
	first, last := t.Entries[0].Time, t.Entries[len(t.Entries)-1].Time
	fmt.Fprintf(&b, "version %d, in %s from %s\n\n", t.Version, later(first, last), first.UTC().Format("2006-01-02 15:04:05.000 MST"))
	rows := [][4]string{{"time", "forward", "compensation", "remarks"}}
	for _, e := range t.Entries {
		row := [4]string{0: "+" + later(first, e.Time), 3: e.remarks(first)}
		if e.compensates() {
			row[2] = e.words()
		} else {
			row[1] = e.words()
		}
		rows = append(rows, row)
	}
	var widths [4]int
	for _, row := range rows[1:] {
		for i := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	for _, row := range rows {
		line := ""
		for i, text := range row {
			if widths[i] == 0 { // a lane in which nothing happens
				continue
			}
			width := max(widths[i], utf8.RuneCountInString(rows[0][i]))
			padding := strings.Repeat(" ", width-utf8.RuneCountInString(text))
			if i == 0 {
				line = "  " + padding + text
				continue
			}
			line += "   " + text + padding
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// compensates reports whether a move belongs to the undoing.
func (m Move) compensates() bool {
	if m.What == Turned {
		return m.To == Compensating || m.To == Compensated || m.To == Cancelled || m.To == UndoStuck
	}
	return m.Undo
}

// words say what a move is, without why.
func (m Move) words() string {
	switch m.What {
	case Turned:
		return "→ " + string(m.To)
	case Took:
		return "took " + m.Step
	case Set, Stopped, Fired:
		return fmt.Sprintf("timer %s %s", m.Step, m.What)
	case Sent:
		if m.Cycle == 0 { // of a Process
			return "sent " + m.Step
		}
	case Succeeded:
		if m.Undo {
			return m.Step + " undone"
		}
	}
	if m.Undo {
		return fmt.Sprintf("undo %s %s", m.Step, m.What)
	}
	return fmt.Sprintf("%s %s", m.Step, m.What)
}

// remarks are what there is to say of a move besides: which attempt it is of, what it waits for, who wanted it, and why.
func (m Move) remarks(first time.Time) string {
	var all []string
	if m.Cycle > 1 && m.What == Sent {
		all = append(all, fmt.Sprintf("cycle %d", m.Cycle))
	}
	if m.Attempt > 1 && m.What != Succeeded || m.Attempt == 1 && m.What == Waiting {
		all = append(all, fmt.Sprintf("attempt %d", m.Attempt))
	}
	switch {
	case m.Until.IsZero():
	case m.What == Waiting:
		all = append(all, "again at +"+later(first, m.Until))
	case m.What == Set:
		all = append(all, "due "+m.Until.UTC().Format("2006-01-02 15:04:05 MST"))
	}
	if m.Back > 0 {
		all = append(all, "from savepoint")
		if m.To == Compensating {
			all[len(all)-1] = "to savepoint"
		}
	}
	if m.By != "" {
		all = append(all, "by "+oneLine(m.By))
	}
	text := strings.Join(all, ", ")
	if m.Why == "" {
		return text
	}
	if text != "" {
		text += ": "
	}
	return text + oneLine(m.Why)
}

// later is how much later something is, to the millisecond.
func later(first, t time.Time) string { return t.Sub(first).Round(time.Millisecond).String() }

// oneLine is a text without what would break a line.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
