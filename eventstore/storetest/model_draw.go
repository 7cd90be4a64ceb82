package storetest

import (
	"encoding/binary"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"pgregory.net/rapid"
)

// Names are few, so that operations meet.
var (
	modelStreams = []eventstore.Stream{"a-1", "a-2", "b-1", "b"}
	modelTypes   = []string{"x", "y", "z"}
	modelTags    = []string{"t:1", "t:2", "u:1"}
)

// nextID makes ids that are the same in every run.
func (r *run) nextID() (id uuid.UUID) {
	r.ids++
	binary.BigEndian.PutUint64(id[8:], r.ids)
	return id
}

func (r *run) drawEvent(rt *rapid.T) eventstore.Event {
	return eventstore.Event{
		ID:   r.nextID(),
		Type: rapid.SampledFrom(modelTypes).Draw(rt, "type"),
		Tags: rapid.SliceOfNDistinct(rapid.SampledFrom(modelTags), 0, 2, rapid.ID[string]).Draw(rt, "tags"),
		Data: []byte(rapid.SampledFrom([]string{`{}`, `{"n":1}`, `[ 1.0 ]`, `null`}).Draw(rt, "data")),
	}
}

func (r *run) drawAppend(rt *rapid.T) eventstore.Append {
	a := eventstore.Append{Stream: rapid.SampledFrom(modelStreams).Draw(rt, "stream")}
	for range rapid.IntRange(1, 3).Draw(rt, "events") {
		a.Events = append(a.Events, r.drawEvent(rt))
	}
	return a
}

// drawExpectation is mostly one that holds.
func (r *run) drawExpectation(rt *rapid.T, s eventstore.Stream) eventstore.Expected {
	v := r.m.version(s)
	return rapid.SampledFrom([]eventstore.Expected{
		eventstore.Any, eventstore.Any, eventstore.Exact(v), eventstore.Exact(v), eventstore.Exact(v + 1), eventstore.Exact(max(v-1, 0)),
		eventstore.NoStream, eventstore.StreamExists,
	}).Draw(rt, "expect")
}

func (r *run) drawSchedule(rt *rapid.T) eventstore.Schedule {
	r.dues++
	s := eventstore.Schedule{ID: r.nextID(), Due: past(r.dues), Append: r.drawAppend(rt)}
	if rapid.Bool().Draw(rt, "not due") {
		s.Due = future(r.dues)
	}
	return s
}

func drawQuery(rt *rapid.T) eventstore.Query {
	var items []eventstore.Item
	for range rapid.IntRange(1, 3).Draw(rt, "items") {
		var it eventstore.Item
		if rapid.IntRange(0, 3).Draw(rt, "by stream") == 0 {
			it.Stream = rapid.SampledFrom(modelStreams).Draw(rt, "stream")
		}
		if rapid.IntRange(0, 3).Draw(rt, "by category") == 0 {
			it.Category = rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "category")
		}
		it.Types = rapid.SliceOfN(rapid.SampledFrom(modelTypes), 0, 2).Draw(rt, "types")
		it.Tags = rapid.SliceOfN(rapid.SampledFrom(modelTags), 0, 2).Draw(rt, "tags")
		items = append(items, it)
	}
	return eventstore.Match(items...)
}

// drawCommit draws a commit that is new, and mostly one that nothing speaks against.
func (r *run) drawCommit(rt *rapid.T) (c eventstore.Commit) {
	for range rapid.IntRange(0, 2).Draw(rt, "appends") {
		a := r.drawAppend(rt)
		a.Expect = r.drawExpectation(rt, a.Stream)
		c.Appends = append(c.Appends, a)
	}
	for range max(0, rapid.IntRange(-4, 2).Draw(rt, "conditions")) {
		back := eventstore.Position(rapid.IntRange(0, 3).Draw(rt, "back"))
		c = unless(c, drawQuery(rt), max(0, r.m.head()-back))
	}
	if r.has(Leaser) && rapid.Bool().Draw(rt, "with a checkpoint") {
		r.drawCheckpoints(rt, &c)
	}
	if r.has(Scheduler) {
		for range max(0, rapid.IntRange(-2, 2).Draw(rt, "schedules")) {
			c.Schedules = append(c.Schedules, r.drawSchedule(rt))
		}
		if n := len(r.m.timers); n > 0 && rapid.IntRange(0, 3).Draw(rt, "cancel") == 0 {
			c.Cancels = []uuid.UUID{r.m.timers[rapid.IntRange(0, n-1).Draw(rt, "timer")].ID}
		}
	}
	if r.has(Deliverer) {
		r.drawSettled(rt, &c)
	}
	if r.has(Parker) {
		ids := []uuid.UUID{{15: 255}} // one that never was
		for _, p := range r.m.parked {
			ids = append(ids, p.ID, p.ID)
		}
		if rapid.IntRange(0, 3).Draw(rt, "unpark") == 0 {
			c.Unparks = []uuid.UUID{rapid.SampledFrom(ids).Draw(rt, "unpark")}
		}
		if rapid.IntRange(0, 3).Draw(rt, "redrive") == 0 {
			c.Redrives = rapid.SliceOfN(rapid.SampledFrom(ids), 1, 2).Draw(rt, "redrives")
		}
	}
	return c
}

// drawCheckpoints moves one or two partitions, mostly from where they stand, and parks under them.
func (r *run) drawCheckpoints(rt *rapid.T, c *eventstore.Commit) {
	which := rapid.SliceOfNDistinct(rapid.IntRange(0, len(r.m.lanes)-1), 1, 2, rapid.ID[int]).Draw(rt, "lanes")
	for _, i := range which {
		l := r.m.lanes[i]
		x := eventstore.Checkpoint{Consumer: l.consumer, Partition: l.partition, Epoch: l.epoch, From: l.position}
		x.To = x.From + eventstore.Position(rapid.IntRange(0, 2).Draw(rt, "step"))
		switch rapid.IntRange(0, 9).Draw(rt, "wrong") {
		case 0:
			x.Epoch--
		case 1:
			x.From, x.To = x.From+1, x.To+1
		case 2:
			x.From, x.To = max(0, x.From-1), max(0, x.To-1)
		}
		c.Checkpoints = append(c.Checkpoints, x)
		if r.has(Parker) && rapid.IntRange(0, 2).Draw(rt, "park") == 0 {
			c.Parks = append(c.Parks, r.drawParked(rt, x))
		}
		if r.has(Deliverer) && rapid.IntRange(0, 1).Draw(rt, "deliver") == 0 {
			c.Deliveries = append(c.Deliveries, r.drawDelivery(rt, x.Consumer, c))
		}
	}
}

func (r *run) drawParked(rt *rapid.T, under eventstore.Checkpoint) eventstore.Parked {
	p := eventstore.Parked{
		ID: r.nextID(), Consumer: under.Consumer, Partition: under.Partition, Event: r.nextID(),
		Key:      rapid.SampledFrom([]string{"k", "l"}).Draw(rt, "key"),
		Position: eventstore.Position(rapid.IntRange(1, 5).Draw(rt, "position")),
		Attempts: rapid.IntRange(0, 3).Draw(rt, "attempts"),
	}
	if rapid.Bool().Draw(rt, "due") {
		p.Due = past(int(p.Position))
	}
	if n := len(r.m.parked); n > 0 && rapid.IntRange(0, 3).Draw(rt, "once more") == 0 {
		if old := r.m.parked[rapid.IntRange(0, n-1).Draw(rt, "entry")]; old.Consumer == p.Consumer && old.Partition == p.Partition {
			p.ID = old.ID
		}
	}
	return p
}
