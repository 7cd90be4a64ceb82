package storetest

import (
	"slices"

	"github.com/necrostack/necrostack/eventstore"
)

// takenAt are where deliveries are from, in their order.
func takenAt(list []eventstore.Delivery) (at []eventstore.Position) {
	for _, d := range list {
		at = append(at, d.Position)
	}
	return at
}

func takeAhead(t *trial) {
	t.deliver(t.feeder("taken"), 5, 1, 4, 2, 6, 3)
	stores := t.pair()
	for i, want := range [][]eventstore.Position{{1, 2, 3, 4, 5}, {6}, nil} {
		got := t.taking(stores[i%2], "taken", eventstore.Taking{Limit: 2, Ahead: 3, Visibility: long})
		if !slices.Equal(takenAt(got), want) {
			t.brokenNow("six were there; asked for two and three ahead, for the %d. time, it handed out %s, not %v", i+1, showDeliveries(got), want)
		}
	}
}

// takeBefore has what was returned lie before, between and behind what is new.
func takeBefore(t *trial) {
	l := t.feeder("taken")
	t.deliver(l, 1, 2, 5, 9)
	var c eventstore.Commit
	for i, d := range t.take(t.store, "taken", 10) {
		c.Returns = append(c.Returns, returned(d, past(i+1), "it failed"))
	}
	t.commit(t.store, c)
	t.deliver(l, 3, 4, 6, 7, 8)
	other := t.another()
	for _, turn := range []struct {
		limit, ahead int
		want         []eventstore.Position
	}{
		{0, 1, []eventstore.Position{3}},
		{1, 2, []eventstore.Position{1, 4, 6}},
		{1, 5, []eventstore.Position{2, 7, 8}},
		{0, 5, nil},
		{1, 5, []eventstore.Position{5}},
		{5, 0, []eventstore.Position{9}},
	} {
		got := t.taking(other, "taken", eventstore.Taking{Limit: turn.limit, Ahead: turn.ahead, Visibility: long})
		if !slices.Equal(takenAt(got), turn.want) {
			t.brokenNow("what was handed out before is not taken beyond the limit; asked for %d and %d ahead, it handed out %s, not %v",
				turn.limit, turn.ahead, showDeliveries(got), turn.want)
		}
		for _, d := range got {
			again := slices.Contains([]eventstore.Position{1, 2, 5, 9}, d.Position)
			if want := map[bool]int{false: 1, true: 2}[again]; d.Attempt != want {
				t.broken("the delivery at %d was handed out for the %d. time as %s", d.Position, want, showDelivery(d))
			}
		}
	}
}

func takeFormer(t *trial) {
	t.deliver(t.feeder("taken"), 1, 2)
	of := func(s *eventstore.Store, generation int64) []eventstore.Delivery {
		t.Helper()
		return t.taking(s, "taken", eventstore.Taking{Limit: 2, Visibility: long, Generation: generation})
	}
	for _, other := range []int64{2, 1 << 40} {
		if got := of(t.store, other); len(got) > 0 {
			t.brokenNow("the consumer is of generation 1, and for generation %d it handed out %s", other, showDeliveries(got))
		}
	}
	t.redefined(t.another(), eventstore.Consumer{Name: "taken", Partitions: 1, Competing: true, Keys: 1, Generation: 1})
	if got := of(t.store, 1); len(got) > 0 {
		t.brokenNow("the consumer is of generation 2, and for generation 1 it handed out %s", showDeliveries(got))
	}
	t.outstanding("taken", 2)
	got := of(t.store, 2)
	if !slices.Equal(takenAt(got), []eventstore.Position{1, 2}) || got[0].Attempt != 1 {
		t.broken("the consumer is of generation 2, and for that it handed out %s", showDeliveries(got))
	}
}
