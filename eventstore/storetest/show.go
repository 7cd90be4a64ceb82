package storetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// dump is all that the log holds, as text: a line for each event, consumer, partition, window, schedule and
// parked entry.
func (t *trial) dump(s *eventstore.Store) string {
	t.Helper()
	var b strings.Builder
	for e, err := range s.Read(t.ctx, eventstore.All(), eventstore.Range{}) {
		t.need(err, "read the log")
		fmt.Fprintln(&b, showWhole(e))
	}
	if t.has(Leaser) {
		t.dumpConsumers(&b, s)
	}
	if t.has(Scheduler) {
		for _, s := range t.scheduled(s) {
			fmt.Fprintln(&b, showSchedule(s))
		}
	}
	if t.has(Parker) {
		for _, p := range t.parked(s, eventstore.ParkedFilter{}) {
			fmt.Fprintln(&b, showParked(p), "at", p.At)
		}
	}
	return b.String()
}

func (t *trial) dumpConsumers(b *strings.Builder, s *eventstore.Store) {
	t.Helper()
	t.mu.Lock()
	consumers := slices.Clone(t.consumers)
	t.mu.Unlock()
	for _, name := range consumers {
		r := t.roster(s, name)
		for i, p := range r.Partitions {
			fmt.Fprintf(b, "partition %d of %s at %d\n", i, name, p.Position)
		}
		fmt.Fprintf(b, "%s: generation %d, paused %t\n", name, r.Generation, r.Paused)
		if t.has(Deliverer) {
			outstanding, next := t.window(s, name)
			fmt.Fprintf(b, "window of %s: %d outstanding, the next can be taken %s\n", name, outstanding, roughly(next))
		}
	}
	if t.has(Controller) {
		for _, c := range t.listed(s) {
			fmt.Fprintln(b, showConsumer(c))
		}
	}
}

// roughly says when, if anything that is not due now is due in an hour or more.
func roughly(when time.Time) string {
	switch {
	case when.IsZero():
		return "never"
	case when.Before(time.Now().Add(long / 2)):
		return "now"
	default:
		return "later"
	}
}

// difference shows the lines that only one of two dumps has.
func difference(before, after string) string {
	was, is := strings.Split(before, "\n"), strings.Split(after, "\n")
	var lines []string
	for _, l := range was {
		if !slices.Contains(is, l) {
			lines = append(lines, "\t- "+l)
		}
	}
	for _, l := range is {
		if !slices.Contains(was, l) {
			lines = append(lines, "\t+ "+l)
		}
	}
	if len(lines) == 0 {
		return "\tthe order of:\n" + before
	}
	return strings.Join(lines, "\n")
}

// showWhole shows all of an event. Tags are a set, so they are sorted.
func showWhole(e eventstore.Event) string {
	return fmt.Sprintf("event %s part %d id %s tags %q data %.200q metadata %s time %s",
		show(e), e.Part, e.ID, slices.Sorted(slices.Values(e.Tags)), e.Data, showMetadata(e.Metadata), e.Time)
}

// show is an event in short: its place, and what it is.
func show(e eventstore.Event) string {
	return fmt.Sprintf("%d: %s@%d %s", e.Position, e.Stream, e.Version, e.Type)
}

func showAll(events []eventstore.Event) string {
	if len(events) == 0 {
		return "nothing"
	}
	lines := make([]string, len(events))
	for i, e := range events {
		lines[i] = show(e)
	}
	return strings.Join(lines, ", ")
}

func showMetadata(m eventstore.Metadata) string {
	user := make([]string, 0, len(m.User))
	for _, k := range slices.Sorted(maps.Keys(m.User)) {
		user = append(user, fmt.Sprintf("%q=%.200q", k, m.User[k]))
	}
	return fmt.Sprintf("{correlation %s causation %s depth %d trace %q %q schema %d actor %q reply to %q user %s}",
		m.Correlation, m.Causation, m.Depth, m.TraceParent, m.TraceState, m.Schema, m.Actor, m.ReplyTo, user)
}

func showSchedule(s eventstore.Schedule) string {
	ids := make([]uuid.UUID, len(s.Append.Events))
	for i, e := range s.Append.Events {
		ids[i] = e.ID
	}
	return fmt.Sprintf("schedule %s due %s into %s: events %s", s.ID, s.Due, s.Append.Stream, ids)
}

