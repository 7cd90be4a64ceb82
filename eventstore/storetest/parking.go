package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

func parking() promise {
	return promise{
		name:  "Parking",
		says:  "what a consumer sets aside is kept as it was given, until it is taken back",
		needs: []Capability{Leaser, Parker},
		checks: []check{
			{name: "a parked entry comes back as it was given", run: parkFaithfully},
			{name: "entries are listed in order of position", run: listParked},
			{name: "a filter selects by consumer, key, id and group", run: filterParked},
			{name: "an entry parked again is replaced, but for when it was first parked", run: parkAgain},
			{name: "an entry taken back and parked in one commit is replaced", run: parkAnew},
			{name: "what is taken back is gone, and nothing else", run: unpark},
			{name: "entries taken back are refused a second time, and the error names the one that is gone", run: unparkAgain},
			{name: "a redrive marks the entries that it names until they are parked again", run: redriveMarks},
			{name: "to redrive what is gone is no error", run: redriveGone},
			{name: "a redrive tells who runs the consumer", run: redriveTells},
			{name: "an entry taken back by another than its owner tells who runs the consumer", run: unparkTells},
		},
	}
}

func (t *trial) parker(s *eventstore.Store) eventstore.Parker {
	return s.Backend().(eventstore.Parker)
}

func (t *trial) parked(s *eventstore.Store, f eventstore.ParkedFilter) (list []eventstore.Parked) {
	t.Helper()
	for p, err := range t.parker(s).Parked(t.ctx, f) {
		t.need(err, "list parked entries")
		list = append(list, p)
	}
	return list
}

// park parks entries under a lease, which proves the right to.
func (t *trial) park(l eventstore.Lease, entries ...eventstore.Parked) {
	t.Helper()
	t.commit(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(l, l.Position)}, Parks: entries})
}

func parkFaithfully(t *trial) {
	before := t.clock().Add(-time.Millisecond)
	l := t.claim(t.store, "owner", "parker", 2)[1]
	bare := eventstore.Parked{ID: uuid.New(), Consumer: "parker", Partition: 1, Key: "waits behind", Position: 1<<53 - 1}
	full := eventstore.Parked{
		ID: uuid.New(), Consumer: "parker", Partition: 1, Key: "order-1 \"ü\" 😀 '", Position: 3, Event: uuid.New(), Attempts: 1<<31 - 1,
		Due: future(1).Add(123456789).In(time.FixedZone("", 3600)),
		Failures: []eventstore.Failure{
			{At: past(1).Add(123456789).In(time.FixedZone("", 3600)), Error: strings.Repeat("long ", 800)},
			{At: past(2), Error: "line\nline\t\"quoted\" '; \\ % ü"},
			{},
		},
	}
	t.park(l, bare, full)
	got := t.parked(t.another(), eventstore.ParkedFilter{})
	if len(got) != 2 {
		t.brokenNow("two entries were parked, and %d are listed", len(got))
	}
	after := t.clock().Add(time.Millisecond)
	full.Failures[0].At = past(1).Add(123456 * time.Microsecond) // as everywhere: UTC, whole microseconds
	full.Due = future(1).Add(123456 * time.Microsecond)
	for i, want := range []eventstore.Parked{full, bare} {
		if g, w := showParked(got[i]), showParked(want); g != w {
			t.broken("parked was\n\t%s; it came back as\n\t%s", w, g)
		}
		if at := got[i].At; at.Before(before) || at.After(after) || at.Location() != time.UTC || at.Nanosecond()%1000 != 0 {
			t.broken("an entry parked between %s and %s says that it was parked at %s", before, after, at)
		}
	}
}

func listParked(t *trial) {
	l := t.claim(t.store, "owner", "parker", 4)
	want := []eventstore.Position{3, 9, 1, 40, 7, 100, 2}
	for i, p := range want {
		t.park(l[i%4], entry(l[i%4], fmt.Sprint("key ", i), eventstore.Event{Position: p}))
	}
	slices.Sort(want)
	var got []eventstore.Position
	for _, p := range t.parked(t.store, eventstore.ParkedFilter{}) {
		got = append(got, p.Position)
	}
	if !slices.Equal(got, want) {
		t.broken("entries at %v are listed as %v", want, got)
	}
	for _, err := range t.parker(t.store).Parked(t.ctx, eventstore.ParkedFilter{}) {
		t.need(err, "list parked entries")
		break // a list that is left early must not go on
	}
}

func parkAnew(t *trial) {
	l := t.claim(t.store, "owner", "parker", 1)[0]
	p := entry(l, "key", eventstore.Event{Position: 1})
	t.park(l, p)
	first := t.listedOne(t.store)
	t.tick()
	p.Attempts = 2
	p.Failures = append(p.Failures, eventstore.Failure{At: past(9), Error: "it failed again"})
	c := eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(l, 0)}, Unparks: []uuid.UUID{p.ID}, Parks: []eventstore.Parked{p}}
	t.commit(t.store, c)
	got := t.listedOne(t.store)
	if showParked(got) != showParked(p) {
		t.broken("an entry was taken back and parked again as\n\t%s in one commit; listed is\n\t%s", showParked(p), showParked(got))
	}
	if !got.At.Equal(first.At) {
		t.broken("an entry that was first parked at %s was taken back and parked again in one commit, and now it says %s", first.At, got.At)
	}
}

func unpark(t *trial) {
	l := t.claim(t.store, "owner", "parker", 1)[0]
	a, b, c := entry(l, "a", eventstore.Event{Position: 1}), entry(l, "a", eventstore.Event{Position: 1}), entry(l, "a", eventstore.Event{Position: 2})
	t.park(l, a, b, c)
	t.commit(t.another(), eventstore.Commit{Unparks: []uuid.UUID{c.ID, a.ID}})
	if got := t.parked(t.store, eventstore.ParkedFilter{}); len(got) != 1 || got[0].ID != b.ID {
		t.broken("of three parked entries two were taken back; listed are %+v", got)
	}
}
