package eventstore

import (
	"errors"
	"fmt"
	"slices"
)

// Query selects events: those that match any of its items. The zero Query selects none. A Query never
// changes once made, so it may be kept, shared and used by many goroutines.
//
// Types, tags and alternatives are those of a Dynamic Consistency Boundary, https://dcb.events/specification/.
type Query struct{ items []Item }

// Item matches an event that agrees with everything it names. The zero Item matches every event.
type Item struct {
	Stream   Stream   // the event's stream
	Category string   // its stream's category
	Types    []string // any of these types
	Tags     []string // all of these tags
}

// All selects every event.
func All() Query { return Query{[]Item{{}}} }

// InStream selects the events of one stream.
func InStream(s Stream) Query { return Query{[]Item{{Stream: s}}} }

// InCategory selects the events of every stream of a category.
func InCategory(category string) Query { return Query{[]Item{{Category: category}}} }

// OfType selects the events of any of the types; without types, none.
func OfType(types ...string) Query {
	if len(types) == 0 {
		return Query{}
	}
	return Query{[]Item{{Types: slices.Clone(types)}}}
}

// WithTags selects the events that carry all of the tags; without tags, none.
func WithTags(tags ...string) Query {
	if len(tags) == 0 {
		return Query{}
	}
	return Query{[]Item{{Tags: slices.Clone(tags)}}}
}

// Match selects the events that match any of the items.
func Match(items ...Item) Query { return Query{cloneItems(items)} }

// Or selects what q or any of the others selects.
func (q Query) Or(others ...Query) Query {
	items := slices.Clone(q.items)
	for _, o := range others {
		items = append(items, o.items...)
	}
	return Query{items}
}

// Only selects what q selects and is of one of the types.
func (q Query) Only(types ...string) Query {
	items := make([]Item, 0, len(q.items))
	for _, it := range q.items {
		if len(it.Types) == 0 {
			it.Types = slices.Clone(types)
		} else {
			it.Types = slices.DeleteFunc(slices.Clone(it.Types), func(t string) bool { return !slices.Contains(types, t) })
		}
		if len(it.Types) > 0 {
			items = append(items, it)
		}
	}
	return Query{items}
}

// IsZero reports whether the query selects nothing, whatever the log holds.
func (q Query) IsZero() bool { return len(q.items) == 0 }

// Items returns a copy of the query's items.
func (q Query) Items() []Item { return cloneItems(q.items) }

// Matches reports whether the query selects the event.
func (q Query) Matches(e *Event) bool {
	for i := range q.items {
		if q.items[i].matches(e) {
			return true
		}
	}
	return false
}

func (it *Item) matches(e *Event) bool {
	if it.Stream != "" && it.Stream != e.Stream || it.Category != "" && it.Category != e.Stream.Category() {
		return false
	}
	if len(it.Types) > 0 && !slices.Contains(it.Types, e.Type) {
		return false
	}
	for _, t := range it.Tags {
		if !slices.Contains(e.Tags, t) {
			return false
		}
	}
	return true
}

// Validate checks names and sizes and reports all faults at once.
func (q Query) Validate() error {
	if len(q.items) > maxItems {
		return invalid("query", "has %d items, more than %d", len(q.items), maxItems)
	}
	var errs []error
	for i, it := range q.items {
		field := fmt.Sprintf("query item %d: ", i+1)
		if it.Stream != "" {
			errs = append(errs, checkName(field+"stream", string(it.Stream)))
		}
		if it.Category != "" {
			errs = append(errs, CheckCategory(field+"category", it.Category))
		}
		if n := len(it.Types) + len(it.Tags); n > maxItems {
			errs = append(errs, invalid(field+"types and tags", "are %d, more than %d", n, maxItems))
			continue
		}
		for _, t := range it.Types {
			errs = append(errs, checkName(field+"type", t))
		}
		for _, t := range it.Tags {
			errs = append(errs, checkName(field+"tag", t))
		}
	}
	return errors.Join(errs...)
}

func cloneItems(items []Item) []Item {
	items = slices.Clone(items)
	for i, it := range items {
		items[i].Types, items[i].Tags = slices.Clone(it.Types), slices.Clone(it.Tags)
	}
	return items
}