func showParked(p eventstore.Parked) string {
	return fmt.Sprintf("parked %s by %s partition %d key %q: event %s at %d, attempts %d, failures %v, due %s, redriven %t",
		p.ID, p.Consumer, p.Partition, p.Key, p.Event, p.Position, p.Attempts, p.Failures, p.Due, p.Redriven)
}

func showDelivery(d eventstore.Delivery) string {
	return fmt.Sprintf("delivery %s to %s: event %s at %d, attempt %d, failures %v", d.ID, d.Consumer, d.Event, d.Position, d.Attempt, d.Failures)
}

func showDeliveries(list []eventstore.Delivery) string {
	if len(list) == 0 {
		return "nothing"
	}
	lines := make([]string, len(list))
	for i, d := range list {
		lines[i] = fmt.Sprintf("the event at %d for %s in attempt %d", d.Position, d.Consumer, d.Attempt)
	}
	return strings.Join(lines, ", ")
}

func showConsumer(c eventstore.Consumer) string {
	return fmt.Sprintf("consumer %.40q: %d partitions, keys %d by %q, listens %.200q, competing %t, until %d for %q, generation %d after %.200q",
		c.Name, c.Partitions, c.Keys, c.Hash, c.Listens, c.Competing, c.Until, c.Next, c.Generation, c.Former)
}

// entriesOf counts what a commit has besides events and conditions.
func entriesOf(c eventstore.Commit) int {
	return len(c.Checkpoints) + len(c.Deliveries) + len(c.Acks) + len(c.Returns) + len(c.Parks) + len(c.Unparks) + len(c.Redrives) +
		len(c.Schedules) + len(c.Cancels)
}

func showCommit(c eventstore.Commit) string {
	var parts []string
	for _, a := range c.Appends {
		parts = append(parts, fmt.Sprintf("%d events to %.40q expecting %s", len(a.Events), a.Stream, a.Expect))
	}
	for _, x := range c.Unless {
		parts = append(parts, fmt.Sprintf("unless %s after %d", showQuery(x.Query), x.After))
	}
	for _, x := range c.Checkpoints {
		parts = append(parts, fmt.Sprintf("checkpoint of %.40q partition %d epoch %d from %d to %d", x.Consumer, x.Partition, x.Epoch, x.From, x.To))
	}
	for _, x := range [...]struct {
		n    int
		what string
	}{
		{len(c.Deliveries), "deliveries"},
		{len(c.Acks), "acks"},
		{len(c.Returns), "returns"},
		{len(c.Parks), "parks"},
		{len(c.Unparks), "unparks"},
		{len(c.Redrives), "redrives"},
		{len(c.Schedules), "schedules"},
		{len(c.Cancels), "cancels"},
	} {
		if x.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", x.n, x.what))
		}
	}
	return "[" + strings.Join(parts, "; ") + "]"
}

func showQuery(q eventstore.Query) string {
	items := q.Items()
	if len(items) == 0 {
		return "(none)"
	}
	parts := make([]string, len(items))
	for i, it := range items {
		var says []string
		if it.Stream != "" {
			says = append(says, "stream "+string(it.Stream))
		}
		if it.Category != "" {
			says = append(says, "category "+it.Category)
		}
		if len(it.Types) > 0 {
			says = append(says, fmt.Sprintf("types %q", it.Types))
		}
		if len(it.Tags) > 0 {
			says = append(says, fmt.Sprintf("tags %q", it.Tags))
		}
		parts[i] = "(" + strings.Join(says, " and ") + ")"
		if len(says) == 0 {
			parts[i] = "(all)"
		}
	}
	return strings.Join(parts, " or ")
}

func showRange(r eventstore.Range) string {
	s := fmt.Sprintf("after %d", r.After)
	if r.UpTo > 0 {
		s += fmt.Sprintf(" up to %d", r.UpTo)
	}
	if r.Limit > 0 {
		s += fmt.Sprintf(" limit %d", r.Limit)
	}
	if r.Backward {
		s += " backward"
	}
	return s
}

// positionsOf is where events stand.
func positionsOf(events []eventstore.Event) []eventstore.Position {
	at := make([]eventstore.Position, len(events))
	for i, e := range events {
		at[i] = e.Position
	}
	return at
}
