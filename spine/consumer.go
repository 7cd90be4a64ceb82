package spine

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/partition"
	"github.com/necrostack/necrostack/internal/signal"
)

// consumer is an organ that listens.
type consumer struct {
	Wiring
	*tally
	index   int           // among the consumers of its Spine
	fixed   bool          // the organ itself says how many partitions it has
	listens []string      // Listens, as its definition says it
	history atomic.Int64  // Roster.History
	started signal.Signal // lanes of it were
	joint   joint
	carried time.Time // when its idle lanes' checkpoints were last taken charge of; under feed.mu
}

// most is how many events may go into one commit.
func (c *consumer) most() int {
	if c.HandleBatch != nil && c.MaxBatch > 0 {
		return c.MaxBatch
	}
	return batchInputs
}

// split sorts events into the partitions of a shape. It counts first, so that one array holds all inputs.
func (c *consumer) split(s *shape, events []eventstore.Event) [][]Input {
	if s.key == nil {
		return c.splitByStream(s, events)
	}
	sorting := sortings.Get().(*sorting) //nolint:forcetypeassert // nothing else is put there
	of, inputs := sorting.of[:0], sorting.inputs[:0]
	defer func() {
		clear(inputs)
		sorting.of, sorting.inputs = of, inputs
		sortings.Put(sorting)
	}()
	counts, names := make([]int, s.partitions), make([]string, 0, len(events))
	put := func(n int, in Input) {
		of, inputs = append(of, int16(n)), append(inputs, in)
		counts[n]++
	}
	for i := range events {
		e := &events[i]
		if !c.Listens.Matches(e) {
			continue
		}
		keys, err := s.keys(e)
		if err != nil { // somebody has to park it
			put(partition.Of(string(e.Stream), s.partitions), Input{Event: e, fault: err})
			continue
		}
		first := len(inputs)
		for _, k := range keys {
			n := partition.Of(k, s.partitions)
			if at := slices.Index(of[first:], int16(n)); at >= 0 {
				inputs[first+at].Keys = append(inputs[first+at].Keys, k)
				continue
			}
			names = append(names, k)
			put(n, Input{Event: e, Keys: names[len(names)-1 : len(names) : len(names)]})
		}
	}
	lanes := room(counts)
	for i, n := range of {
		lanes[n] = append(lanes[n], inputs[i])
	}
	return lanes
}

// sorting is room for inputs, each with the partition that it is for, while they are sorted.
type sorting struct {
	of     []int16
	inputs []Input
}

var sortings = sync.Pool{New: func() any { return new(sorting) }}

// room is one array for all inputs, so many for each partition.
func room(counts []int) [][]Input {
	total := 0
	for _, k := range counts {
		total += k
	}
	lanes, inputs := make([][]Input, len(counts)), make([]Input, total)
	for n, k := range counts {
		lanes[n], inputs = inputs[:0:k], inputs[k:]
	}
	return lanes
}

// splitByStream is split for the default key.
func (c *consumer) splitByStream(s *shape, events []eventstore.Event) [][]Input {
	of, counts := make([]int16, len(events)), make([]int, s.partitions)
	for i := range events {
		of[i] = -1
		if c.Listens.Matches(&events[i]) {
			n := partition.Of(string(events[i].Stream), s.partitions)
			of[i] = int16(n)
			counts[n]++
		}
	}
	lanes := room(counts)
	for i, n := range of {
		if n >= 0 {
			lanes[n] = append(lanes[n], Input{Event: &events[i]})
		}
	}
	return lanes
}

// keys calls the user's function, and holds what it returns to the rules for names.
func (s *shape) keys(e *eventstore.Event) (keys []string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("key of %s: %w", e.Type, &PanicError{Value: p, Stack: stack()})
		}
	}()
	if keys, err = s.key(*e); err != nil {
		return nil, err
	}
	for i, k := range keys {
		if err := eventstore.CheckName("key", k); err != nil {
			return nil, fmt.Errorf("key of %s: %w", e.Type, err)
		}
		if slices.Contains(keys[:i], k) {
			return nil, fmt.Errorf("key of %s: %q is there twice", e.Type, k)
		}
	}
	return keys, nil
}

// keysOf are the keys under which an input is parked.
func keysOf(in *Input) []string {
	if len(in.Keys) == 0 {
		return []string{string(in.Stream)}
	}
	return in.Keys
}

// parkedID names the entry of an event that a consumer has set aside for a key. It is the same whenever it
// is parked.
func parkedID(consumer, key string, in *Input) uuid.UUID {
	return uuid.NewSHA1(in.ID, []byte(consumer+"\x00"+key))
}

// shorten cuts the text of an error to what a parked entry holds.
func shorten(err error) string {
	const most = 4 << 10
	s := strings.ToValidUTF8(strings.ReplaceAll(err.Error(), "\x00", "\uFFFD"), "\uFFFD")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}
