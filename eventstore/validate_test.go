package eventstore_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// An id names one thing in a commit, whatever it is, also in a commit of one event and one checkpoint.
func TestAnIDIsUsedOnceInACommit(t *testing.T) {
	t.Parallel()
	id := uuid.New()
	event := func(id uuid.UUID) eventstore.Event {
		e := raw("x", "{}")
		e.ID = id
		return e
	}
	ack := eventstore.Ack{Consumer: "k", ID: id, Attempt: 1}
	for name, add := range map[string]func(c *eventstore.Commit){
		"an event and a delivery": func(c *eventstore.Commit) {
			c.Appends[0].Events[0].ID = id
			c.Deliveries = []eventstore.Delivery{{ID: id, Consumer: "k", Position: 1}}
		},
		"an event and an ack": func(c *eventstore.Commit) { c.Appends[0].Events[0].ID, c.Acks = id, []eventstore.Ack{ack} },
		"an event and a return": func(c *eventstore.Commit) {
			c.Appends[0].Events[0].ID, c.Returns = id, []eventstore.Return{{Ack: ack, Due: epoch}}
		},
		"an event and an entry": func(c *eventstore.Commit) {
			c.Appends[0].Events[0].ID, c.Parks = id, []eventstore.Parked{parked(id, "k", 1)}
		},
		"an ack and a return": func(c *eventstore.Commit) {
			c.Acks, c.Returns = []eventstore.Ack{ack}, []eventstore.Return{{Ack: ack, Due: epoch}}
		},
		"a delivery and an ack": func(c *eventstore.Commit) {
			c.Deliveries, c.Acks = []eventstore.Delivery{{ID: id, Consumer: "k", Position: 1}}, []eventstore.Ack{ack}
		},
		"a schedule's two events": func(c *eventstore.Commit) {
			c.Schedules = []eventstore.Schedule{{ID: uuid.New(), Due: epoch, Append: eventstore.Append{Stream: "s-1", Events: []eventstore.Event{event(id), event(id)}}}}
		},
		"an event and a scheduled one": func(c *eventstore.Commit) {
			c.Appends[0].Events[0].ID = id
			c.Schedules = []eventstore.Schedule{{ID: uuid.New(), Due: epoch, Append: eventstore.Append{Stream: "s-1", Events: []eventstore.Event{event(id)}}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{}
			s := eventstore.New(f, eventstore.Config{})
			c := onLane("one", "k", 0)
			add(&c)
			_, err := s.Commit(t.Context(), c)
			if !errors.Is(err, eventstore.ErrInvalid) || !strings.Contains(err.Error(), "id "+id.String()+" is used twice") || len(f.batches) > 0 {
				t.Errorf("it came to %v, and %d batches", err, len(f.batches))
			}
		})
	}
}

// What a definition says is kept by every backend, so it keeps to the rules of every text.
func TestDefinitionsAreHeldToTheRules(t *testing.T) {
	t.Parallel()
	good := eventstore.Consumer{Name: "c", Partitions: 1, Hash: "fnv-1a", Listens: []string{"type x", ""}, Next: "fingerprint", Former: []string{"first"}}
	if err := good.Validate(); err != nil {
		t.Errorf("a good one came to %v", err)
	}
	long := good.Clone()
	long.Listens[0] = strings.Repeat("x", 256<<10+1)
	if err := long.Validate(); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("listen: too long came to %v", err)
	}
	for what, text := range map[string]string{"not UTF-8": "a\xff", "a NUL": "a\x00"} {
		for field, set := range map[string]func(c *eventstore.Consumer){
			"hash":   func(c *eventstore.Consumer) { c.Hash = text },
			"listen": func(c *eventstore.Consumer) { c.Listens = []string{"type x", text} },
			"next":   func(c *eventstore.Consumer) { c.Next = text },
			"former": func(c *eventstore.Consumer) { c.Former = []string{text} },
		} {
			c := good.Clone()
			set(&c)
			if err := c.Validate(); !errors.Is(err, eventstore.ErrInvalid) {
				t.Errorf("%s: %s came to %v", field, what, err)
			}
		}
	}
}

// The fingerprint tells apart what sends events elsewhere, and nothing else.
func TestFingerprintSaysWhereEventsGo(t *testing.T) {
	t.Parallel()
	base := eventstore.Consumer{Name: "c", Partitions: 4, Keys: 1, Hash: "fnv-1a", Listens: []string{"a", "b"}}
	same := base.Clone()
	same.Name, same.Until, same.Next, same.Generation, same.Former = "other", 9, "next", 7, []string{"former"}
	if base.Fingerprint() != same.Fingerprint() {
		t.Error("it is another for what sends every event to the same partition")
	}
	seen := map[string]string{base.Fingerprint(): "the base"}
	for what, change := range map[string]func(c *eventstore.Consumer){
		"partitions":       func(c *eventstore.Consumer) { c.Partitions = 5 },
		"keys":             func(c *eventstore.Consumer) { c.Keys = 2 },
		"hash":             func(c *eventstore.Consumer) { c.Hash = "fnv" },
		"listens":          func(c *eventstore.Consumer) { c.Listens = []string{"a", "c"} },
		"listens in one":   func(c *eventstore.Consumer) { c.Listens = []string{`a" "b`} },
		"listens to less":  func(c *eventstore.Consumer) { c.Listens = []string{"a"} },
		"listens to none":  func(c *eventstore.Consumer) { c.Listens = nil },
		"competing":        func(c *eventstore.Consumer) { c.Competing = true },
		"digits that move": func(c *eventstore.Consumer) { c.Partitions, c.Keys = 41, 0 },
	} {
		c := base.Clone()
		change(&c)
		if other, known := seen[c.Fingerprint()]; known {
			t.Errorf("it is the same for %s and %s", what, other)
		}
		seen[c.Fingerprint()] = what
	}
}
