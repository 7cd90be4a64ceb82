package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/necrostack/necrostack/eventstore"
)

// fencedAll checks that owners can change nothing any more, and that nobody is said to own a partition.
func (t *trial) fencedAll(leases []eventstore.Lease) {
	t.Helper()
	for _, l := range leases {
		proves, moves := appends(to("work-1", event("worked"))), work(l)
		proves.Checkpoints = []eventstore.Checkpoint{checkpoint(l, l.Position)}
		t.refused(t.store, proves, eventstore.ErrFenced)
		t.refused(t.store, moves, eventstore.ErrFenced)
	}
	for n, p := range t.roster(t.another(), leases[0].Consumer).Partitions {
		if p.Owner != "" {
			t.broken("partition %d was taken from its owner; it is %+v", n, p)
		}
	}
}

// movedTo moves partitions to positions.
func (t *trial) movedTo(leases []eventstore.Lease, positions ...eventstore.Position) {
	t.Helper()
	var c eventstore.Commit
	for i, p := range positions {
		c.Checkpoints = append(c.Checkpoints, checkpoint(leases[i], p))
		leases[i].Position = p
	}
	t.commit(t.store, c)
}

// stands checks the positions of a consumer's partitions.
func (t *trial) stands(consumer string, want ...eventstore.Position) {
	t.Helper()
	var got []eventstore.Position
	for _, p := range t.roster(t.another(), consumer).Partitions {
		got = append(got, p.Position)
	}
	if !slices.Equal(got, want) {
		t.broken("the partitions of %s stand at %v, not at %v", consumer, got, want)
	}
}

func redefineFences(t *trial) {
	l := t.claim(t.store, "owner", "changing", 3)
	t.movedTo(l, 4, 0, 9)
	t.claim(t.store, "bystander", "other", 1)
	other := t.standing("other")
	next := t.redefined(t.another(), eventstore.Consumer{Name: "changing", Partitions: 3, Keys: 1, Generation: 1})
	t.fencedAll(l)
	t.stands("changing", 4, 0, 9)
	if now := t.standing("other"); now != other {
		t.broken("another consumer was redefined, and this one went from\n\t%s to\n\t%s", other, now)
	}
	t.renew(t.store, "successor", "changing", long)
	for i, lease := range t.claimSome(t.store, "successor", "changing", 0, 1, 2) {
		if lease.Epoch <= l[i].Epoch || lease.Position != l[i].Position {
			t.broken("%+v was the lease before a redefinition, and %+v after it", l[i], lease)
		}
		t.commit(t.store, work(lease))
	}
	t.redefined(t.store, next)
	t.stands("changing", 5, 1, 10)
}

func redefineApart(t *trial) {
	l := t.claim(t.store, "owner", "changing", 3)
	t.movedTo(l, 5, 5, 4)
	for _, n := range []int{1, 2, 4} {
		t.conflicts(eventstore.Consumer{Name: "changing", Partitions: n, Generation: 1}, "its partitions stand at 5, 5 and 4")
	}
	t.movedTo(l[2:], 5)
	t.redefined(t.store, eventstore.Consumer{Name: "changing", Partitions: 4, Generation: 1})
	t.stands("changing", 5, 5, 5, 5)
}

func redefineNumber(t *trial) {
	l := t.claim(t.store, "owner", "changing", 2)
	t.movedTo(l, 6, 6)
	t.redefined(t.store, eventstore.Consumer{Name: "changing", Partitions: 5, Generation: 1})
	t.fencedAll(l)
	t.stands("changing", 6, 6, 6, 6, 6)
	t.renew(t.store, "successor", "changing", long)
	next := t.claimSome(t.store, "successor", "changing", 4, 0, 1, 2, 3)
	if len(next) != 5 {
		t.brokenNow("five partitions were free, and a claim gave %+v", next)
	}
	for _, lease := range next {
		if lease.Position != 6 || lease.Lost != 0 {
			t.broken("all partitions stood at 6 and were lost by nobody; a claim gave %+v", lease)
		}
		t.commit(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(lease, 8)}})
	}
	t.redefined(t.another(), eventstore.Consumer{Name: "changing", Partitions: 1, Generation: 2})
	t.stands("changing", 8)
	t.refused(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{{Consumer: "changing", Partition: 4, Epoch: next[0].Epoch, From: 8, To: 9}}}, eventstore.ErrFenced)
}

// redefineEpochs lets partitions go and come again. Those that come must not begin with an epoch that a
// former owner of the same number had.
func redefineEpochs(t *trial) {
	var former []eventstore.Lease
	for generation, n := range []int{3, 1, 3, 2, 3} {
		if generation == 0 {
			t.define(t.store, "changing", n)
		} else {
			t.redefined(t.store, eventstore.Consumer{Name: "changing", Partitions: n, Generation: int64(generation)})
		}
		t.fencedLanes(former)
		t.renew(t.store, "owner", "changing", long)
		for i := range n { // so that partitions have different epochs
			former = append(former, t.claimSome(t.store, "owner", "changing", upTo(n-i)...)...)
		}
		present := t.claimSome(t.store, "owner", "changing", upTo(n)...)
		t.fencedLanes(former)
		former = append(former, present...)
	}
}

