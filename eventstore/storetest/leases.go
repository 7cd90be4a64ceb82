package storetest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

func leases() promise {
	return promise{
		name:  "Leases",
		says:  "partitions are shared among live members, and every change of hands begins a new epoch",
		needs: []Capability{Leaser},
		checks: []check{
			{name: "a consumer is as its first definition says", run: firstDefinition},
			{name: "a roster names the live members and where the partitions stand", run: rosterTells},
			{name: "a claim gives what has no live owner, under a new epoch", run: claimFree},
			{name: "of many claimants each partition goes to exactly one", run: claimRace},
			{name: "who claims again what it owns gets it under a new epoch", run: claimAgain},
			{name: "what was released or left behind can be claimed, and stands where it stood", run: handOver},
			{name: "a release of a lease that has passed on changes nothing", run: staleRelease},
			{name: "a member that is not renewed loses its partitions to who claims them", heavy: true, run: expiry},
			{name: "a member that was not renewed keeps what nobody has claimed", heavy: true, run: expiryUnclaimed},
			{name: "a lease says how many owners were lost without moving the partition", heavy: true, run: lostCounts},
			{name: "an owner that moved the partition counts not with those before it", heavy: true, run: lostProgress},
			{name: "who releases a partition or leaves is not lost", run: lostNot},
			{name: "only live members may claim", run: deadClaim},
			{name: "names and numbers beyond the limits are refused", run: leaseLimits},
		},
	}
}

// long is a time to live that does not end during a check, short one that ends soon.
const (
	long  = time.Hour
	short = 40 * time.Millisecond
)

func (t *trial) leaser(s *eventstore.Store) eventstore.Leaser {
	return s.Backend().(eventstore.Leaser)
}

func (t *trial) define(s *eventstore.Store, consumer string, partitions int) {
	t.Helper()
	t.defineAs(s, eventstore.Consumer{Name: consumer, Partitions: partitions})
}

func (t *trial) defineAs(s *eventstore.Store, c eventstore.Consumer) eventstore.Consumer {
	t.Helper()
	defined, err := t.leaser(s).Define(t.ctx, c)
	t.need(err, "define consumer %s", c.Name)
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Contains(t.consumers, c.Name) {
		t.consumers = append(t.consumers, c.Name)
	}
	return defined
}

func (t *trial) renew(s *eventstore.Store, member, consumer string, ttl time.Duration) eventstore.Roster {
	t.Helper()
	rosters, err := t.leaser(s).Renew(t.ctx, eventstore.Member{ID: member, Consumers: []string{consumer}}, ttl)
	t.need(err, "renew member %s", member)
	if len(rosters) != 1 {
		t.brokenNow("a member of one consumer was renewed and was told of %d", len(rosters))
	}
	return rosters[0]
}

func (t *trial) roster(s *eventstore.Store, consumer string) eventstore.Roster {
	t.Helper()
	r, err := t.leaser(s).Roster(t.ctx, consumer)
	t.need(err, "roster of %s", consumer)
	return r
}

func (t *trial) claimSome(s *eventstore.Store, member, consumer string, partitions ...int) []eventstore.Lease {
	t.Helper()
	leases, err := t.leaser(s).Claim(t.ctx, member, consumer, t.roster(s, consumer).Generation, partitions)
	t.need(err, "claim partitions %v of %s for %s", partitions, consumer, member)
	return leases
}

// claim defines a consumer and makes a member own all of its partitions.
func (t *trial) claim(s *eventstore.Store, member, consumer string, partitions int) []eventstore.Lease {
	t.Helper()
	t.define(s, consumer, partitions)
	t.renew(s, member, consumer, long)
	leases := t.claimSome(s, member, consumer, upTo(partitions)...)
	if len(leases) != partitions {
		t.Fatalf("could not try whether %s: of %d partitions without an owner, a claim gave %v", t.says, partitions, leases)
	}
	return leases
}

// takeOver makes one member leave and another one own all partitions of a consumer.
func (t *trial) takeOver(s *eventstore.Store, from, by, consumer string, partitions int) []eventstore.Lease {
	t.Helper()
	t.need(t.leaser(s).Leave(t.ctx, from), "leave")
	return t.claim(s, by, consumer, partitions)
}

