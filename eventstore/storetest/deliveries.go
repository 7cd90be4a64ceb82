package storetest

import (
	"slices"
	"sync"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

func deliveries() promise {
	return promise{
		name:  "Deliveries",
		says:  "what is put into the window of a competing consumer is handed out to one at a time, until it is done",
		needs: []Capability{Leaser, Deliverer},
		checks: []check{
			{name: "what was delivered is handed out as it was given", run: takeFaithfully},
			{name: "nothing is delivered under a lease that was lost", run: deliverFenced},
			{name: "to deliver what is in the window again changes nothing", run: deliverAgain},
			{name: "what was handed out is nobody else's until its time has passed", run: takeOnce},
			{name: "what is due is handed out in order of position, and no more than asked for", run: takeInOrder},
			{name: "what was never handed out is taken ahead", run: takeAhead},
			{name: "what was handed out before is not taken ahead", run: takeBefore},
			{name: "a consumer of another generation hands out nothing", run: takeFormer},
			{name: "of many who take at once each delivery goes to one", heavy: true, run: takeRace},
			{name: "what was not done in time is handed out again", heavy: true, run: takeAgain},
			{name: "what was not done in time can be done until another has it", heavy: true, run: settleLate},
			{name: "each attempt counts", run: countAttempts},
			{name: "a window says what is not done, and when the next can be taken", run: windowTells},
			{name: "windows of several consumers do not mix", run: windowsApart},
			{name: "a paused consumer hands out nothing", needs: []Capability{Controller}, run: takePaused},
			{name: "what was done is gone for good", run: ackForGood},
			{name: "an ack or return of an older attempt changes nothing, and the error names the delivery", run: settleStale},
			{name: "an ack or return of what is not in the window is refused", run: settleGone},
			{name: "of many who are done with one delivery exactly one may commit", run: ackRace},
			{name: "of many who settle one delivery in either way exactly one may commit", heavy: true, run: settleRace},
			{name: "an ack and the events of its commit are one", run: ackWithEvents},
			{name: "an ack sent again with its events comes to the first result, and alone is refused", run: ackResent},
			{name: "what was returned is handed out when it is due, and not before", run: returnDue},
			{name: "failures are kept in their order, as many as an entry may have", run: returnFailures},
			{name: "who is done with a delivery may park its event in the same commit", needs: []Capability{Parker}, run: ackAndPark},
		},
	}
}

func (t *trial) deliverer(s *eventstore.Store) eventstore.Deliverer {
	return s.Backend().(eventstore.Deliverer)
}

// feeder makes a member own a competing consumer of one partition, so that it may deliver.
func (t *trial) feeder(consumer string) eventstore.Lease {
	t.Helper()
	t.defineAs(t.store, eventstore.Consumer{Name: consumer, Partitions: 1, Competing: true})
	return t.claim(t.store, "feeder of "+consumer, consumer, 1)[0]
}

// toDeliver is an event for the window of a consumer.
func toDeliver(consumer string, p eventstore.Position) eventstore.Delivery {
	return eventstore.Delivery{ID: newID(), Consumer: consumer, Position: p, Event: newID()}
}

// delivering puts something into windows under the lease of their consumer, which need not move for that.
func delivering(l eventstore.Lease, list ...eventstore.Delivery) eventstore.Commit {
	return eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(l, l.Position)}, Deliveries: list}
}

// deliver puts an event for each position into the consumer's window.
func (t *trial) deliver(l eventstore.Lease, positions ...eventstore.Position) []eventstore.Delivery {
	t.Helper()
	var list []eventstore.Delivery
	for _, p := range positions {
		list = append(list, toDeliver(l.Consumer, p))
	}
	t.commit(t.store, delivering(l, list...))
	return list
}

// takeFor takes for a time.
func (t *trial) takeFor(s *eventstore.Store, consumer string, limit int, visibility time.Duration) []eventstore.Delivery {
	t.Helper()
	return t.taking(s, consumer, eventstore.Taking{Limit: limit, Visibility: visibility})
}

func (t *trial) taking(s *eventstore.Store, consumer string, how eventstore.Taking) []eventstore.Delivery {
	t.Helper()
	got, err := t.deliverer(s).Take(t.ctx, consumer, how)
	t.need(err, "take from the window of %s", consumer)
	return got
}

// take takes for a time that does not end during a check.
func (t *trial) take(s *eventstore.Store, consumer string, limit int) []eventstore.Delivery {
	t.Helper()
	return t.takeFor(s, consumer, limit, long)
}

// takeOne takes a delivery that must be there.
func (t *trial) takeOne(s *eventstore.Store, consumer string) eventstore.Delivery {
	t.Helper()
	got := t.take(s, consumer, 1)
	if len(got) != 1 {
		t.brokenNow("there was something to take from the window of %s; handed out was %s", consumer, showDeliveries(got))
	}
	return got[0]
}

func (t *trial) window(s *eventstore.Store, consumer string) (outstanding int, next time.Time) {
	t.Helper()
	outstanding, next, err := t.deliverer(s).Window(t.ctx, consumer)
	t.need(err, "look at the window of %s", consumer)
	return outstanding, next
}

