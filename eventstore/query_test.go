package eventstore_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/necrostack/necrostack/eventstore"
	"pgregory.net/rapid"
)

func TestQueryMatchesWhatAgreesWithEverythingAnItemNames(t *testing.T) {
	t.Parallel()
	e := eventstore.Event{Stream: "book-1", Type: "lent", Tags: []string{"shelf:a", "row:1"}}
	for _, c := range []struct {
		query   eventstore.Query
		matches bool
	}{
		{eventstore.Query{}, false},
		{eventstore.Match(), false},
		{eventstore.OfType(), false},
		{eventstore.WithTags(), false},
		{eventstore.All(), true},
		{eventstore.Match(eventstore.Item{}), true},
		{eventstore.InStream("book-1"), true},
		{eventstore.InStream("book-2"), false},
		{eventstore.InStream("book"), false},
		{eventstore.InCategory("book"), true},
		{eventstore.InCategory("boo"), false},
		{eventstore.OfType("lent"), true},
		{eventstore.OfType("torn", "lent"), true},
		{eventstore.OfType("torn"), false},
		{eventstore.WithTags("row:1"), true},
		{eventstore.WithTags("row:1", "shelf:a"), true},
		{eventstore.WithTags("row:1", "shelf:b"), false},
		{eventstore.Match(eventstore.Item{Types: []string{"lent"}, Tags: []string{"row:1"}}), true},
		{eventstore.Match(eventstore.Item{Types: []string{"torn"}, Tags: []string{"row:1"}}), false},
		{eventstore.Match(eventstore.Item{Stream: "book-1", Category: "map"}), false},
		{eventstore.OfType("torn").Or(eventstore.WithTags("row:1")), true},
		{eventstore.OfType("torn").Or(eventstore.WithTags("row:2"), eventstore.InStream("book-1")), true},
		{eventstore.All().Only("lent"), true},
		{eventstore.All().Only("torn"), false},
		{eventstore.All().Only(), false},
		{eventstore.OfType("lent", "torn").Only("torn"), false},
		{eventstore.InCategory("book").Or(eventstore.OfType("torn")).Only("lent"), true},
	} {
		if got := c.query.Matches(&e); got != c.matches {
			t.Errorf("%+v matches %+v: %t", c.query.Items(), e, got)
		}
	}
}

func drawItem(t *rapid.T) eventstore.Item {
	it := eventstore.Item{
		Types: rapid.SliceOfN(rapid.SampledFrom([]string{"x", "y", "z"}), 0, 2).Draw(t, "types"),
		Tags:  rapid.SliceOfN(rapid.SampledFrom([]string{"t", "u"}), 0, 2).Draw(t, "tags"),
	}
	if rapid.Bool().Draw(t, "by stream") {
		it.Stream = rapid.SampledFrom([]eventstore.Stream{"a-1", "a-2", "b"}).Draw(t, "stream")
	}
	if rapid.Bool().Draw(t, "by category") {
		it.Category = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "category")
	}
	return it
}

func TestQueryAlgebra(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := eventstore.Match(rapid.SliceOfN(rapid.Custom(drawItem), 0, 3).Draw(t, "p")...)
		q := eventstore.Match(rapid.SliceOfN(rapid.Custom(drawItem), 0, 3).Draw(t, "q")...)
		types := rapid.SliceOfN(rapid.SampledFrom([]string{"x", "y", "z"}), 0, 2).Draw(t, "only")
		e := eventstore.Event{
			Stream: rapid.SampledFrom([]eventstore.Stream{"a-1", "a-2", "b"}).Draw(t, "of stream"),
			Type:   rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "of type"),
			Tags:   rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"t", "u"}), 0, 2, rapid.ID[string]).Draw(t, "with tags"),
		}
		if got, want := p.Or(q).Matches(&e), p.Matches(&e) || q.Matches(&e); got != want {
			t.Fatalf("%v or %v: %t, not %t", p.Items(), q.Items(), got, want)
		}
		if got, want := p.Only(types...).Matches(&e), p.Matches(&e) && slices.Contains(types, e.Type); got != want {
			t.Fatalf("%v only %q: %t, not %t", p.Items(), types, got, want)
		}
		if got, want := eventstore.Match(p.Items()...).Matches(&e), p.Matches(&e); got != want {
			t.Fatalf("%v made again of its items: %t, not %t", p.Items(), got, want)
		}
		if p.IsZero() && p.Matches(&e) {
			t.Fatalf("%v is zero and matches", p.Items())
		}
	})
}

