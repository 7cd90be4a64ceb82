package storetest

import (
	"math"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

type metadataFault struct {
	name string
	m    eventstore.Metadata
}

func badMetadata() []metadataFault {
	long := strings.Repeat("x", 64<<10)
	return []metadataFault{
		{"a negative depth", eventstore.Metadata{Causation: newID(), Depth: -1}},
		{"an absurd depth", eventstore.Metadata{Causation: newID(), Depth: math.MaxInt32 + 1}},
		{"a negative schema", eventstore.Metadata{Schema: -1}},
		{"an absurd schema", eventstore.Metadata{Schema: math.MaxInt32 + 1}},
		{"an actor that is not UTF-8", eventstore.Metadata{Actor: "a\xff"}},
		{"an actor with a NUL", eventstore.Metadata{Actor: "a\x00"}},
		{"a reply address that is not UTF-8", eventstore.Metadata{ReplyTo: "a\xff"}},
		{"a trace parent that is not UTF-8", eventstore.Metadata{TraceParent: "\xff"}},
		{"a trace state with a NUL", eventstore.Metadata{TraceParent: "p", TraceState: "\x00"}},
		{"a user's key that is not UTF-8", eventstore.Metadata{User: map[string]string{"\xff": ""}}},
		{"a user's value with a NUL", eventstore.Metadata{User: map[string]string{"k": "\x00"}}},
		{"an actor that is too long", eventstore.Metadata{Actor: long + "x"}},
		{"a trace that is too long", eventstore.Metadata{TraceParent: long, TraceState: "x"}},
		{"a user's map that is too long", eventstore.Metadata{User: map[string]string{"k": long[:40<<10], "l": long[:24<<10]}}},
	}
}

// badEvents are faults of appends and of the commit as a whole.
func badEvents() []fault {
	first := func(spoil func(e *eventstore.Event)) func(*eventstore.Commit) {
		return func(c *eventstore.Commit) { spoil(&c.Appends[0].Events[0]) }
	}
	data := func(s string) func(*eventstore.Commit) {
		return first(func(e *eventstore.Event) { e.Data = []byte(s) })
	}
	faults := []fault{
		{"an empty commit", "commit", func(c *eventstore.Commit) { *c = eventstore.Commit{} }},
		{"a commit of conditions alone", "commit", func(c *eventstore.Commit) { *c = eventstore.Commit{Unless: c.Unless} }},
		{"an append without events", "append 1: events", func(c *eventstore.Commit) { c.Appends[0].Events = nil }},
		{"a second append without events", "append 2: events", func(c *eventstore.Commit) { c.Appends = append(c.Appends, to("good-1")) }},
		{"too many events", "commit", func(c *eventstore.Commit) { c.Appends[0].Events = make([]eventstore.Event, 10_001) }},
		{"a negative version", "append 1: expected version", func(c *eventstore.Commit) { c.Appends[0].Expect = eventstore.Exact(-1) }},
		{"an absurd version", "append 1: expected version", func(c *eventstore.Commit) { c.Appends[0].Expect = eventstore.Exact(1 << 53) }},
		{"no id", "append 1: event 1: id", first(func(e *eventstore.Event) { e.ID = uuid.Nil })},
		{"an id twice in an append", "append 1: event 2: id", func(c *eventstore.Commit) { c.Appends[0].Events[1].ID = c.Appends[0].Events[0].ID }},
		{"an id twice in a commit", "append 2: event 1: id", func(c *eventstore.Commit) { c.Appends = append(c.Appends, to("good-2", c.Appends[0].Events[1])) }},
		{"an id appended and scheduled", "schedule 1: event 2: id", func(c *eventstore.Commit) { c.Schedules[0].Append.Events[1].ID = c.Appends[0].Events[0].ID }},
		{"an id twice in the only schedule", "schedule 1: event 2: id", func(c *eventstore.Commit) {
			*c = eventstore.Commit{Schedules: c.Schedules}
			c.Schedules[0].Append.Events[1].ID = c.Schedules[0].Append.Events[0].ID
		}},
		{"a schedule's id in its only event", "schedule 1: event 1: id", func(c *eventstore.Commit) {
			*c = eventstore.Commit{Schedules: c.Schedules}
			c.Schedules[0].Append.Events = c.Schedules[0].Append.Events[:1]
			c.Schedules[0].Append.Events[0].ID = c.Schedules[0].ID
		}},
		{"too many tags", "append 1: event 1: tags", first(func(e *eventstore.Event) { e.Tags = numbered("tag", 65) })},
		{"a tag twice", "append 1: event 1: tag", first(func(e *eventstore.Event) { e.Tags = []string{"a", "b", "a"} })},
		{"too much data", "append 1: event 1: data", data(`"` + strings.Repeat("x", 1<<20-1) + `"`)},
		{"no data", "append 1: event 1: data", data("")},
		{"data that is not JSON", "append 1: event 1: data", data("{")},
		{"data with more after it", "append 1: event 1: data", data("{} {}")},
		{"data that is a bare NaN", "append 1: event 1: data", data(`{"n": NaN}`)},
		{"data that is infinite", "append 1: event 1: data", data(`Infinity`)},
		{"data with a comment", "append 1: event 1: data", data("{} // comment")},
		{"data that is not UTF-8", "append 1: event 1: data", data("\"\xff\"")},
		{"data with a bare NUL", "append 1: event 1: data", data("\"\x00\"")},
		{"data with a byte order mark", "append 1: event 1: data", data("\ufeff{}")},
		{"data in another encoding", "append 1: event 1: data", data("{\x00}\x00")},
	}
	for _, b := range badMetadata() {
		faults = append(faults, fault{b.name, "append 1: event 1: metadata", first(func(e *eventstore.Event) { e.Metadata = b.m })},
			fault{b.name + " in a schedule", "schedule 1: event 2: metadata", func(c *eventstore.Commit) { c.Schedules[0].Append.Events[1].Metadata = b.m }})
	}
	return faults
}

// badEntries are faults of everything else that a commit may have.
func badEntries() []fault {
	lane := func(spoil func(x *eventstore.Checkpoint)) func(*eventstore.Commit) {
		return func(c *eventstore.Commit) { c.Parks, c.Deliveries = nil, nil; spoil(&c.Checkpoints[0]) }
	}
	park := func(spoil func(p *eventstore.Parked)) func(*eventstore.Commit) {
		return func(c *eventstore.Commit) { spoil(&c.Parks[0]) }
	}
	timer := func(spoil func(s *eventstore.Schedule)) func(*eventstore.Commit) {
		return func(c *eventstore.Commit) { spoil(&c.Schedules[0]) }
	}
	return []fault{
		{"a negative partition", "checkpoint 1: partition", lane(func(x *eventstore.Checkpoint) { x.Partition = -1 })},
		{"an absurd partition", "checkpoint 1: partition", lane(func(x *eventstore.Checkpoint) { x.Partition = eventstore.MaxPartitions })},
		{"a checkpoint from before the log", "checkpoint 1: position", lane(func(x *eventstore.Checkpoint) { x.From = -1 })},
		{"a checkpoint that goes back", "checkpoint 1: position", lane(func(x *eventstore.Checkpoint) { x.From = 2 })},
		{"a checkpoint beyond reason", "checkpoint 1: position", lane(func(x *eventstore.Checkpoint) { x.To = 1 << 53 })},
		{"two checkpoints of a partition", "checkpoint 2: partition", func(c *eventstore.Commit) { c.Checkpoints = append(c.Checkpoints, c.Checkpoints[0]) }},
		{"too many checkpoints", "commit", func(c *eventstore.Commit) { c.Checkpoints = make([]eventstore.Checkpoint, 10_001) }},

		{"a park without a checkpoint", "park 1: checkpoint", func(c *eventstore.Commit) { c.Checkpoints = nil }},
		{"a park under another consumer's checkpoint", "park 1: checkpoint", park(func(p *eventstore.Parked) { p.Consumer = "other" })},
		{"a park under another partition's checkpoint", "park 1: checkpoint", park(func(p *eventstore.Parked) { p.Partition = 1 })},
		{"a park without an id", "park 1: id", park(func(p *eventstore.Parked) { p.ID = uuid.Nil })},
		{"an entry parked twice", "park 2: id", func(c *eventstore.Commit) { c.Parks = append(c.Parks, c.Parks[0]) }},
		{"a park of no position", "park 1: position", park(func(p *eventstore.Parked) { p.Position = 0 })},
		{"a park of an absurd position", "park 1: position", park(func(p *eventstore.Parked) { p.Position = 1 << 53 })},
		{"negative attempts", "park 1: position", park(func(p *eventstore.Parked) { p.Attempts = -1 })},
		{"absurd attempts", "park 1: position", park(func(p *eventstore.Parked) { p.Attempts = math.MaxInt32 + 1 })},
		{"too many failures", "park 1: failures", park(func(p *eventstore.Parked) { p.Failures = make([]eventstore.Failure, 33) })},
		{"a park due before 1970", "park 1: due", park(func(p *eventstore.Parked) { p.Due = time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC) })},
		{"a park due in the far future", "park 1: due", park(func(p *eventstore.Parked) { p.Due = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) })},
		{"a failure that is too long", "park 1: failure", park(func(p *eventstore.Parked) { p.Failures[0].Error = strings.Repeat("x", 4<<10+1) })},
		{"a failure that is not UTF-8", "park 1: failure", park(func(p *eventstore.Parked) { p.Failures[0].Error = "\xff" })},
		{"a failure with a NUL", "park 1: failure", park(func(p *eventstore.Parked) { p.Failures[0].Error = "\x00" })},
		{"a failure in the far future", "park 1: failure", park(func(p *eventstore.Parked) { p.Failures[0].At = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) })},
		{"a failure before all time", "park 1: failure", park(func(p *eventstore.Parked) { p.Failures[0].At = time.Date(-5000, 1, 1, 0, 0, 0, 0, time.UTC) })},
		{"too many parks", "commit", func(c *eventstore.Commit) { c.Parks = make([]eventstore.Parked, 10_001) }},
		{"too many unparks", "commit", func(c *eventstore.Commit) { c.Unparks = make([]uuid.UUID, 10_001) }},
		{"too many redrives", "commit", func(c *eventstore.Commit) { c.Redrives = make([]uuid.UUID, 10_001) }},
		{"a park under another consumer's ack", "park 1: checkpoint", func(c *eventstore.Commit) { c.Checkpoints = nil; c.Acks[0].Consumer = "other" }},
		{"a park under a return", "park 1: checkpoint", func(c *eventstore.Commit) { c.Checkpoints = nil; c.Returns[0].Consumer = "good" }},

		{"a schedule without an id", "schedule 1: id", timer(func(s *eventstore.Schedule) { s.ID = uuid.Nil })},
		{"a schedule without a time", "schedule 1: due", timer(func(s *eventstore.Schedule) { s.Due = time.Time{} })},
		{"a schedule in the far future", "schedule 1: due", timer(func(s *eventstore.Schedule) { s.Due = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) })},
		{"a schedule that expects a version", "schedule 1: append", timer(func(s *eventstore.Schedule) { s.Append.Expect = eventstore.Exact(1) })},
		{"a schedule that expects no stream", "schedule 1: append", timer(func(s *eventstore.Schedule) { s.Append.Expect = eventstore.NoStream })},
		{"a schedule without events", "schedule 1: events", timer(func(s *eventstore.Schedule) { s.Append.Events = nil })},
		{"a schedule of too many events", "schedule 1: append", timer(func(s *eventstore.Schedule) { s.Append.Events = make([]eventstore.Event, 10_001) })},
		{"a schedule's event without an id", "schedule 1: event 1: id", timer(func(s *eventstore.Schedule) { s.Append.Events[0].ID = uuid.Nil })},
		{"a schedule's event without JSON", "schedule 1: event 2: data", timer(func(s *eventstore.Schedule) { s.Append.Events[1].Data = []byte("x") })},
		{"one schedule twice", "schedule 2: id", func(c *eventstore.Commit) { c.Schedules = append(c.Schedules, c.Schedules[0]) }},
		{"too many schedules", "commit", func(c *eventstore.Commit) { c.Schedules = make([]eventstore.Schedule, 10_001) }},
		{"too many cancels", "commit", func(c *eventstore.Commit) { c.Cancels = make([]uuid.UUID, 10_001) }},

		{"a condition that guards nothing", "condition 1: query", func(c *eventstore.Commit) { c.Unless[0].Query = eventstore.OfType() }},
		{"a condition before the log", "condition 1: position", func(c *eventstore.Commit) { c.Unless[0].After = -1 }},
		{"a condition beyond reason", "condition 1: position", func(c *eventstore.Commit) { c.Unless[0].After = 1 << 53 }},
		{"a condition of too many items", "condition 1: query", func(c *eventstore.Commit) { c.Unless[0].Query = eventstore.Match(make([]eventstore.Item, 1001)...) }},
		{"a condition of too many types", "condition 1: query item 1: types and tags", func(c *eventstore.Commit) {
			c.Unless[0].Query = eventstore.Match(eventstore.Item{Types: numbered("type", 500), Tags: numbered("tag", 501)})
		}},
		{"too many conditions", "commit", func(c *eventstore.Commit) { c.Unless = make([]eventstore.Condition, 101) }},
	}
}
