package memory

import (
	"context"
	"encoding/json"
	"iter"
	"maps"
	"slices"

	"github.com/necrostack/necrostack/eventstore"
)

// positions of the events that share a stream, category, type or tag, in order. Only ever appended to, so
// that a reader may go on with what it saw.
type positions []eventstore.Position

// lists are the positions of the events that share a name.
type lists map[string]*positions

func (ls lists) add(name string, p eventstore.Position) {
	l := ls[name]
	if l == nil {
		l = new(positions)
		ls[name] = l
	}
	*l = append(*l, p)
}

func (ls lists) of(name string) positions {
	if l := ls[name]; l != nil {
		return *l
	}
	return nil
}

// Read implements eventstore.Backend.
func (b *Backend) Read(ctx context.Context, q eventstore.Query, r eventstore.Range) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		b.mu.RLock()
		log, head := b.log, b.log.head
		upTo := head
		if r.UpTo > 0 {
			upTo = min(upTo, r.UpTo)
		}
		found := b.find(q, r.After, upTo, r.Backward)
		b.mu.RUnlock()
		n, data := 0, arena(nil)
		for p := range found {
			if err := ctx.Err(); err != nil {
				yield(eventstore.Event{}, err)
				return
			}
			if !yield(data.clone(&log.at(p).Event), nil) {
				return
			}
			if n++; n == r.Limit {
				break
			}
		}
		if r.Through != nil {
			*r.Through = head
		}
	}
}

// arena is memory for the payloads of several small events, which costs less than memory for each.
type arena []byte

const arenaSize = 4 << 10

// clone copies an event.
func (a *arena) clone(e *eventstore.Event) eventstore.Event {
	c, n := *e, len(e.Data)
	if n > arenaSize/4 {
		return e.Clone()
	}
	if cap(*a)-len(*a) < n {
		*a = make(arena, 0, arenaSize)
	}
	*a = append(*a, e.Data...)
	c.Data = json.RawMessage((*a)[len(*a)-n : len(*a) : len(*a)])
	c.Tags, c.Metadata.User = slices.Clone(e.Tags), maps.Clone(e.Metadata.User)
	return c
}

// find returns the positions of the events that match q, after and up to two positions. It must be called
// under the lock; the sequence may be used after it.
func (b *Backend) find(q eventstore.Query, after, upTo eventstore.Position, backward bool) iter.Seq[eventstore.Position] {
	var lists []positions
	all := false
	for _, it := range q.Items() {
		found, some := b.index(it)
		lists, all = append(lists, found...), all || !some
	}
	log := b.log
	return func(yield func(eventstore.Position) bool) {
		candidates := merge(lists, after, upTo, backward)
		if all {
			candidates = count(after, upTo, backward)
		}
		for p := range candidates {
			if q.Matches(&log.at(p).Event) && !yield(p) {
				return
			}
		}
	}
}

// index returns lists that together hold every event an item may match, and false if that is the whole log.
func (b *Backend) index(it eventstore.Item) (lists []positions, ok bool) {
	if it.Stream != "" {
		return []positions{b.streams[it.Stream]}, true
	}
	var best positions
	for _, t := range it.Tags {
		if list := b.tags.of(t); !ok || len(list) < len(best) {
			best, ok = list, true
		}
	}
	if ok {
		return []positions{best}, true
	}
	for _, t := range it.Types {
		lists = append(lists, b.types.of(t))
	}
	if len(lists) > 0 {
		return lists, true
	}
	return []positions{b.categories.of(it.Category)}, it.Category != ""
}

// count yields every position, in order.
func count(after, upTo eventstore.Position, backward bool) iter.Seq[eventstore.Position] {
	return func(yield func(eventstore.Position) bool) {
		for i := range upTo - after {
			p := after + 1 + i
			if backward {
				p = upTo - i
			}
			if !yield(p) {
				return
			}
		}
	}
}

// merge yields the positions of all lists in order, each once.
func merge(lists []positions, after, upTo eventstore.Position, backward bool) iter.Seq[eventstore.Position] {
	return func(yield func(eventstore.Position) bool) {
		rest := make([]positions, 0, len(lists))
		for _, l := range lists {
			from, _ := slices.BinarySearch(l, after+1)
			to, _ := slices.BinarySearch(l, upTo+1)
			if from < to {
				rest = append(rest, l[from:to])
			}
		}
		for len(rest) > 0 {
			next := rest[0].end(backward)
			for _, l := range rest[1:] {
				if p := l.end(backward); p < next != backward && p != next {
					next = p
				}
			}
			rest = slices.DeleteFunc(rest, func(l positions) bool { return len(l) == 1 && l[0] == next })
			for i, l := range rest {
				if l.end(backward) == next {
					rest[i] = l.cut(backward)
				}
			}
			if !yield(next) {
				return
			}
		}
	}
}

func (l positions) end(last bool) eventstore.Position {
	if last {
		return l[len(l)-1]
	}
	return l[0]
}

func (l positions) cut(last bool) positions {
	if last {
		return l[:len(l)-1]
	}
	return l[1:]
}
