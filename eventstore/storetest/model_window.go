package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"pgregory.net/rapid"
)

type modelDelivery struct {
	eventstore.Delivery
	state deliveryState
}

type deliveryState int

const (
	free deliveryState = iota // can be taken
	held                      // by somebody
	back                      // returned, and not due
)

var modelConsumers = []string{"one", "three"}

func (m *model) delivery(consumer string, id uuid.UUID) int {
	return slices.IndexFunc(m.window, func(d modelDelivery) bool { return d.Consumer == consumer && d.ID == id })
}

// holds reports whether the deliveries that a commit settles are as they were handed out.
func (m *model) holds(c eventstore.Commit) bool {
	acks := slices.Clone(c.Acks)
	for _, r := range c.Returns {
		acks = append(acks, r.Ack)
	}
	return !slices.ContainsFunc(acks, func(a eventstore.Ack) bool {
		i := m.delivery(a.Consumer, a.ID)
		return i < 0 || m.window[i].Attempt != a.Attempt
	})
}

func (m *model) park(c eventstore.Commit) {
	for _, id := range c.Unparks {
		i := m.entry(id)
		if len(c.Checkpoints) == 0 {
			m.drives[m.parked[i].Consumer]++
		}
		m.parked = slices.Delete(m.parked, i, i+1)
	}
	for _, p := range c.Parks {
		if i := m.entry(p.ID); i >= 0 {
			m.parked[i] = p
		} else {
			m.parked = append(m.parked, p)
		}
	}
	for _, id := range c.Redrives {
		if i := m.entry(id); i >= 0 {
			m.parked[i].Redriven = true
			m.drives[m.parked[i].Consumer]++
		}
	}
}

func (m *model) deliver(c eventstore.Commit) {
	for _, a := range c.Acks {
		i := m.delivery(a.Consumer, a.ID)
		m.window = slices.Delete(m.window, i, i+1)
	}
	for _, r := range c.Returns {
		d := &m.window[m.delivery(r.Consumer, r.ID)]
		d.Failures = append(slices.Clone(d.Failures), r.Failure)
		if d.state = back; r.Due.Before(future(0)) {
			d.state = free
		}
	}
	for _, d := range c.Deliveries {
		if m.delivery(d.Consumer, d.ID) < 0 {
			m.window = append(m.window, modelDelivery{Delivery: d})
		}
	}
}

func (m *model) take(consumer string, limit, ahead int) (taken []eventstore.Delivery) {
	again := 0
	slices.SortFunc(m.window, func(a, b modelDelivery) int { return cmp.Compare(a.Position, b.Position) })
	for i := range m.window {
		d := &m.window[i]
		if d.Consumer == consumer && d.state == free && len(taken) < limit+ahead && (d.Attempt == 0 || again < limit) && !m.paused[consumer] {
			again += min(1, d.Attempt)
			d.state = held
			d.Attempt++
			taken = append(taken, d.Delivery)
		}
	}
	return taken
}

// drawDelivery has a position of its own, so that the order of all is certain, or is there already.
func (r *run) drawDelivery(rt *rapid.T, consumer string, c *eventstore.Commit) eventstore.Delivery {
	d := eventstore.Delivery{ID: r.nextID(), Consumer: consumer, Event: r.nextID()}
	d.Position = eventstore.Position(rapid.IntRange(0, 9).Draw(rt, "position")*100_000 + int(r.ids))
	for _, there := range r.m.window {
		taken := slices.ContainsFunc(c.Deliveries, func(x eventstore.Delivery) bool { return x.ID == there.ID })
		if there.Consumer == consumer && !taken && rapid.IntRange(0, 3).Draw(rt, "once more") == 0 {
			d.ID = there.ID
			break
		}
	}
	return d
}

