package storetest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

func fencing() promise {
	return promise{
		name:  "Fencing",
		says:  "a commit with a checkpoint is refused unless its epoch is current and its partition stands where the checkpoint begins",
		needs: []Capability{Leaser},
		checks: []check{
			{name: "who has lost the lease can change nothing", run: staleEpoch},
			{name: "a checkpoint from elsewhere is refused", run: wrongFrom},
			{name: "a checkpoint that does not move proves the right to commit", run: proofOnly},
			{name: "one stale checkpoint refuses the whole commit", run: oneOfSeveral},
			{name: "a checkpoint moves its own partition alone", run: movesAlone},
			{name: "a checkpoint for what nobody defined or owns is refused", run: unknownLane},
			{name: "of two who hold the same lease each step is made by exactly one", heavy: true, run: sharedLease},
			{name: "while the lease passes on nobody's work is doubled or lost", heavy: true, run: passingOn},
			{name: "a parked entry is taken back exactly once", needs: []Capability{Parker}, run: unparkOnce},
			{name: "of many who take back one entry exactly one may commit", needs: []Capability{Parker}, run: unparkRace},
		},
	}
}

// work is a commit that a lease's owner makes: an event, and a checkpoint one further.
func work(l eventstore.Lease) eventstore.Commit {
	c := appends(to("work-1", event("worked")))
	c.Checkpoints = []eventstore.Checkpoint{checkpoint(l, l.Position+1)}
	return c
}

func staleEpoch(t *trial) {
	other := t.another()
	former := t.claim(t.store, "former", "fenced", 2)
	t.commit(t.store, work(former[1]))
	former[1].Position = 1
	present := t.takeOver(other, "former", "present", "fenced", 2)
	moves := work(former[1])
	proves := appends(to("work-1", event("worked")))
	proves.Checkpoints = []eventstore.Checkpoint{checkpoint(former[1], 1)}
	alone := eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(former[1], 2)}}
	standing := eventstore.Commit{Checkpoints: []eventstore.Checkpoint{{Consumer: "fenced", Partition: 1, Epoch: former[1].Epoch, From: 0, To: 1}}}
	for _, c := range []eventstore.Commit{moves, proves, alone, standing} {
		err := t.refusal(t.store, c, eventstore.ErrFenced)
		if said, ok := errors.AsType[*eventstore.FencedError](err); !ok || said.Consumer != "fenced" || said.Partition != 1 || said.Reason == "" {
			t.broken("the error must say that partition 1 of fenced is fenced, and why; it is %#v", err)
		}
	}
	for _, epoch := range []int64{0, -1, present[1].Epoch + 1, 1 << 60} {
		c := work(present[1])
		c.Checkpoints[0].Epoch = epoch
		t.refused(t.store, c, eventstore.ErrFenced)
	}
	t.commit(other, work(present[1]))
}

func wrongFrom(t *trial) {
	l := t.claim(t.store, "owner", "fenced", 1)[0]
	t.commit(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(l, 5)}})
	for _, x := range []struct{ from, to eventstore.Position }{{0, 6}, {4, 6}, {6, 6}, {6, 7}, {0, 0}, {4, 4}, {0, 4}} {
		for _, c := range []eventstore.Commit{{}, appends(to("work-1", event("worked")))} {
			c.Checkpoints = []eventstore.Checkpoint{{Consumer: "fenced", Epoch: l.Epoch, From: x.from, To: x.to}}
			t.refused(t.store, c, eventstore.ErrFenced)
		}
	}
	c := appends(to("work-1", event("worked")))
	c.Checkpoints = []eventstore.Checkpoint{{Consumer: "fenced", Epoch: l.Epoch, From: 4, To: 5}}
	t.refused(t.store, c, eventstore.ErrFenced)
}

