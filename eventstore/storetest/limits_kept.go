package storetest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// longName is a name of 255 bytes, in runes of several.
func longName(n int) string {
	return strings.Repeat("ü😀a", 36) + fmt.Sprintf("%03d", n)
}

func atTheLimits(t *trial) {
	wide := event(longName(1))
	for n := range 64 {
		wide.Tags = append(wide.Tags, longName(n))
	}
	wide.Data = []byte(`"` + strings.Repeat("x", 1<<20-2) + `"`)
	wide.Metadata = eventstore.Metadata{
		Correlation: newID(), Causation: newID(), Depth: math.MaxInt32, Schema: math.MaxInt32,
		Actor: strings.Repeat("ü", 1<<14), User: map[string]string{"k": strings.Repeat("v", 1<<15-1)},
	}
	stream := eventstore.Stream(longName(2))
	c := appends(to(stream, wide))
	for range 100 {
		c = unless(c, eventstore.OfType("never happened"), 1<<53-1)
	}
	t.commit(t.store, c)
	if got := t.all(t.another()); len(got) != 1 || string(got[0].Data) != string(wide.Data) || showMetadata(got[0].Metadata) != showMetadata(wide.Metadata) {
		t.broken("the largest event did not come back as it was given")
	}
	for _, q := range []eventstore.Query{
		eventstore.OfType(longName(1)), eventstore.InStream(stream), eventstore.InCategory(string(stream)),
		eventstore.WithTags(wide.Tags...), eventstore.OfType(append(numbered("type", 999), longName(1))...),
		eventstore.Match(append(make([]eventstore.Item, 0, 1000), manyItems(999, longName(63))...)...),
	} {
		if got, _ := t.read(t.store, q, eventstore.Range{}); len(got) != 1 {
			t.broken("the largest event is not found by %.60q…", showQuery(q))
		}
		t.refused(t.store, unless(appends(to("at-1", event("decided"))), q, 0), eventstore.ErrConflict)
	}
	r := t.add(t.store, "at-2", eventsOf(10_000, "counted", "all", "some")...)
	if r.Position != 10_001 || r.Version() != 10_000 {
		t.broken("a commit of 10,000 events behind one other came to %+v", r)
	}
	if got, through := t.read(t.store, eventstore.WithTags("all"), eventstore.Range{After: 5_000}); len(got) != 5_001 || through != 10_001 {
		t.broken("of the events up to 10,001 a read after 5,000 gave %d, and Through %d", len(got), through)
	}
}

// manyItems are items of which the last selects a tag.
func manyItems(n int, tag string) []eventstore.Item {
	var items []eventstore.Item
	for i := range n {
		items = append(items, eventstore.Item{Types: []string{fmt.Sprint("type ", i)}})
	}
	return append(items, eventstore.Item{Tags: []string{tag}})
}

func entriesAtTheLimits(t *trial) {
	consumer := longName(1)
	leases := t.claim(t.store, longName(2), consumer, eventstore.MaxPartitions)
	last := leases[slices.IndexFunc(leases, func(l eventstore.Lease) bool { return l.Partition == eventstore.MaxPartitions-1 })]
	p := entry(last, longName(3), eventstore.Event{ID: newID(), Position: 1<<53 - 1})
	p.Attempts, p.Failures = math.MaxInt32, nil
	for n := range 32 {
		p.Failures = append(p.Failures, eventstore.Failure{At: time.Date(1+n, 1, 1, 0, 0, 0, 0, time.UTC), Error: strings.Repeat("ü", 2<<10)})
	}
	s := later(time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC), eventstore.Stream(longName(4)), event(longName(5), longName(6)))
	old := later(time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), eventstore.Stream(longName(4)), event("old"))
	c := eventstore.Commit{Parks: []eventstore.Parked{p}, Schedules: []eventstore.Schedule{s, old}}
	for _, l := range leases {
		c.Checkpoints = append(c.Checkpoints, checkpoint(l, 1<<53-1))
	}
	for range 1000 {
		c.Cancels = append(c.Cancels, uuid.New())
	}
	t.commit(t.store, c)
	if got := t.parked(t.store, eventstore.ParkedFilter{Consumer: consumer, Key: longName(3)}); len(got) != 1 || showParked(got[0]) != showParked(p) {
		t.broken("the largest parked entry did not come back as it was given: %d entries", len(got))
	}
	if got := t.scheduled(t.store); len(got) != 2 || showSchedule(got[1]) != showSchedule(s) || showSchedule(got[0]) != showSchedule(old) {
		t.broken("the latest and the earliest schedule did not come back as they were given: %d schedules", len(got))
	}
	if r := t.roster(t.store, consumer); r.Position() != 1<<53-1 {
		t.broken("%d partitions were moved as far as can be; the slowest stands at %d", len(leases), r.Position())
	}
	t.fireAll(t.store)
	if got := t.all(t.store); len(got) != 1 || got[0].Type != "old" {
		t.broken("a schedule from 1970 and one for 9999 fired as %s", showAll(got))
	}
}
