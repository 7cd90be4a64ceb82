package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

func ackForGood(t *trial) {
	other := t.another()
	t.deliver(t.feeder("taken"), 1, 2, 3)
	got := t.take(t.store, "taken", 2)
	t.commit(other, eventstore.Commit{Acks: []eventstore.Ack{acked(got[1])}})
	t.outstanding("taken", 2)
	if d := t.takeOne(other, "taken"); d.Position != 3 {
		t.broken("the deliveries at 1 and 2 were handed out, and 2 is done; handed out next was %s", showDelivery(d))
	}
	if rest := t.take(t.store, "taken", 10); len(rest) > 0 {
		t.broken("what was done was handed out again, or what somebody has: %s", showDeliveries(rest))
	}
}

func settleStale(t *trial) {
	t.deliver(t.feeder("taken"), 1)
	first := t.takeOne(t.store, "taken")
	t.commit(t.store, eventstore.Commit{Returns: []eventstore.Return{returned(first, past(1), "it failed")}})
	second := t.takeOne(t.another(), "taken")
	never := second
	never.Attempt++
	for _, d := range []eventstore.Delivery{first, never} {
		t.settleBoth(d, func(c eventstore.Commit) { t.names(t.refusal(t.store, c, eventstore.ErrFenced), d.ID) })
	}
	// One that is stale refuses what else there is.
	good := t.feeder("other")
	t.deliver(good, 1)
	other := t.takeOne(t.store, "other")
	c := delivering(good, toDeliver("other", 2))
	c.Acks = []eventstore.Ack{acked(other), acked(first)}
	t.names(t.refusal(t.store, c, eventstore.ErrFenced), first.ID)
	t.commit(t.store, eventstore.Commit{Acks: []eventstore.Ack{acked(second), acked(other)}})
}

func settleGone(t *trial) {
	t.deliver(t.feeder("taken"), 1, 2)
	done := t.takeOne(t.store, "taken")
	t.commit(t.store, eventstore.Commit{Acks: []eventstore.Ack{acked(done)}})
	unborn := toDeliver("taken", 1)
	unborn.Attempt = 1
	elsewhere := unborn
	elsewhere.Consumer = "unheard of"
	for _, d := range []eventstore.Delivery{done, unborn, elsewhere} {
		t.settleBoth(d, func(c eventstore.Commit) { t.names(t.refusal(t.store, c, eventstore.ErrFenced), d.ID) })
	}
}

// settlers lets racers settle one delivery at once, round after round: exactly one of them may.
func settlers(t *trial, settle func(i int, d eventstore.Delivery) eventstore.Commit) {
	stores := t.pair()
	l := t.feeder("taken")
	for n := range 5 {
		t.deliver(l, eventstore.Position(n+1))
		d := t.takeOne(t.store, "taken")
		var won atomic.Int64
		meet := meeting()
		together(racers, func(i int) {
			c := settle(i, d)
			c.Appends = []eventstore.Append{to("settled-1", event("settled", fmt.Sprint("round:", n)))}
			meet()
			_, err := stores[i%2].Commit(t.ctx, c)
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, eventstore.ErrFenced) {
				t.broken("one of several who settle a delivery failed with %q; a loser must be fenced", err)
			}
		})
		got, _ := t.read(t.store, eventstore.WithTags(fmt.Sprint("round:", n)), eventstore.Range{})
		if won.Load() != 1 || len(got) != 1 {
			t.brokenNow("of %d who settled one delivery %d were accepted, and the log holds %s", racers, won.Load(), showAll(got))
		}
	}
}

func ackRace(t *trial) {
	settlers(t, func(_ int, d eventstore.Delivery) eventstore.Commit {
		return eventstore.Commit{Acks: []eventstore.Ack{acked(d)}}
	})
	t.outstanding("taken", 0)
}

// settleRace is about work that was given up on, and yet goes on: it must not count beside what came of it.
func settleRace(t *trial) {
	settlers(t, func(i int, d eventstore.Delivery) eventstore.Commit {
		if i == racers/2 {
			return eventstore.Commit{Acks: []eventstore.Ack{acked(d)}}
		}
		return eventstore.Commit{Returns: []eventstore.Return{returned(d, future(1), "it failed")}}
	})
}

func ackWithEvents(t *trial) {
	t.add(t.store, "settled-1", event("before"))
	t.deliver(t.feeder("taken"), 1, 2)
	d, other := t.takeOne(t.store, "taken"), t.takeOne(t.store, "taken")
	for _, c := range []eventstore.Commit{
		appends(expecting(eventstore.NoStream, "settled-1", event("lost"))),
		unless(appends(to("settled-2", event("lost"))), eventstore.OfType("before"), 0),
	} {
		c.Acks = []eventstore.Ack{acked(d)}
		c.Returns = []eventstore.Return{returned(other, past(1), "it failed")}
		t.refused(t.store, c, eventstore.ErrConflict)
	}
	if got := t.take(t.store, "taken", 10); len(got) > 0 {
		t.brokenNow("a commit was refused, and what it returned was handed out: %s", showDeliveries(got))
	}
	c := appends(expecting(eventstore.Exact(1), "settled-1", event("settled")))
	c.Acks = []eventstore.Ack{acked(d)}
	t.commit(t.store, c)
	t.outstanding("taken", 1)
}

