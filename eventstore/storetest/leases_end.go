package storetest

import (
	"errors"
	"slices"
	"strings"

	"github.com/necrostack/necrostack/eventstore"
)

func handOver(t *trial) {
	other := t.another()
	first := t.claim(t.store, "adam", "handed", 2)
	t.commit(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(first[0], 4), checkpoint(first[1], 9)}})
	t.renew(other, "zoe", "handed", long)
	t.need(t.leaser(t.store).Release(t.ctx, "adam", first[:1]), "release")
	second := t.claimSome(other, "zoe", "handed", 0, 1)
	if len(second) != 1 || second[0].Partition != 0 || second[0].Position != 4 || second[0].Epoch <= first[0].Epoch {
		t.brokenNow("adam released partition 0, which stood at 4 under epoch %d; zoe's claim of both gave %+v", first[0].Epoch, second)
	}
	t.need(t.leaser(t.store).Leave(t.ctx, "adam"), "leave")
	if r := t.roster(other, "handed"); !slices.Equal(r.Members, []string{"zoe"}) || r.Partitions[1].Owner != "" || r.Partitions[1].Position != 9 {
		t.broken("after adam had left the roster was %+v", r)
	}
	third := t.claimSome(other, "zoe", "handed", 1)
	if len(third) != 1 || third[0].Position != 9 || third[0].Epoch <= first[1].Epoch {
		t.brokenNow("adam left partition 1, which stood at 9 under epoch %d; zoe's claim gave %+v", first[1].Epoch, third)
	}
	t.refused(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{{Consumer: "handed", Partition: 1, Epoch: first[1].Epoch, From: 9, To: 10}}}, eventstore.ErrFenced)
	t.need(t.leaser(t.store).Leave(t.ctx, "never was"), "leave without having come")
}

func staleRelease(t *trial) {
	first := t.claim(t.store, "adam", "released", 1)
	t.need(t.leaser(t.store).Release(t.ctx, "adam", first), "release")
	second := t.claimSome(t.store, "adam", "released", 0)
	if len(second) != 1 {
		t.brokenNow("a claim of a released partition gave %+v", second)
	}
	t.need(t.leaser(t.store).Release(t.ctx, "adam", first), "release")
	t.need(t.leaser(t.store).Release(t.ctx, "zoe", second), "release")
	t.need(t.leaser(t.store).Release(t.ctx, "adam", []eventstore.Lease{
		{Consumer: "unheard of"}, {Consumer: "released", Partition: 5, Epoch: 1}, {Consumer: "released", Partition: -1, Epoch: 1},
	}), "release what never was")
	if p := t.roster(t.store, "released").Partitions[0]; p.Owner != "adam" {
		t.broken("a release under an old epoch, or by another member, took the partition from adam: it is %+v", p)
	}
}

// expire makes a member own a partition and waits until it counts as dead.
func (t *trial) expire(consumer string) eventstore.Lease {
	t.Helper()
	t.define(t.store, consumer, 1)
	t.renew(t.store, "adam", consumer, short)
	var leases []eventstore.Lease
	t.until("a member that was just renewed could claim", func() bool {
		t.renew(t.store, "adam", consumer, short)
		var err error
		leases, err = t.leaser(t.store).Claim(t.ctx, "adam", consumer, 1, []int{0})
		return err == nil
	})
	t.until("the member had expired", func() bool { return len(t.roster(t.store, consumer).Members) == 0 })
	return leases[0]
}

func expiry(t *trial) {
	other := t.another()
	first := t.expire("expired")
	if p := t.roster(t.store, "expired").Partitions[0]; p.Owner != "" || p.Epoch != first.Epoch {
		t.broken("after its owner had expired, the partition was %+v", p)
	}
	r := t.renew(other, "zoe", "expired", long)
	if !slices.Equal(r.Members, []string{"zoe"}) {
		t.broken("after adam had expired and zoe come, the members were %q", r.Members)
	}
	second := t.claimSome(other, "zoe", "expired", 0)
	if len(second) != 1 || second[0].Epoch <= first.Epoch {
		t.brokenNow("the partition of an expired member, last under epoch %d, was claimed: %+v", first.Epoch, second)
	}
	t.refused(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(first, 1)}}, eventstore.ErrFenced)
	t.renew(t.store, "adam", "expired", long)
	if got := t.claimSome(t.store, "adam", "expired", 0); len(got) != 0 {
		t.broken("a member came back after it had lost its partition to a live one, and could claim it: %+v", got)
	}
	t.commit(other, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(second[0], 1)}})
}

func expiryUnclaimed(t *trial) {
	lease := t.expire("kept")
	t.renew(t.another(), "zoe", "kept", long)
	if _, err := t.store.Commit(t.ctx, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(lease, 1)}}); err != nil {
		t.broken("nobody had claimed the partition of an expired member, and yet its checkpoint was refused: %v", err)
	}
	t.renew(t.store, "adam", "kept", long)
	if p := t.roster(t.store, "kept").Partitions[0]; p.Owner != "adam" || p.Epoch != lease.Epoch {
		t.broken("nobody had claimed the partition of a member that expired and came back; it is %+v", p)
	}
}

func deadClaim(t *trial) {
	t.define(t.store, "claimed", 1)
	if got, err := t.leaser(t.store).Claim(t.ctx, "never renewed", "claimed", 1, []int{0}); err == nil {
		t.broken("a member that was never renewed claimed %+v", got)
	}
	t.renew(t.store, "left", "claimed", long)
	t.need(t.leaser(t.store).Leave(t.ctx, "left"), "leave")
	if got, err := t.leaser(t.store).Claim(t.ctx, "left", "claimed", 1, []int{0}); err == nil {
		t.broken("a member that had left claimed %+v", got)
	}
}

func leaseLimits(t *trial) {
	leaser := t.leaser(t.store)
	define := func(name string, partitions int) error {
		_, err := leaser.Define(t.ctx, eventstore.Consumer{Name: name, Partitions: partitions})
		return err
	}
	for _, name := range []string{"", " padded", "nul\x00", "not \xff UTF-8", strings.Repeat("n", 256)} {
		if err := define(name, 1); !errors.Is(err, eventstore.ErrInvalid) {
			t.broken("a consumer named %.40q was answered with %v, not %q", name, err, eventstore.ErrInvalid)
		}
		if _, err := leaser.Renew(t.ctx, eventstore.Member{ID: name}, long); !errors.Is(err, eventstore.ErrInvalid) {
			t.broken("a member named %.40q was answered with %v, not %q", name, err, eventstore.ErrInvalid)
		}
	}
	for _, n := range []int{-1, 0, eventstore.MaxPartitions + 1} {
		if err := define("limited", n); !errors.Is(err, eventstore.ErrInvalid) {
			t.broken("a consumer with %d partitions was answered with %v, not %q", n, err, eventstore.ErrInvalid)
		}
	}
	t.need(define(strings.Repeat("ü", 127), eventstore.MaxPartitions), "define the largest consumer")
	t.define(t.store, "limited", 2)
	t.renew(t.store, "member", "limited", long)
	for _, n := range []int{-1, 2} {
		if got, err := leaser.Claim(t.ctx, "member", "limited", 1, []int{n}); !errors.Is(err, eventstore.ErrInvalid) {
			t.broken("a claim of partition %d of a consumer with two came to %+v, %v, not %q", n, got, err, eventstore.ErrInvalid)
		}
	}
}
