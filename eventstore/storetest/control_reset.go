package storetest

import (
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

func resetMoves(t *trial) {
	t.claim(t.store, "bystander", "other", 1)
	other := t.standing("other")
	l := t.claim(t.store, "owner", "reset", 3)
	t.movedTo(l, 4, 0, 9)
	for _, to := range []eventstore.Position{2, 0, 7, 7} {
		t.reset(t.another(), "reset", to)
		t.fencedAll(l)
		t.stands("reset", to, to, to)
		next := t.claim(t.store, "owner", "reset", 3)
		for i := range next {
			if next[i].Epoch <= l[i].Epoch || next[i].Position != to {
				t.broken("%+v was the lease before a reset to %d, and %+v after it", l[i], to, next[i])
			}
		}
		l = next
	}
	t.movedTo(l, 8, 8, 8)
	t.stands("reset", 8, 8, 8)
	if now := t.standing("other"); now != other {
		t.broken("another consumer was reset, and this one went from\n\t%s to\n\t%s", other, now)
	}
}

func resetParked(t *trial) {
	var kept, gone []string
	owners := map[string]eventstore.Lease{}
	for _, consumer := range []string{"reset", "other"} {
		l := t.claim(t.store, "owner of "+consumer, consumer, 1)[0]
		owners[consumer] = l
		for _, p := range []eventstore.Position{1, 5, 6, 1<<53 - 1} {
			e := entry(l, fmt.Sprint("key ", p%2), eventstore.Event{Position: p})
			t.park(l, e)
			if consumer == "other" || p <= 5 {
				kept = append(kept, showParked(e))
			} else {
				gone = append(gone, showParked(e))
			}
		}
	}
	first := t.parked(t.store, eventstore.ParkedFilter{Consumer: "reset"})
	t.tells("reset", "a consumer was reset, and its entries forgotten", func() { t.reset(t.another(), "reset", 5) })
	var got []string
	for _, p := range t.parked(t.store, eventstore.ParkedFilter{}) {
		got = append(got, showParked(p))
	}
	slices.Sort(got)
	slices.Sort(kept)
	if !slices.Equal(got, kept) {
		t.broken("after a reset to 5 the entries are\n\t%q, not\n\t%q; to be forgotten were\n\t%q", got, kept, gone)
	}
	if now := t.parked(t.store, eventstore.ParkedFilter{Consumer: "reset"}); len(now) > 0 && !now[0].At.Equal(first[0].At) {
		t.broken("an entry that was parked at %s says %s after a reset", first[0].At, now[0].At)
	}
	t.refused(t.store, eventstore.Commit{Unparks: []uuid.UUID{first[3].ID}}, eventstore.ErrFenced)
}

func resetDeliveries(t *trial) {
	l, other := t.feeder("reset"), t.feeder("other")
	t.deliver(l, 1, 4, 5, 6, 9)
	t.deliver(other, 6)
	held := t.take(t.store, "reset", 4) // at 1, 4, 5 and 6
	t.reset(t.another(), "reset", 5)
	t.outstanding("reset", 3)
	t.outstanding("other", 1)
	t.settleBoth(held[3], func(c eventstore.Commit) { t.refused(t.store, c, eventstore.ErrFenced) })
	if got := t.take(t.store, "reset", 10); len(got) > 0 {
		t.broken("all that a reset has kept was handed out before; now handed out was %s", showDeliveries(got))
	}
	for _, d := range held[:3] {
		if _, err := t.store.Commit(t.ctx, eventstore.Commit{Acks: []eventstore.Ack{acked(d)}}); err != nil {
			t.broken("a reset to 5 keeps %s, and its ack was refused: %v", showDelivery(d), err)
		}
	}
	t.takeOne(t.store, "other")
}

func resetPaused(t *trial) {
	t.define(t.store, "paused", 2)
	t.pause(t.store, "paused", true)
	t.reset(t.another(), "paused", 3)
	t.stands("paused", 3, 3)
	if r := t.roster(t.store, "paused"); !r.Paused {
		t.broken("a paused consumer was reset, and its roster is %+v", r)
	}
}