func upTo(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// checkpoint moves the partition of a lease from where it stood.
func checkpoint(l eventstore.Lease, to eventstore.Position) eventstore.Checkpoint {
	return eventstore.Checkpoint{Consumer: l.Consumer, Partition: l.Partition, Epoch: l.Epoch, From: l.Position, To: to}
}

// entry is an event to be set aside by the owner of a lease.
func entry(l eventstore.Lease, key string, e eventstore.Event) eventstore.Parked {
	return eventstore.Parked{
		ID: uuid.New(), Consumer: l.Consumer, Partition: l.Partition, Key: key, Position: max(e.Position, 1), Event: e.ID,
		Attempts: 1, Failures: []eventstore.Failure{{At: past(1), Error: "it failed"}},
	}
}

func firstDefinition(t *trial) {
	stores := t.pair()
	got := make([]int, racers)
	together(racers, func(i int) {
		c, err := t.leaser(stores[i%2]).Define(t.ctx, eventstore.Consumer{Name: "defined", Partitions: i + 1})
		if err != nil || c.Name != "defined" {
			t.broken("one of several definitions of a consumer came to %+v, %v", c, err)
		}
		got[i] = c.Partitions
	})
	r := t.roster(t.store, "defined")
	for i, n := range got {
		if n != len(r.Partitions) {
			t.broken("who defined it with %d partitions was told that there are %d; there are %d", i+1, n, len(r.Partitions))
		}
	}
	for i, p := range r.Partitions {
		if p != (eventstore.Partition{}) {
			t.broken("partition %d of a new consumer is %+v; it should have no owner, no epoch, and stand at 0", i, p)
		}
	}
	lease := t.claim(t.store, "member", "defined", len(r.Partitions))[0]
	t.commit(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(lease, 5)}})
	t.define(t.store, "defined", 99)
	if now := t.roster(t.store, "defined"); len(now.Partitions) != len(r.Partitions) || now.Partitions[0].Position != 5 {
		t.broken("a second definition changed the consumer to %+v", now)
	}
}

func rosterTells(t *trial) {
	other := t.another()
	t.define(t.store, "told", 3)
	t.define(t.store, "also told", 1)
	t.renew(other, "zoe", "told", long)
	rosters, err := t.leaser(t.store).Renew(t.ctx, eventstore.Member{ID: "adam", Consumers: []string{"also told", "told", "untold"}}, long)
	t.need(err, "renew")
	if len(rosters) != 3 || rosters[0].Consumer != "also told" || rosters[1].Consumer != "told" || len(rosters[2].Partitions) != 0 {
		t.brokenNow("a member that runs also told, told and the unknown untold was given the rosters %+v", rosters)
	}
	leases := t.claimSome(t.store, "adam", "told", 1)
	t.commit(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(leases[0], 8)}})
	want := eventstore.Roster{
		Consumer: "told", Generation: 1, Members: []string{"adam", "zoe"}, Redrives: t.roster(other, "told").Redrives,
		Partitions: []eventstore.Partition{{}, {Owner: "adam", Epoch: leases[0].Epoch, Position: 8}, {}},
	}
	for _, s := range []*eventstore.Store{t.store, other} {
		if got := t.roster(s, "told"); fmt.Sprint(got) != fmt.Sprint(want) {
			t.broken("the roster is %+v; it should be %+v", got, want)
		}
	}
	if got := t.roster(t.store, "also told"); !slices.Equal(got.Members, []string{"adam"}) {
		t.broken("the members of also told are %q; only adam runs it", got.Members)
	}
	if got := t.roster(t.store, "unheard of"); len(got.Partitions)+len(got.Members) != 0 {
		t.broken("the roster of a consumer that nobody defined is %+v", got)
	}
}

func claimFree(t *trial) {
	first := t.claim(t.store, "adam", "claimed", 3)
	other := t.another()
	t.renew(other, "zoe", "claimed", long)
	if got := t.claimSome(other, "zoe", "claimed", 0, 1, 2); len(got) != 0 {
		t.broken("a claim of partitions that have a live owner gave %+v", got)
	}
	t.need(t.leaser(t.store).Release(t.ctx, "adam", first[1:2]), "release")
	got := t.claimSome(other, "zoe", "claimed", 2, 1, 0)
	if len(got) != 1 || got[0].Partition != 1 || got[0].Consumer != "claimed" || got[0].Epoch <= first[1].Epoch {
		t.broken("only partition 1 was free, last under epoch %d; a claim of all gave %+v", first[1].Epoch, got)
	}
}

func claimRace(t *trial) {
	stores := t.pair()
	const partitions = 8
	t.define(t.store, "raced", partitions)
	members := make([]string, racers)
	for i := range members {
		members[i] = fmt.Sprint("member ", i)
		t.renew(t.store, members[i], "raced", long)
	}
	var mu sync.Mutex
	owners := map[int][]string{}
	together(racers, func(i int) {
		leases, err := t.leaser(stores[i%2]).Claim(t.ctx, members[i], "raced", 1, upTo(partitions))
		if err != nil {
			t.broken("one of %d claimants was told: %v", racers, err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, l := range leases {
			owners[l.Partition] = append(owners[l.Partition], members[i])
		}
	})
	for i, p := range t.roster(t.store, "raced").Partitions {
		if len(owners[i]) != 1 || owners[i][0] != p.Owner {
			t.broken("partition %d was given to %q; the roster says that %q owns it", i, owners[i], p.Owner)
		}
	}
}

func claimAgain(t *trial) {
	first := t.claim(t.store, "adam", "claimed", 1)[0]
	again := t.claimSome(t.store, "adam", "claimed", 0)
	if len(again) != 1 || again[0].Epoch <= first.Epoch {
		t.brokenNow("a member owned a partition under epoch %d and claimed it again, as it must if the first answer was lost: it got %+v", first.Epoch, again)
	}
	t.refused(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(first, 1)}}, eventstore.ErrFenced)
	t.commit(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(again[0], 1)}})
}