// drawSettled settles a delivery, mostly one that somebody has. What is returned comes with events, by which
// the commit is known again.
func (r *run) drawSettled(rt *rapid.T, c *eventstore.Commit) {
	var list []modelDelivery
	for _, d := range r.m.window {
		delivered := slices.ContainsFunc(c.Deliveries, func(x eventstore.Delivery) bool { return x.ID == d.ID })
		if d.state == held && !delivered { // an id is used once in a commit
			list = append(list, d)
		}
	}
	if len(list) == 0 || rapid.IntRange(0, 2).Draw(rt, "settle") == 0 {
		return
	}
	d := rapid.SampledFrom(list).Draw(rt, "delivery").Delivery
	switch rapid.IntRange(0, 8).Draw(rt, "wrong") {
	case 0, 1:
		if d.Attempt--; d.Attempt == 0 {
			d.Attempt = 2
		}
	case 2:
		d.ID = r.nextID()
	case 3:
		d.Consumer = rapid.SampledFrom(modelConsumers).Draw(rt, "consumer")
	}
	if len(c.Appends) > 0 && rapid.Bool().Draw(rt, "return") {
		due := rapid.SampledFrom([]time.Time{past(1), past(2), future(1)}).Draw(rt, "due")
		c.Returns = []eventstore.Return{returned(d, due, fmt.Sprint("failure ", r.nextID()))}
		return
	}
	c.Acks = []eventstore.Ack{acked(d)}
	if r.has(Parker) && rapid.Bool().Draw(rt, "park it") {
		p := r.drawParked(rt, eventstore.Checkpoint{Consumer: d.Consumer})
		if !slices.ContainsFunc(c.Parks, func(x eventstore.Parked) bool { return x.ID == p.ID }) {
			c.Parks = append(c.Parks, p)
		}
	}
}

func (r *run) takeSome(rt *rapid.T) {
	consumer := rapid.SampledFrom(modelConsumers).Draw(rt, "consumer")
	how := eventstore.Taking{Limit: rapid.IntRange(0, 3).Draw(rt, "limit"), Ahead: rapid.IntRange(0, 2).Draw(rt, "ahead"), Visibility: long}
	if rapid.IntRange(0, 3).Draw(rt, "generation") == 0 {
		how.Generation = rapid.Int64Range(1, 2).Draw(rt, "of generation")
	}
	list, err := r.deliverer(r.connection(rt)).Take(r.ctx, consumer, how)
	if err != nil {
		r.differs(rt, "to take %+v from %s failed with %v", how, consumer, err)
	}
	var got, want []string
	for _, d := range list {
		got = append(got, showDelivery(d))
	}
	if how.Generation < 2 { // all consumers of the model are of the first
		for _, d := range r.m.take(consumer, how.Limit, how.Ahead) {
			want = append(want, showDelivery(d))
		}
	}
	if !slices.Equal(got, want) {
		r.differs(rt, "to take %+v from %s gave\n\t%q; the model gives\n\t%q", how, consumer, got, want)
	}
}

// pauseOne pauses a consumer or resumes it. What changes takes the partitions from their owners.
func (r *run) pauseOne(rt *rapid.T) {
	consumer, paused := rapid.SampledFrom(modelConsumers).Draw(rt, "consumer"), rapid.IntRange(0, 2).Draw(rt, "paused") == 0
	s := r.connection(rt)
	if err := r.controller(s).Pause(r.ctx, consumer, paused); err != nil {
		r.differs(rt, "pause %s: %t: %v", consumer, paused, err)
	}
	if r.m.paused[consumer] == paused {
		return
	}
	r.m.paused[consumer] = paused
	for n, p := range r.roster(s, consumer).Partitions {
		l := r.m.lane(consumer, n)
		if paused && p.Epoch <= l.epoch {
			r.differs(rt, "partition %d of %s was of epoch %d; paused, it is %+v", n, consumer, l.epoch, p)
		}
		l.owner, l.epoch = "", p.Epoch
	}
}

// lookAtConsumers compares what there is of consumers beside their partitions.
func (r *run) lookAtConsumers(rt *rapid.T, s *eventstore.Store) {
	for _, name := range modelConsumers {
		roster := r.roster(s, name)
		if roster.Paused != r.m.paused[name] {
			r.differs(rt, "that %s is paused is %t; the model says %t", name, roster.Paused, r.m.paused[name])
		}
		if r.m.drives[name] > r.drives[name] && roster.Redrives <= r.redrives[name] {
			r.differs(rt, "Roster.Redrives of %s went from %d to %d; in the model entries were redriven", name, r.redrives[name], roster.Redrives)
		}
		r.drives[name], r.redrives[name] = r.m.drives[name], roster.Redrives
		if !r.has(Deliverer) {
			continue
		}
		outstanding, when := 0, "never"
		for _, d := range r.m.window {
			if d.Consumer == name {
				outstanding++
				if d.state == free {
					when = "now"
				} else if when == "never" {
					when = "later"
				}
			}
		}
		if n, next := r.window(s, name); n != outstanding || roughly(next) != when {
			r.differs(rt, "the window of %s counts %d, and the next can be taken %s (%s); the model says %d and %s", name, n, roughly(next), next, outstanding, when)
		}
	}
}
