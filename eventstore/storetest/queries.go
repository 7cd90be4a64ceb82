package storetest

import (
	"fmt"
	"slices"

	"github.com/necrostack/necrostack/eventstore"
)

func queries() promise {
	return promise{
		name: "Queries",
		says: "a query selects the events that agree with everything that one of its items names, and no others",
		checks: []check{
			{name: "every shape of query selects what it names", heavy: true, run: selectEach},
			{name: "names are compared byte for byte", heavy: true, run: exactNames},
			{name: "a query of many items and names selects what any of them does", heavy: true, run: wideQuery},
		},
	}
}

// selection is a query of the shelf, and the positions that it selects.
type selection struct {
	name  string
	query eventstore.Query
	want  []eventstore.Position
}

func (s selection) String() string { return s.name }

// after is what the query selects after a position.
func (s selection) after(p eventstore.Position) []eventstore.Position {
	return slices.DeleteFunc(slices.Clone(s.want), func(at eventstore.Position) bool { return at <= p })
}

// shelf is a log in which every shape of query finds something of its own, at the positions 1 and 2, 3,
// 4 and 5, 6, 7, 8, 9.
func shelf() eventstore.Commit {
	return appends(
		to("book-1", event("lent", "shelf:a", "row:1"), event("returned", "shelf:a")),
		to("book-2", event("lent", "shelf:b", "row:1")),
		to("map-1", event("lent", "shelf:a"), event("torn", "row:1", "shelf:a")),
		to("book", event("lent")),
		to("book-1-1", event("returned", "shelf:a", "row:1", "late")),
		to("bookmark-1", event("lent", "shelf:c")),
		to("book-1", event("torn", "row:1")),
	)
}