// fencedLanes checks that no lease that is over lets anybody commit.
func (t *trial) fencedLanes(leases []eventstore.Lease) {
	t.Helper()
	for _, l := range leases {
		if r, err := t.store.Commit(t.ctx, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(l, l.Position)}}); !errors.Is(err, eventstore.ErrFenced) {
			t.brokenNow("a lease of a former owner, %+v, was accepted: %+v, %v", l, r, err)
		}
	}
}

func redefineMembers(t *trial) {
	t.define(t.store, "changing", 1)
	t.renew(t.store, "adam", "changing", long)
	if _, err := t.leaser(t.store).Renew(t.ctx, eventstore.Member{ID: "zoe", Consumers: []string{"other", "changing"}}, long); err != nil {
		t.need(err, "renew")
	}
	t.define(t.store, "other", 1)
	t.redefined(t.another(), eventstore.Consumer{Name: "changing", Partitions: 1, Keys: 1, Generation: 1})
	if got := t.roster(t.store, "changing").Members; len(got) > 0 {
		t.broken("a consumer was redefined, and %q are said to run it, who have not come again", got)
	}
	if got := t.roster(t.store, "other").Members; !slices.Equal(got, []string{"zoe"}) {
		t.broken("zoe runs also another consumer, which was not redefined; its members are %q", got)
	}
	t.renew(t.store, "adam", "changing", long)
	if got := t.roster(t.another(), "changing").Members; !slices.Equal(got, []string{"adam"}) {
		t.broken("only adam has come again since a consumer was redefined; its members are %q", got)
	}
}

func definitionLimits(t *trial) {
	t.define(t.store, "limited", 1)
	for what, spoil := range map[string]func(c *eventstore.Consumer){
		"no name":               func(c *eventstore.Consumer) { c.Name = "" },
		"a padded name":         func(c *eventstore.Consumer) { c.Name = " limited" },
		"no partition":          func(c *eventstore.Consumer) { c.Partitions = 0 },
		"too many partitions":   func(c *eventstore.Consumer) { c.Partitions = eventstore.MaxPartitions + 1 },
		"a negative key":        func(c *eventstore.Consumer) { c.Keys = -1 },
		"an end before the log": func(c *eventstore.Consumer) { c.Until = -1 },
		"an end beyond reason":  func(c *eventstore.Consumer) { c.Until = 1 << 53 },
		"too much to listen to": func(c *eventstore.Consumer) { c.Listens = numbered("type", 10_001) },
		"too long a history":    func(c *eventstore.Consumer) { c.Former = numbered("definition", 101) },
	} {
		c := eventstore.Consumer{Name: "limited", Partitions: 1, Generation: 1}
		spoil(&c)
		if _, err := t.leaser(t.store).Redefine(t.ctx, c); !errors.Is(err, eventstore.ErrInvalid) {
			t.broken("a redefinition with %s came to %v, not %q", what, err, eventstore.ErrInvalid)
		}
		if c.Name == "limited" {
			c.Name = "unborn"
		}
		if _, err := t.leaser(t.store).Define(t.ctx, c); !errors.Is(err, eventstore.ErrInvalid) {
			t.broken("a definition with %s came to %v, not %q", what, err, eventstore.ErrInvalid)
		}
	}
	largest := eventstore.Consumer{Name: longName(1), Partitions: eventstore.MaxPartitions, Keys: 1<<31 - 1, Until: 1<<53 - 1, Former: numbered("definition", 100)}
	for n := range 10_000 {
		largest.Listens = append(largest.Listens, fmt.Sprintf("%05d%s", n, strings.Repeat("ü", 20)))
	}
	got := t.defineAs(t.store, largest)
	if !slices.Equal(got.Listens, largest.Listens) || !slices.Equal(got.Former, largest.Former) || got.Until != largest.Until {
		t.broken("the largest definition did not come back as it was given: %s", showConsumer(got))
	}
}

func changeDefinition(t *trial) {
	given := wholly("kept")
	want := given.Clone()
	want.Generation = 1
	returned := t.defineAs(t.store, given)
	for _, c := range []eventstore.Consumer{given, returned, t.defined(t.store, "kept")} {
		c.Listens[0], c.Former[0] = "spoilt", "spoilt"
		if got := t.defined(t.another(), "kept"); showConsumer(got) != showConsumer(want) {
			t.brokenNow("a definition was changed where it was given or returned, and the stored one is now\n\t%s, not\n\t%s", showConsumer(got), showConsumer(want))
		}
	}
	given = want.Clone()
	returned = t.redefined(t.store, given)
	want.Generation = 2
	given.Listens[0], returned.Listens[1] = "spoilt", "spoilt"
	if got := t.defined(t.another(), "kept"); showConsumer(got) != showConsumer(want) {
		t.broken("a redefinition was changed where it was given or returned, and the stored one is now\n\t%s, not\n\t%s", showConsumer(got), showConsumer(want))
	}
}