func ackResent(t *trial) {
	l := t.feeder("taken")
	t.deliver(l, 1, 2)
	d, other := t.takeOne(t.store, "taken"), t.takeOne(t.store, "taken")
	with, alone := appends(to("settled-1", eventsOf(2, "settled")...)), eventstore.Commit{Acks: []eventstore.Ack{acked(other)}}
	with.Acks = []eventstore.Ack{acked(d)}
	t.commit(t.store, alone)
	t.names(t.refusal(t.store, alone, eventstore.ErrFenced), other.ID)
	resend(t, with)
	t.outstanding("taken", 0)
	// What was delivered with a checkpoint and is done does not come back.
	again := delivering(l, toDeliver("taken", 3))
	again.Checkpoints[0].To = 3
	t.commit(t.store, again)
	t.commit(t.store, eventstore.Commit{Acks: []eventstore.Ack{acked(t.takeOne(t.store, "taken"))}})
	t.commit(t.store, again)
	t.outstanding("taken", 0)
}

func returnDue(t *trial) {
	t.deliver(t.feeder("taken"), 1, 2, 3)
	got := t.take(t.store, "taken", 3)
	t.commit(t.another(), eventstore.Commit{Returns: []eventstore.Return{
		returned(got[0], future(1), "try again much later"), returned(got[1], past(1), "try again now"),
	}})
	t.outstanding("taken", 3)
	now := t.take(t.store, "taken", 10)
	if len(now) != 1 || now[0].Position != 2 || now[0].Attempt != 2 {
		t.brokenNow("of three deliveries that were handed out 2 was returned and is due; handed out was %s", showDeliveries(now))
	}
	t.commit(t.store, eventstore.Commit{
		Acks:    []eventstore.Ack{acked(got[2])},
		Returns: []eventstore.Return{returned(now[0], t.clock().Add(long), "try again in an hour")},
	})
	if again := t.take(t.store, "taken", 10); len(again) > 0 {
		t.broken("nothing was due, and handed out was %s", showDeliveries(again))
	}
	t.outstanding("taken", 2)
}

func returnFailures(t *trial) {
	const most = 32 // an entry has no more, and takes over what a delivery has
	t.deliver(t.feeder("taken"), 1)
	var given []eventstore.Failure
	for n := 1; n <= most+3; n++ {
		d := t.takeOne(t.store, "taken")
		want := given[max(0, len(given)-most):]
		if fmt.Sprint(d.Failures) != fmt.Sprint(want) && !slices.Equal(d.Failures, want) {
			t.brokenNow("it was returned with\n\t%v; it came back with\n\t%v", want, d.Failures)
		}
		back := returned(d, past(1), fmt.Sprintf("\"it\" failed\n%d. time; ü'\\", n))
		back.Failure.At = past(n).Add(123456789).In(time.FixedZone("", 3600))
		t.commit(t.store, eventstore.Commit{Returns: []eventstore.Return{back}})
		back.Failure.At = past(n).Add(123456000) // as everywhere: UTC, whole microseconds
		given = append(given, back.Failure)
	}
}

func ackAndPark(t *trial) {
	t.deliver(t.feeder("taken"), 4)
	first := t.takeOne(t.store, "taken")
	t.commit(t.store, eventstore.Commit{Returns: []eventstore.Return{returned(first, past(1), "it failed")}})
	d := t.takeOne(t.store, "taken")
	p := eventstore.Parked{
		ID: newID(), Consumer: "taken", Key: "key", Position: d.Position, Event: d.Event, Attempts: d.Attempt, Failures: d.Failures,
	}
	parks := func(d eventstore.Delivery) eventstore.Commit {
		return eventstore.Commit{Acks: []eventstore.Ack{acked(d)}, Parks: []eventstore.Parked{p}}
	}
	t.refused(t.store, parks(first), eventstore.ErrFenced)
	t.commit(t.another(), parks(d))
	t.outstanding("taken", 0)
	if got := t.parked(t.store, eventstore.ParkedFilter{Consumer: "taken"}); len(got) != 1 || showParked(got[0]) != showParked(p) {
		t.broken("parked was\n\t%s with an ack; listed are %+v", showParked(p), got)
	}
	t.refused(t.store, parks(d), eventstore.ErrFenced)
}