func proofOnly(t *trial) {
	l := t.claim(t.store, "owner", "fenced", 1)[0]
	for n := range 3 {
		for range 2 {
			c := appends(to("work-1", event("worked")))
			c.Checkpoints = []eventstore.Checkpoint{checkpoint(l, l.Position)}
			if _, err := t.store.Commit(t.ctx, c); err != nil {
				t.brokenNow("the partition stands at %d, and an event with a checkpoint from there to there was refused: %v", l.Position, err)
			}
		}
		if at := t.roster(t.store, "fenced").Partitions[0].Position; at != l.Position {
			t.brokenNow("a checkpoint from %d to %d moved the partition to %d", l.Position, l.Position, at)
		}
		next := eventstore.Position(n + 1)
		t.commit(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(l, next)}})
		l.Position = next
	}
}

func oneOfSeveral(t *trial) {
	l := t.claim(t.store, "owner", "fenced", 3)
	t.need(t.leaser(t.store).Release(t.ctx, "owner", l[1:2]), "release")
	t.renew(t.store, "other", "fenced", long)
	t.claimSome(t.store, "other", "fenced", 1)
	for _, c := range []eventstore.Commit{{}, appends(to("work-1", event("worked")))} {
		for _, order := range [][]int{{0, 1, 2}, {1, 0}, {2, 1}} {
			c.Checkpoints = nil
			for _, i := range order {
				c.Checkpoints = append(c.Checkpoints, checkpoint(l[i], 3))
			}
			t.refused(t.store, c, eventstore.ErrFenced)
		}
	}
	// Some stand already, some do not: that is neither the same commit again nor a new one.
	t.commit(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(l[0], 3)}})
	t.refused(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(l[0], 3), checkpoint(l[2], 3)}}, eventstore.ErrFenced)
}

func movesAlone(t *trial) {
	a := t.claim(t.store, "owner", "fenced", 3)
	t.claim(t.store, "owner of the other", "fenced too", 3)
	t.commit(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(a[1], 7)}})
	for _, name := range []string{"fenced", "fenced too"} {
		for i, p := range t.roster(t.store, name).Partitions {
			want := eventstore.Position(0)
			if name == "fenced" && i == 1 {
				want = 7
			}
			if p.Position != want {
				t.broken("a checkpoint of partition 1 of fenced moved partition %d of %s to %d", i, name, p.Position)
			}
		}
	}
}

func unknownLane(t *trial) {
	t.define(t.store, "fenced", 2)
	for _, c := range []eventstore.Checkpoint{
		{Consumer: "unheard of", Epoch: 1, To: 1},
		{Consumer: "unheard of", To: 1},
		{Consumer: "unheard of"},
		{Consumer: "fenced", Partition: 2, Epoch: 1, To: 1},
		{Consumer: "fenced", Partition: eventstore.MaxPartitions - 1, To: 1},
		{Consumer: "fenced", Epoch: 1, To: 1},
	} {
		t.refused(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{c}}, eventstore.ErrFenced)
	}
}

// sharedLease is two processes that both believe to own a partition, and act on the same state.
func sharedLease(t *trial) {
	stores := t.pair()
	l := t.claim(t.store, "owner", "fenced", 1)[0]
	meet := meeting()
	const rounds = 10
	var mu sync.Mutex
	won := map[int]int{}
	together(racers, func(i int) {
		for n := range rounds {
			c := appends(to("work-1", event("worked")))
			p := eventstore.Position(n)
			c.Checkpoints = []eventstore.Checkpoint{{Consumer: "fenced", Epoch: l.Epoch, From: p, To: p + 1}}
			meet()
			_, err := stores[i%2].Commit(t.ctx, c)
			switch {
			case err == nil:
				mu.Lock()
				won[n]++
				mu.Unlock()
			case !errors.Is(err, eventstore.ErrFenced):
				t.broken("a racer for the step from %d to %d failed with %q; a loser must be fenced", p, p+1, err)
			}
		}
	})
	for n := range rounds {
		if won[n] != 1 {
			t.broken("the step from %d to %d was made %d times", n, n+1, won[n])
		}
	}
}

