package eventstore

import (
	"fmt"
	"strings"
	"time"
)

// Healthy reports whether nothing is wrong: there is no Trouble.
func (s Status) Healthy() bool { return len(s.Trouble()) == 0 }

// Trouble says what is wrong, each in a plain sentence: that the consumer is paused, that partitions are worked by nobody,
// that events are parked. It is empty when all is well. To be behind while somebody works is no trouble: Since tells
// whether it gets on. While partitions change hands, some have no owner for a moment: only trouble that lasts is trouble.
func (s Status) Trouble() []string {
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	stands := fmt.Sprintf("it stands at %d of %d", s.Position, s.Head)
	switch nobody := len(s.Unowned) == len(s.Partitions); {
	case s.Paused:
		say("%s, paused", stands)
	case nobody && s.Competing && len(s.Members) > 0:
		say("%s, nobody fills its window", stands)
	case nobody:
		say("%s, nobody works it", stands)
	case len(s.Unowned) > 0:
		say("nobody works partition %s", list(s.Unowned))
	}
	if s.Parked == 0 {
		return wrong
	}
	are := "are"
	if s.Parked == 1 {
		are = "is"
	}
	last := ""
	if s.LastError != "" {
		last = ", the last for: " + cut(s.LastError)
	}
	say("%s %s parked for %s%s", count(s.Parked, "entry", "entries"), are, count(s.ParkedKeys, "key", "keys"), last)
	return wrong
}

// String is the status in one line, such as
//
//	balances: at 1200 of 1500 (300 behind, 2.1s), 16 partitions by 2 members, 3 parked
func (s Status) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: at %d of %d", s.Consumer, s.Position, s.Head)
	switch {
	case s.Lag > 0 && s.Behind > 0:
		fmt.Fprintf(&b, " (%d behind, %s)", s.Lag, coarse(s.Behind))
	case s.Lag > 0:
		fmt.Fprintf(&b, " (%d behind)", s.Lag)
	}
	if s.Window > 0 {
		fmt.Fprintf(&b, ", %d in its window", s.Window)
	}
	by := "nobody"
	if n := len(s.Members); n > 0 {
		by = count(n, "member", "members")
	}
	fmt.Fprintf(&b, ", %s by %s", count(len(s.Partitions), "partition", "partitions"), by)
	if n := len(s.Unowned); n > 0 && len(s.Members) > 0 && !s.Paused {
		fmt.Fprintf(&b, " (%d by nobody)", n)
	}
	if s.Paused {
		b.WriteString(", paused")
	}
	if s.Parked > 0 {
		fmt.Fprintf(&b, ", %d parked", s.Parked)
	}
	return b.String()
}

// count is a number with its noun.
func count(n int, one, more string) string {
	if n == 1 {
		more = one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// list is numbers as text, of many the first.
func list(ns []int) string {
	const most = 8
	var b strings.Builder
	for i, n := range ns[:min(most, len(ns))] {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, n)
	}
	if more := len(ns) - most; more > 0 {
		fmt.Fprintf(&b, " and %d more", more)
	}
	return b.String()
}

// cut makes one short line of a text.
func cut(text string) string {
	const most = 200
	text = strings.Join(strings.Fields(text), " ")
	if line := []rune(text); len(line) > most {
		return string(line[:most]) + "…"
	}
	return text
}

// coarse drops digits that nobody reads.
func coarse(d time.Duration) time.Duration {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second)
	case d >= time.Second:
		return d.Round(100 * time.Millisecond)
	case d >= time.Millisecond:
		return d.Round(time.Millisecond)
	default:
		return d
	}
}
