package storetest

import (
	"errors"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

func takeAgain(t *trial) {
	other := t.another()
	t.deliver(t.feeder("taken"), 1)
	first := t.takeFor(t.store, "taken", 1, short)
	var second []eventstore.Delivery
	t.until("what was not done in time was handed out again", func() bool {
		second = t.take(other, "taken", 1)
		return len(second) > 0
	})
	if second[0].ID != first[0].ID || second[0].Attempt != 2 {
		t.broken("%s was not done in time, and handed out again as %s", showDelivery(first[0]), showDelivery(second[0]))
	}
	t.settleBoth(first[0], func(c eventstore.Commit) { t.refused(t.store, c, eventstore.ErrFenced) })
	t.commit(other, eventstore.Commit{Acks: []eventstore.Ack{acked(second[0])}})
}

func settleLate(t *trial) {
	t.deliver(t.feeder("taken"), 1, 2)
	late := t.takeFor(t.store, "taken", 2, short)
	t.until("the time of what was taken had passed", func() bool {
		_, next := t.window(t.store, "taken")
		return !t.clock().Before(next)
	})
	if _, err := t.another().Commit(t.ctx, eventstore.Commit{Acks: []eventstore.Ack{acked(late[0])}}); err != nil {
		t.broken("nobody else had a delivery whose time had passed, and yet its ack was refused: %v", err)
	}
	if _, err := t.store.Commit(t.ctx, eventstore.Commit{Returns: []eventstore.Return{returned(late[1], future(1), "late")}}); err != nil {
		t.broken("nobody else had a delivery whose time had passed, and yet its return was refused: %v", err)
	}
}

func countAttempts(t *trial) {
	t.deliver(t.feeder("taken"), 1)
	stores := t.pair()
	for n := 1; n <= 5; n++ {
		d := t.takeOne(stores[n%2], "taken")
		if d.Attempt != n {
			t.brokenNow("what is handed out for the %d. time is %s", n, showDelivery(d))
		}
		t.commit(t.store, eventstore.Commit{Returns: []eventstore.Return{returned(d, past(n), "it failed")}})
	}
}

func windowTells(t *trial) {
	if n, next := t.window(t.store, "unheard of"); n != 0 || !next.IsZero() {
		t.broken("the window of a consumer that nobody defined counts %d, the next at %s", n, next)
	}
	l := t.feeder("told")
	says := func(what string, outstanding int, when string) {
		t.Helper()
		if n, next := t.window(t.store, "told"); n != outstanding || roughly(next) != when {
			t.broken("%s: the window counts %d, and the next can be taken %s (%s); it should count %d and say %s", what, n, roughly(next), next, outstanding, when)
		}
	}
	says("nothing was delivered", 0, "never")
	t.deliver(l, 1, 2)
	says("two were delivered", 2, "now")
	first := t.takeOne(t.store, "told")
	says("one of two was handed out", 2, "now")
	second := t.takeOne(t.store, "told")
	says("both were handed out for an hour", 2, "later")
	if _, next := t.window(t.another(), "told"); next.Before(t.clock().Add(long-time.Minute)) || next.After(t.clock().Add(long+time.Minute)) {
		t.broken("both were handed out for an hour just now, and the next can be taken at %s", next)
	}
	t.commit(t.store, eventstore.Commit{Acks: []eventstore.Ack{acked(first)}})
	says("one was done", 1, "later")
	t.commit(t.store, eventstore.Commit{Returns: []eventstore.Return{returned(second, future(1), "it failed")}})
	if n, next := t.window(t.store, "told"); n != 1 || !next.Equal(future(1)) {
		t.broken("what is not done was returned until %s; the window counts %d, the next at %s", future(1), n, next)
	}
	t.deliver(l, 3)
	third := t.takeOne(t.store, "told")
	t.commit(t.store, eventstore.Commit{Returns: []eventstore.Return{returned(third, past(1), "it failed")}})
	says("one was returned, and is due", 2, "now")
}

func windowsApart(t *trial) {
	one, two := t.feeder("one"), t.feeder("two")
	t.deliver(one, 1)
	if got := t.take(t.store, "two", 10); len(got) > 0 {
		t.brokenNow("nothing was delivered to two, and it was given %s", showDeliveries(got))
	}
	t.deliver(two, 1, 2)
	t.outstanding("one", 1)
	t.outstanding("two", 2)
	for _, consumer := range []string{"unheard of", "One", ""} {
		if got := t.take(t.store, consumer, 10); len(got) > 0 {
			t.broken("nobody defined %q, and it was given %s", consumer, showDeliveries(got))
		}
	}
	mine, theirs := t.takeOne(t.store, "one"), t.takeOne(t.store, "two")
	if mine.Consumer != "one" || theirs.Consumer != "two" {
		t.broken("one was given %s, and two %s", showDelivery(mine), showDelivery(theirs))
	}
	wrong := mine
	wrong.Consumer = "two"
	t.settleBoth(wrong, func(c eventstore.Commit) { t.refused(t.store, c, eventstore.ErrFenced) })
	t.commit(t.store, eventstore.Commit{Acks: []eventstore.Ack{acked(mine)}})
	t.outstanding("one", 0)
	t.outstanding("two", 2)
	if got := t.take(t.store, "two", 10); len(got) != 1 || got[0].Position != 2 {
		t.broken("the delivery at 2 was left for two; handed out was %s", showDeliveries(got))
	}
}

func takePaused(t *trial) {
	l, other := t.feeder("paused"), t.another()
	t.deliver(l, 1, 2)
	t.deliver(t.feeder("working"), 1)
	held := t.takeOne(t.store, "paused")
	t.pause(other, "paused", true)
	for _, s := range []*eventstore.Store{t.store, other} {
		if got := t.take(s, "paused", 10); len(got) > 0 {
			t.brokenNow("a consumer is paused, and it hands out %s", showDeliveries(got))
		}
	}
	t.takeOne(t.store, "working")
	t.outstanding("paused", 2)
	if _, err := t.store.Commit(t.ctx, eventstore.Commit{Acks: []eventstore.Ack{acked(held)}}); err != nil {
		t.broken("what was handed out before a pause was done, and its ack was refused: %v", err)
	}
	t.refused(t.store, delivering(l, toDeliver("paused", 3)), eventstore.ErrFenced)
	t.pause(t.store, "paused", false)
	if d := t.takeOne(t.store, "paused"); d.Position != 2 || d.Attempt != 1 {
		t.broken("the delivery at 2 waited for the end of a pause; handed out was %s", showDelivery(d))
	}
}

// acked says that a delivery is done.
func acked(d eventstore.Delivery) eventstore.Ack {
	return eventstore.Ack{Consumer: d.Consumer, ID: d.ID, Attempt: d.Attempt}
}

// returned puts a delivery back.
func returned(d eventstore.Delivery, due time.Time, why string) eventstore.Return {
	return eventstore.Return{Ack: acked(d), Due: due, Failure: eventstore.Failure{At: past(d.Attempt), Error: why}}
}

// settleBoth tries commits that ack a delivery, and that return it, each alone and with an event.
func (t *trial) settleBoth(d eventstore.Delivery, try func(c eventstore.Commit)) {
	t.Helper()
	for _, c := range []eventstore.Commit{{}, appends(to("settled-1", event("settled")))} {
		ack, back := c, c
		ack.Acks = []eventstore.Ack{acked(d)}
		back.Returns = []eventstore.Return{returned(d, past(1), "it failed")}
		if len(c.Appends) > 0 {
			back.Appends = []eventstore.Append{to("settled-1", event("settled"))}
		}
		try(ack)
		try(back)
	}
}

// names checks that a refusal says which delivery or entry it is about.
func (t *trial) names(err error, id [16]byte) {
	t.Helper()
	if said, ok := errors.AsType[*eventstore.FencedError](err); !ok || said.Entry != id || said.Reason == "" {
		t.broken("the error must name the entry %x, and say why; it is %#v", id, err)
	}
}