func TestQueryNeverChangesOnceMade(t *testing.T) {
	t.Parallel()
	types, tags := []string{"lent", "torn"}, []string{"row:1", "shelf:a"}
	item := eventstore.Item{Types: slices.Clone(types), Tags: slices.Clone(tags)}
	q := eventstore.OfType(types...).Or(eventstore.WithTags(tags...), eventstore.Match(item))
	only := q.Only(types...)
	want := fmt.Sprint(q.Items(), only.Items())
	types[0], tags[0], item.Types[0], item.Tags[0] = "spoilt", "spoilt", "spoilt", "spoilt"
	for _, it := range q.Items() {
		for _, names := range [][]string{it.Types, it.Tags} {
			for i := range names {
				names[i] = "spoilt"
			}
		}
	}
	a, b := q.Or(eventstore.OfType("a")), q.Or(eventstore.OfType("b"))
	if got := fmt.Sprint(q.Items(), only.Items()); got != want {
		t.Errorf("a query was\n%s and became\n%s", want, got)
	}
	if last := a.Items()[3].Types[0] + b.Items()[3].Types[0]; last != "ab" {
		t.Errorf("two queries made of one share their items: %s", last)
	}
}

func TestQueryReportsAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	q := eventstore.InStream(" padded").Or(eventstore.InCategory("with-dash"), eventstore.OfType("good", ""), eventstore.WithTags("\xff"))
	err := q.Validate()
	if !errors.Is(err, eventstore.ErrInvalid) {
		t.Fatalf("validate: %v", err)
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 4 {
		t.Errorf("four faults were reported as:\n%v", err)
	}
	if err := eventstore.All().Or(eventstore.OfType("good")).Validate(); err != nil {
		t.Errorf("a sound query: %v", err)
	}
}

func TestExpectedAllowsWhatItSays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		expect  eventstore.Expected
		says    string
		allowed map[eventstore.Version]bool
	}{
		{eventstore.Any, "anything", map[eventstore.Version]bool{0: true, 1: true, 1 << 60: true}},
		{eventstore.Expected{}, "anything", map[eventstore.Version]bool{0: true, 7: true}},
		{eventstore.NoStream, "no stream", map[eventstore.Version]bool{0: true, 1: false, 7: false}},
		{eventstore.StreamExists, "a stream", map[eventstore.Version]bool{0: false, 1: true, 1 << 60: true}},
		{eventstore.Exact(0), "version 0", map[eventstore.Version]bool{0: true, 1: false}},
		{eventstore.Exact(7), "version 7", map[eventstore.Version]bool{0: false, 6: false, 7: true, 8: false}},
	} {
		if got := c.expect.String(); got != c.says {
			t.Errorf("%#v says %q, not %q", c.expect, got, c.says)
		}
		for v, want := range c.allowed {
			if got := c.expect.Allows(v); got != want {
				t.Errorf("%s allows version %d: %t", c.expect, v, got)
			}
			if least, greatest := c.expect.Bounds(); (least <= v && v <= greatest) != want {
				t.Errorf("%s has the bounds %d and %d", c.expect, least, greatest)
			}
		}
	}
}

func TestStreamIsACategoryAndAnID(t *testing.T) {
	t.Parallel()
	for s, want := range map[eventstore.Stream][2]string{
		"order-42":             {"order", "42"},
		"order":                {"order", ""},
		"order-":               {"order", ""},
		"-42":                  {"", "42"},
		"order-42-a":           {"order", "42-a"},
		"":                     {"", ""},
		"saga.trip-order-42":   {"saga.trip", "order-42"},
		"größe-ü":              {"größe", "ü"},
		eventstore.Stream("-"): {"", ""},
	} {
		if got := [2]string{s.Category(), s.ID()}; got != want {
			t.Errorf("%q is %q, not %q", s, got, want)
		}
		if s.ID() != "" && eventstore.StreamOf(s.Category(), s.ID()) != s {
			t.Errorf("%q is not joined again from its parts", s)
		}
	}
}
