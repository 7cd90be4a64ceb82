package storetest

import (
	"context"
	"errors"

	"github.com/necrostack/necrostack/eventstore"
)

func cancellation() promise {
	return promise{
		name: "Cancellation",
		says: "who gives up on a commit is told truly whether it can still happen, and may always send it again",
		checks: []check{
			{name: "with a context that has ended nothing is written", run: endedBefore},
			{name: "a commit given up on while it waits for its turn is not written", run: endedQueued},
			{name: "a commit given up on while under way has an unknown outcome: not yet written", run: func(t *trial) { endedUnderWay(t, false) }},
			{name: "a commit given up on while under way has an unknown outcome: written already", run: func(t *trial) { endedUnderWay(t, true) }},
			{name: "a commit whose answer was lost is sent again with one result", run: answerLost},
			{name: "what the caller changes after it gave up is not written", run: changedAfterGivingUp},
			{name: "one caller's end is nobody else's", run: othersGoOn},
			{name: "a closed store refuses, and others go on", run: closedStore},
		},
	}
}

var errGaveUp = errors.New("gave up")

func endedBefore(t *trial) {
	ctx, cancel := context.WithCancelCause(t.ctx)
	cancel(errGaveUp)
	before := t.dump(t.store)
	if r, err := t.store.Commit(ctx, appends(to("ended-1", event("lost")))); !errors.Is(err, errGaveUp) || errors.Is(err, eventstore.ErrOutcomeUnknown) {
		t.broken("a commit with an ended context came to %+v, %v; it must fail with the context's cause", r, err)
	}
	if after := t.dump(t.store); after != before {
		t.broken("it wrote something:\n%s", difference(before, after))
	}
}

// send commits in a goroutine, and returns how to give up and what came of it.
func (t *trial) send(s *eventstore.Store, c eventstore.Commit) (giveUp func(), answer <-chan error) {
	ctx, cancel := context.WithCancelCause(t.ctx)
	done := make(chan error, 1)
	go func() {
		_, err := s.Commit(ctx, c)
		done <- err
	}()
	t.Cleanup(func() { cancel(nil) })
	return func() { cancel(errGaveUp) }, done
}

// await returns what comes, unless the check runs out of patience first.
func await[T any](t *trial, c <-chan T, what string) T {
	t.Helper()
	select {
	case x := <-c:
		return x
	case <-t.ctx.Done():
		t.brokenNow("waited in vain for %s", what)
		panic("unreachable")
	}
}

func endedQueued(t *trial) {
	s, g := t.gated(false)
	_, first := t.send(s, appends(to("queued-1", event("first"))))
	await(t, g.arrived, "the first commit")
	giveUp, second := t.send(s, appends(to("queued-1", event("second"))))
	giveUp()
	if err := await(t, second, "the answer of one who gave up while waiting"); !errors.Is(err, errGaveUp) || errors.Is(err, eventstore.ErrOutcomeUnknown) {
		t.broken("a commit given up on while it waited failed with %v; it must be the context's cause, and not unknown", err)
	}
	g.letThrough()
	if err := await(t, first, "the first commit's answer"); err != nil {
		t.broken("the commit that went before failed: %v", err)
	}
	t.add(s, "queued-1", event("third"))
	if got := t.all(t.store); len(got) != 2 || got[1].Type != "third" {
		t.broken("first and third were committed, second was given up on; the log holds %s", showAll(got))
	}
}

func endedUnderWay(t *trial, written bool) {
	s, g := t.gated(written)
	c := appends(expecting(eventstore.NoStream, "unknown-1", eventsOf(2, "sent")...))
	giveUp, answer := t.send(s, c)
	await(t, g.arrived, "the commit")
	giveUp()
	err := await(t, answer, "the answer of one who gave up on a commit under way")
	unknown, ok := errors.AsType[*eventstore.OutcomeUnknownError](err)
	if !ok || !errors.Is(err, eventstore.ErrOutcomeUnknown) || !errors.Is(err, errGaveUp) {
		t.brokenNow("a commit given up on while it was under way failed with %#v; it must be an OutcomeUnknownError with the context's cause", err)
	}
	// The answer is the same, whether the first one lands before or after the second.
	_, early := t.send(t.store, unknown.Commit)
	if err := await(t, early, "the answer to the commit sent again"); err != nil {
		t.broken("sent again while the first was under way, the commit failed: %v", err)
	}
	g.letThrough()
	r, err := s.Commit(t.ctx, unknown.Commit)
	if err != nil || r.Position != 2 || r.Version() != 2 {
		t.broken("sent again after it had landed, the commit came to %+v, %v", r, err)
	}
	if got := t.all(t.store); len(got) != 2 || got[0].ID != c.Appends[0].Events[0].ID {
		t.broken("a commit of two events was given up on and sent again; the log holds %s", showAll(got))
	}
}

