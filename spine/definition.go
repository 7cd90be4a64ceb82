package spine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// shape is how the partitions of a consumer are worked: by its definition, or by the one before it until all
// partitions stand at one position.
type shape struct {
	generation int64
	partitions int
	key        eventstore.Key      // nil: by stream
	until      eventstore.Position // 0: without end
	competing  bool
}

// hash is the name of what partition.Of does.
const hash = "fnv1a-64"

// definition is the consumer's as this program has it, with the number of partitions that the log has if the
// organ does not care.
func (c *consumer) definition(known eventstore.Consumer) eventstore.Consumer {
	d := eventstore.Consumer{
		Name: c.Name, Partitions: c.Policy.Partitions, Keys: c.KeyVersion, Hash: hash, Listens: c.listens,
		Competing: c.Policy.Delivery == Competing,
	}
	switch {
	case d.Competing:
		d.Partitions = 1 // of them all, for only the window is filled in order
	case known.Partitions > 0 && !known.Competing && !c.fixed:
		d.Partitions = known.Partitions
	}
	return d
}

// listening writes down what a query selects.
func listening(q eventstore.Query) []string {
	var all []string
	for _, it := range q.Items() {
		slices.Sort(it.Types)
		slices.Sort(it.Tags)
		types := it.Types
		it.Types = nil
		rest := ""
		if it.Stream != "" || it.Category != "" || len(it.Tags) > 0 {
			rest = fmt.Sprintf(" stream=%q category=%q tags=%q", it.Stream, it.Category, it.Tags)
		}
		if len(types) == 0 {
			all = append(all, "any"+rest)
		}
		for _, t := range types {
			all = append(all, fmt.Sprintf("%q%s", t, rest))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// adopt finds out how the consumer is to be worked, and makes our definition the log's if it is the newer one.
// A nil shape means that others run a newer definition.
func (e *engine) adopt(ctx context.Context, c *consumer) error {
	for {
		known, err := e.leaser.Define(ctx, c.definition(eventstore.Consumer{}))
		if err != nil {
			return err
		}
		r, err := e.leaser.Roster(ctx, c.Name)
		if err != nil {
			return err
		}
		if r.Generation != known.Generation { // it has changed in between
			continue
		}
		s, next, err := e.judge(c, known, r)
		if err != nil {
			return err
		}
		if next == nil {
			e.setShape(c, s)
			return nil
		}
		if _, err := e.leaser.Redefine(ctx, *next); err != nil && !errors.Is(err, eventstore.ErrConflict) {
			return err
		}
	}
}

// judge compares our definition with the log's. It returns how to work the consumer, or what to put in place of
// the log's definition first.
//
// Where the lanes differ, the log's definition is first replaced by itself, with an end: that fences whoever works
// by it, so that from then on nothing moves that was not counted. The next step brings all lanes to that end, and
// the last one begins there.
func (e *engine) judge(c *consumer, known eventstore.Consumer, r eventstore.Roster) (*shape, *eventstore.Consumer, error) {
	mine := c.definition(known)
	mark := mine.Fingerprint()
	switch {
	case known.Next == "" && known.Fingerprint() == mark:
		return shapeOf(known, c.Key), nil, nil
	case known.Next == mark:
		return c.approach(known, mine, r)
	case c.superseded(known) && !e.orphaned(c, r):
		return nil, nil, nil
	}
	mine.Generation, mine.Former = known.Generation, former(known, mine)
	if known.Partitions == mine.Partitions && known.Keys == mine.Keys && known.Hash == mine.Hash {
		return nil, &mine, nil
	}
	if _, err := c.keyOf(known, r); err != nil {
		return nil, nil, err
	}
	known.Until, known.Next, known.Former = farthest(r), mark, slices.Concat(mine.Former, []string{whatever(mine)})
	return nil, &known, nil
}

// approach is judge for a consumer that is about to become ours.
func (c *consumer) approach(known, mine eventstore.Consumer, r eventstore.Roster) (*shape, *eventstore.Consumer, error) {
	least, most := r.Position(), farthest(r)
	switch {
	case least == known.Until && most == least:
		mine.Generation, mine.Former = known.Generation, former(known, mine)
		return nil, &mine, nil
	case most > known.Until, least == most: // it moved before it was fenced, or was reset
		known.Until = most
		return nil, &known, nil
	}
	key, err := c.keyOf(known, r)
	return shapeOf(known, key), nil, err
}

func shapeOf(known eventstore.Consumer, key eventstore.Key) *shape {
	return &shape{known.Generation, known.Partitions, key, known.Until, known.Competing}
}

// farthest is where the partition stands that has come farthest.
func farthest(r eventstore.Roster) (most eventstore.Position) {
	for _, p := range r.Partitions {
		most = max(most, p.Position)
	}
	return most
}

// whatever is the fingerprint of a definition with any number of partitions.
func whatever(c eventstore.Consumer) string {
	c.Partitions = 0
	return c.Fingerprint()
}

// superseded reports whether the log's definition came after ours. An organ that does not care for the number of
// partitions is told by the rest: the number that it would have now may be one that it never had.
func (c *consumer) superseded(known eventstore.Consumer) bool {
	mine := c.definition(known)
	return slices.Contains(known.Former, mine.Fingerprint()) || !c.fixed && slices.Contains(known.Former, whatever(mine))
}

// former lists the fingerprints of definitions that are superseded once known is, by mine.
func former(known, mine eventstore.Consumer) []string {
	const most = 40
	list := slices.Clone(known.Former)
	for _, mark := range []string{known.Fingerprint(), whatever(known), known.Next} {
		if mark != "" && !slices.Contains(list, mark) {
			list = append(list, mark)
		}
	}
	list = slices.DeleteFunc(list, func(mark string) bool { return mark == mine.Fingerprint() || mark == whatever(mine) })
	return list[max(0, len(list)-most):]
}

// orphan is since when nobody has run a definition.
type orphan struct {
	generation int64
	since      time.Time
}

// orphaned reports whether nobody has run the present definition for as long as a lease, so that an older one
// may come back: a deployment was taken back.
func (e *engine) orphaned(c *consumer, r eventstore.Roster) bool {
	if slices.ContainsFunc(r.Members, func(m string) bool { return m != e.id }) {
		delete(e.orphans, c)
		return false
	}
	if e.orphans[c].generation != r.Generation {
		e.orphans[c] = orphan{r.Generation, time.Now()}
	}
	return time.Since(e.orphans[c].since) >= e.cfg.Lease
}

// keyOf returns the key function of the log's definition, as far as this program knows it. Where all partitions
// stand at one position, none is needed.
func (c *consumer) keyOf(known eventstore.Consumer, r eventstore.Roster) (eventstore.Key, error) {
	least, most := r.Position(), farthest(r)
	switch {
	case known.Keys == c.KeyVersion || least == most:
		return c.Key, nil
	case known.Keys == c.KeyVersion-1 && c.FormerKey != nil:
		return c.FormerKey, nil
	}
	return nil, &keyError{mine: c.KeyVersion, known: known.Keys, least: least, most: most}
}

// keyError says that the partitions cannot be brought to one position: nobody knows how.
type keyError struct {
	mine, known int
	least, most eventstore.Position
}

func (e *keyError) Error() string {
	remedy := "set Wiring.FormerKey to the key of version %d, or let the program that has it come to the end of the log"
	if e.known > e.mine {
		remedy = "start the program that has the key of version %d again"
	}
	return fmt.Sprintf("its key is of version %d, in the log of version %d, and its partitions stand at positions %d … %d: "+remedy,
		e.mine, e.known, e.least, e.most, e.known)
}

// setShape decides how the consumer's lanes are worked from now on. Those that are worked otherwise are fenced
// already.
func (e *engine) setShape(c *consumer, s *shape) {
	e.mu.Lock()
	if old := e.shapes[c.index]; old == nil || s == nil || old.generation != s.generation {
		e.shapes[c.index] = s
	}
	e.mu.Unlock()
	e.window.Fire()
}

// shape returns how the consumer is worked, nil: not by us.
func (e *engine) shape(c *consumer) *shape {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.shapes[c.index]
}