// passingOn lets two members take a partition from each other again and again, each committing as fast as
// it can under the last lease it was given, also after it has lost it.
func passingOn(t *trial) {
	stores := t.pair()
	t.define(t.store, "passed", 1)
	const steps = 40
	together(2, func(i int) {
		member, s := fmt.Sprint("member ", i), stores[i]
		leaser := t.leaser(s)
		var held []eventstore.Lease
		for t.ctx.Err() == nil {
			_, err := leaser.Renew(t.ctx, eventstore.Member{ID: member, Consumers: []string{"passed"}}, long)
			if err == nil && len(held) == 0 {
				held, err = leaser.Claim(t.ctx, member, "passed", 1, []int{0})
			}
			if err != nil {
				t.Errorf("could not try whether %s: %v", t.says, err)
				return
			}
			for len(held) == 1 {
				l := &held[0]
				if l.Position >= steps {
					_ = leaser.Leave(t.ctx, member)
					return
				}
				c := appends(to("passed-1", event("worked", fmt.Sprint("step:", l.Position+1))))
				c.Checkpoints = []eventstore.Checkpoint{checkpoint(*l, l.Position+1)}
				if _, err := s.Commit(t.ctx, c); errors.Is(err, eventstore.ErrFenced) {
					held = nil
				} else if err != nil {
					t.broken("a step failed with %q", err)
					return
				} else if l.Position++; l.Position%3 == 0 {
					_ = leaser.Release(t.ctx, member, held)
				}
			}
		}
	})
	for step := range steps {
		tag := fmt.Sprint("step:", step+1)
		if got, _ := t.read(t.store, eventstore.WithTags(tag), eventstore.Range{}); len(got) != 1 {
			t.brokenNow("%s was made %d times: %s", tag, len(got), showAll(got))
		}
	}
}

// parkOne parks an entry, and returns it with the lease it was parked under.
func (t *trial) parkOne() (eventstore.Lease, eventstore.Parked) {
	t.Helper()
	t.add(t.store, "work-1", event("to be parked"))
	l := t.claim(t.store, "owner", "fenced", 1)[0]
	p := entry(l, "key", t.all(t.store)[0])
	t.commit(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(l, 1)}, Parks: []eventstore.Parked{p}})
	l.Position = 1
	return l, p
}

func unparkOnce(t *trial) {
	l, p := t.parkOne()
	take := func(proof bool) eventstore.Commit {
		c := appends(to("work-1", event("redriven")))
		c.Unparks = []uuid.UUID{p.ID}
		if proof {
			c.Checkpoints = []eventstore.Checkpoint{checkpoint(l, l.Position)}
		}
		return c
	}
	t.commit(t.store, take(true))
	if left := t.parked(t.store, eventstore.ParkedFilter{}); len(left) != 0 {
		t.broken("an entry was taken back, and it is still there: %s", showParked(left[0]))
	}
	t.refused(t.store, take(true), eventstore.ErrFenced)
	t.refused(t.another(), take(false), eventstore.ErrFenced)
	two := take(false)
	two.Unparks = append(two.Unparks, newID())
	t.refused(t.store, two, eventstore.ErrFenced)
}

func unparkRace(t *trial) {
	_, p := t.parkOne()
	stores := t.pair()
	var mu sync.Mutex
	won := 0
	together(racers, func(i int) {
		c := appends(to("work-1", event("redriven")))
		c.Unparks = []uuid.UUID{p.ID}
		_, err := stores[i%2].Commit(t.ctx, c)
		switch {
		case err == nil:
			mu.Lock()
			won++
			mu.Unlock()
		case !errors.Is(err, eventstore.ErrFenced):
			t.broken("one of several who take back an entry failed with %q; a loser must be fenced", err)
		}
	})
	if got, _ := t.read(t.store, eventstore.OfType("redriven"), eventstore.Range{}); won != 1 || len(got) != 1 {
		t.broken("of %d who took back one entry %d were accepted, and the log holds %s", racers, won, showAll(got))
	}
}