func answerLost(t *trial) {
	for _, lose := range []struct {
		how    string
		before int
		after  int
	}{{"before it was written", 1, 0}, {"after it was written", 0, 1}, {"several times", 2, 2}} {
		a := &amnesiac{before: lose.before, lost: lose.after}
		s := t.wrapped(eventstore.Config{}, func(b eventstore.Backend) eventstore.Backend {
			a.Backend = b
			return a
		})
		n := len(t.all(t.store))
		c := unless(appends(to("lost-1", event("sent", lose.how))), eventstore.WithTags(lose.how), 0)
		_, err := s.Commit(t.ctx, c)
		for range lose.before + lose.after {
			unknown, ok := errors.AsType[*eventstore.OutcomeUnknownError](err)
			if !ok || !eventstore.IsRetryable(err) {
				t.brokenNow("the answer was lost %s, and the commit failed with %#v", lose.how, err)
			}
			_, err = s.Commit(t.ctx, unknown.Commit)
		}
		if got := t.all(t.store); err != nil || len(got) != n+1 {
			t.broken("the answer was lost %s; sent again the commit came to %v, and the log grew by %d events", lose.how, err, len(got)-n)
		}
	}
}

func changedAfterGivingUp(t *trial) {
	s, g := t.gated(false)
	c := appends(to("changed-1", laden()))
	giveUp, answer := t.send(s, c)
	await(t, g.arrived, "the commit")
	giveUp()
	unknown, ok := errors.AsType[*eventstore.OutcomeUnknownError](await(t, answer, "the answer of one who gave up"))
	if !ok {
		t.brokenNow("a commit given up on while it was under way did not fail with an OutcomeUnknownError")
	}
	spoil(&c.Appends[0].Events[0])
	spoil(&unknown.Commit.Appends[0].Events[0])
	g.letThrough()
	t.add(s, "changed-1", event("after"))
	if got := t.all(t.store)[0]; string(got.Data) != `{"n": 1}` || got.Metadata.User["k"] != "v" || got.Tags[0] == "spoilt" {
		t.broken("a caller changed what it had committed and given up on, and this was written: %s", showWhole(got))
	}
}

func othersGoOn(t *trial) {
	s, g := t.gated(false)
	_, blocked := t.send(s, appends(to("others-0", event("first"))))
	await(t, g.arrived, "the first commit")
	var giveUps []func()
	var answers []<-chan error
	for range racers {
		giveUp, answer := t.send(s, appends(to("others-1", event("sent"))))
		giveUps, answers = append(giveUps, giveUp), append(answers, answer)
	}
	for i := 0; i < racers; i += 2 {
		giveUps[i]()
		if err := await(t, answers[i], "the answer of one who gave up"); !errors.Is(err, errGaveUp) {
			t.broken("who gave up was told %v", err)
		}
	}
	g.letThrough()
	for i := 1; i < racers; i += 2 {
		if err := await(t, answers[i], "the answer of one who did not give up"); err != nil {
			t.broken("who did not give up was told %v", err)
		}
	}
	if err := await(t, blocked, "the first commit's answer"); err != nil {
		t.broken("the first commit failed: %v", err)
	}
	if got := t.all(t.store); len(got) != 1+racers/2 {
		t.broken("of %d commits half were given up on while they waited; the log holds %s", racers, showAll(got))
	}
}

func closedStore(t *trial) {
	s := t.another()
	t.add(s, "closed-1", event("before"))
	t.need(s.Close(), "close a store")
	if _, err := s.Commit(t.ctx, appends(to("closed-1", event("after")))); !errors.Is(err, eventstore.ErrClosed) {
		t.broken("a commit to a closed store came to %v", err)
	}
	for _, err := range s.Read(t.ctx, eventstore.All(), eventstore.Range{}) {
		if !errors.Is(err, eventstore.ErrClosed) {
			t.broken("a read of a closed store came to %v", err)
		}
	}
	if p, err := s.Wait(t.ctx, eventstore.Pulse{}); !errors.Is(err, eventstore.ErrClosed) {
		t.broken("a wait of a closed store came to %+v, %v", p, err)
	}
	if err := s.Close(); err != nil {
		t.broken("a store that was closed twice said %v", err)
	}
	if r := t.add(t.store, "closed-1", event("after")); r.Position != 2 {
		t.broken("one connection was closed, and the next commit of another came to %+v", r)
	}
}