func selections() []selection {
	item := eventstore.Match
	type at = []eventstore.Position
	return []selection{
		{"nothing", eventstore.Query{}, at{}},
		{"no types", eventstore.OfType(), at{}},
		{"no tags", eventstore.WithTags(), at{}},
		{"no items", item(), at{}},
		{"everything", eventstore.All(), at{1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{"stream", eventstore.InStream("book-1"), at{1, 2, 9}},
		{"stream that is a category's name", eventstore.InStream("book"), at{6}},
		{"stream that is not there", eventstore.InStream("book-9"), at{}},
		{"category", eventstore.InCategory("book"), at{1, 2, 3, 6, 7, 9}},
		{"category that is another's beginning", eventstore.InCategory("map"), at{4, 5}},
		{"type", eventstore.OfType("lent"), at{1, 3, 4, 6, 8}},
		{"either of two types", eventstore.OfType("torn", "returned"), at{2, 5, 7, 9}},
		{"a type named twice", eventstore.OfType("torn", "torn"), at{5, 9}},
		{"type that is not there", eventstore.OfType("burnt"), at{}},
		{"tag", eventstore.WithTags("row:1"), at{1, 3, 5, 7, 9}},
		{"both of two tags", eventstore.WithTags("shelf:a", "row:1"), at{1, 5, 7}},
		{"a tag named twice", eventstore.WithTags("late", "late"), at{7}},
		{"two tags that no event has both", eventstore.WithTags("shelf:a", "shelf:b"), at{}},
		{"type and tag", item(eventstore.Item{Types: []string{"lent"}, Tags: []string{"shelf:a"}}), at{1, 4}},
		{"types and tags", item(eventstore.Item{Types: []string{"torn", "returned"}, Tags: []string{"row:1", "shelf:a"}}), at{5, 7}},
		{"stream and type", item(eventstore.Item{Stream: "book-1", Types: []string{"lent"}}), at{1}},
		{"stream and tag", item(eventstore.Item{Stream: "book-1", Tags: []string{"shelf:a"}}), at{1, 2}},
		{"stream and category", item(eventstore.Item{Stream: "book-1", Category: "book"}), at{1, 2, 9}},
		{"stream of another category", item(eventstore.Item{Stream: "book-1", Category: "map"}), at{}},
		{"category and type", item(eventstore.Item{Category: "book", Types: []string{"lent"}}), at{1, 3, 6}},
		{"category and tag", item(eventstore.Item{Category: "book", Tags: []string{"row:1"}}), at{1, 3, 7, 9}},
		{"stream, category, type and tag", item(eventstore.Item{Stream: "book-1", Category: "book", Types: []string{"torn"}, Tags: []string{"row:1"}}), at{9}},
		{"either of two streams", eventstore.InStream("book-2").Or(eventstore.InStream("map-1")), at{3, 4, 5}},
		{"either of two categories", eventstore.InCategory("map").Or(eventstore.InCategory("bookmark")), at{4, 5, 8}},
		{"either of two tags", eventstore.WithTags("late").Or(eventstore.WithTags("shelf:b")), at{3, 7}},
		{"either of two overlapping items", eventstore.OfType("lent").Or(eventstore.WithTags("row:1")), at{1, 3, 4, 5, 6, 7, 8, 9}},
		{"one item of each shape", eventstore.InStream("book-2").Or(eventstore.InCategory("bookmark"), eventstore.OfType("returned"), eventstore.WithTags("late")), at{2, 3, 7, 8}},
		{"anything or everything", eventstore.OfType("torn").Or(eventstore.All()), at{1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{"nothing or something", eventstore.Query{}.Or(eventstore.OfType("torn")), at{5, 9}},
		{"only one type of a category", eventstore.InCategory("book").Only("lent"), at{1, 3, 6}},
		{"only one type of everything", eventstore.All().Only("torn"), at{5, 9}},
		{"only one of several types", eventstore.OfType("lent", "torn").Only("torn", "returned"), at{5, 9}},
		{"only types that are not selected", eventstore.OfType("lent").Only("torn"), at{}},
		{"only no types", eventstore.All().Only(), at{}},
		{"only one type of either of two", eventstore.WithTags("late").Or(eventstore.InStream("map-1")).Only("torn", "returned"), at{5, 7}},
	}
}

// selectEach reads each query in both directions, from every position, with several limits.
func selectEach(t *trial) {
	t.commit(t.store, shelf())
	each(t, selections(), selection.String, func(s selection) {
		for after := range eventstore.Position(10) {
			for limit := range 4 {
				for _, backward := range []bool{false, true} {
					s.selects(t, eventstore.Range{After: after, Limit: limit, Backward: backward})
				}
			}
		}
	})
}

func (s selection) selects(t *trial, r eventstore.Range) {
	want := s.after(r.After)
	if r.Backward {
		slices.Reverse(want)
	}
	if r.Limit > 0 {
		want = want[:min(r.Limit, len(want))]
	}
	if got, _ := t.read(t.store, s.query, r); !slices.Equal(positionsOf(got), want) {
		t.brokenNow("%s %s selects the positions %v; the read gave %s", showQuery(s.query), showRange(r), want, showAll(got))
	}
}

func exactNames(t *trial) {
	names := []string{
		"name", "Name", "nam", "name1", "name 1", "name  1", "name%", "name_", "na%", "n_me", "name*", "n?me", "[n]ame", "name'", `name"`, `name\`,
		"näme", "na\u0308me", "name:", "name:1", "name,other", "{name}", "name\nother", "null", "0", "00", "😀",
	}
	for i, name := range names {
		t.add(t.store, eventstore.Stream(name), eventstore.Event{ID: newID(), Type: name, Tags: []string{name}, Data: []byte(fmt.Sprint(i))})
	}
	for i, name := range names {
		for _, q := range []eventstore.Query{
			eventstore.OfType(name), eventstore.WithTags(name), eventstore.InStream(eventstore.Stream(name)), eventstore.InCategory(name),
			eventstore.Match(eventstore.Item{Types: []string{name}, Tags: []string{name}}),
		} {
			if got, _ := t.read(t.store, q, eventstore.Range{}); len(got) != 1 || got[0].Position != eventstore.Position(i+1) {
				t.broken("%s selects the event at %d alone; the read gave %s", showQuery(q), i+1, showAll(got))
			}
		}
	}
}

func wideQuery(t *trial) {
	t.commit(t.store, shelf())
	var items []eventstore.Item
	for i := range 300 {
		items = append(items, eventstore.Item{Stream: eventstore.StreamOf("none", fmt.Sprint(i)), Types: []string{"lent"}})
	}
	types := []string{"torn"}
	for i := range 900 {
		types = append(types, fmt.Sprint("type ", i))
	}
	q := eventstore.Match(append(items, eventstore.Item{Types: types}, eventstore.Item{Tags: []string{"late"}})...)
	if got, _ := t.read(t.store, q, eventstore.Range{}); !slices.Equal(positionsOf(got), []eventstore.Position{5, 7, 9}) {
		t.broken("a query of 302 items selects the positions 5, 7 and 9; the read gave %s", showAll(got))
	}
	c := unless(appends(to("book-1", event("lent"))), q, 8)
	t.refused(t.store, c, eventstore.ErrConflict)
	c.Unless[0].After = 9
	t.commit(t.store, c)
}