// outstanding checks how many deliveries of a consumer are not done.
func (t *trial) outstanding(consumer string, want int) {
	t.Helper()
	if got, _ := t.window(t.store, consumer); got != want {
		t.broken("%d deliveries of %s are not done; its window counts %d", want, consumer, got)
	}
}

func takeFaithfully(t *trial) {
	l := t.feeder("taken")
	given := toDeliver("taken", 1<<53-1)
	c := delivering(l, given)
	c.Deliveries[0].Attempt, c.Deliveries[0].Failures = 9, []eventstore.Failure{{Error: "these are the store's to give"}}
	t.commit(t.store, c)
	given.Attempt = 1
	got := t.take(t.another(), "taken", 10)
	if len(got) != 1 || showDelivery(got[0]) != showDelivery(given) {
		t.broken("delivered was\n\t%s; handed out was\n\t%+v", showDelivery(given), got)
	}
	if got, _ := t.window(t.another(), "taken"); got != 1 {
		t.broken("one delivery was handed out and is not done; the window counts %d", got)
	}
}

func deliverFenced(t *trial) {
	former := t.feeder("taken")
	present := t.takeOver(t.another(), "feeder of taken", "successor", "taken", 1)[0]
	t.refused(t.store, delivering(former, toDeliver("taken", 1)), eventstore.ErrFenced)
	moved := delivering(present, toDeliver("taken", 1))
	moved.Checkpoints[0].From, moved.Checkpoints[0].To = 1, 2
	t.refused(t.store, moved, eventstore.ErrFenced)
	if got := t.take(t.store, "taken", 10); len(got) > 0 {
		t.broken("only commits that were refused have delivered anything; handed out was %s", showDeliveries(got))
	}
	t.deliver(present, 1)
	t.takeOne(t.store, "taken")
}

func deliverAgain(t *trial) {
	l := t.feeder("taken")
	d := t.deliver(l, 5)[0]
	again := d
	again.Position, again.Event = 9, newID()
	t.commit(t.store, delivering(l, again))
	t.outstanding("taken", 1)
	got := t.takeOne(t.store, "taken")
	if got.Position != 5 || got.Event != d.Event {
		t.broken("what was delivered for position 5 was delivered again for position 9, and handed out as %s", showDelivery(got))
	}
	t.commit(t.another(), delivering(l, d))
	t.outstanding("taken", 1)
	if twice := t.take(t.store, "taken", 10); len(twice) > 0 {
		t.brokenNow("what somebody had was delivered again, and handed out as %s", showDelivery(twice[0]))
	}
	t.commit(t.store, eventstore.Commit{Returns: []eventstore.Return{returned(got, past(1), "it failed")}})
	t.commit(t.store, delivering(l, d))
	if got := t.takeOne(t.store, "taken"); got.Attempt != 2 || len(got.Failures) != 1 {
		t.broken("what had failed once was delivered again, and handed out as %s", showDelivery(got))
	}
}

func takeOnce(t *trial) {
	other := t.another()
	t.deliver(t.feeder("taken"), 1, 2)
	first := t.take(t.store, "taken", 10)
	if len(first) != 2 {
		t.brokenNow("two deliveries were there, and handed out was %s", showDeliveries(first))
	}
	for _, s := range []*eventstore.Store{t.store, other} {
		if got := t.take(s, "taken", 10); len(got) > 0 {
			t.broken("both deliveries were handed out for an hour, and then again: %s", showDeliveries(got))
		}
	}
	t.commit(t.store, eventstore.Commit{Acks: []eventstore.Ack{acked(first[0]), acked(first[1])}})
}

func takeInOrder(t *trial) {
	l := t.feeder("taken")
	for _, p := range []eventstore.Position{7, 3, 12, 1, 100, 9} {
		t.deliver(l, p)
	}
	t.deliver(l, 5, 2, 11)
	var got []eventstore.Position
	for _, want := range []int{1, 3, 5, 0} {
		taken := t.take(t.store, "taken", max(want, 1))
		if len(taken) != want {
			t.brokenNow("asked for %d of nine deliveries, %d of which are taken; handed out was %s", max(want, 1), len(got), showDeliveries(taken))
		}
		for _, d := range taken {
			got = append(got, d.Position)
		}
	}
	if want := []eventstore.Position{1, 2, 3, 5, 7, 9, 11, 12, 100}; !slices.Equal(got, want) {
		t.broken("deliveries at %v were handed out in the order %v", want, got)
	}
}

// takeRace lets racers take round after round. They wait for each other before and after, so that each round
// is a race for the same deliveries.
func takeRace(t *trial) {
	const rounds = 10
	stores := t.pair()
	l := t.feeder("taken")
	meet := meeting()
	for range rounds {
		t.deliver(l, 1, 2, 3)
		var mu sync.Mutex
		holders := map[eventstore.Position]int{}
		together(racers, func(i int) {
			meet()
			got, err := t.deliverer(stores[i%2]).Take(t.ctx, "taken", eventstore.Taking{Limit: 1 + i%3, Visibility: long})
			meet()
			if err != nil {
				t.broken("one of %d who took at once was told: %v", racers, err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, d := range got {
				holders[d.Position]++
			}
		})
		for p := range eventstore.Position(3) {
			if n := holders[p+1]; n != 1 {
				t.brokenNow("%d took at once, and %d of them were given the delivery at %d", racers, n, p+1)
			}
		}
	}
}
