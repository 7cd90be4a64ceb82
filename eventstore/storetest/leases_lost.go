package storetest

import "github.com/necrostack/necrostack/eventstore"

// lose makes a member own a partition and waits until it counts as dead.
func (t *trial) lose(member, consumer string) eventstore.Lease {
	t.Helper()
	var leases []eventstore.Lease
	t.until("a member that was just renewed could claim", func() bool {
		t.renew(t.store, member, consumer, short)
		var err error
		leases, err = t.leaser(t.store).Claim(t.ctx, member, consumer, 1, []int{0})
		return err == nil
	})
	if len(leases) != 1 {
		t.brokenNow("the partition was free, and a claim gave %+v", leases)
	}
	t.until("the member had expired", func() bool { return len(t.roster(t.store, consumer).Members) == 0 })
	return leases[0]
}

// lostOwners checks what a claim says of the owners before.
func (t *trial) lostOwners(what string, l eventstore.Lease, want int) {
	t.Helper()
	if l.Lost != want {
		t.broken("%s, and the next lease says that %d owners were lost, not %d", what, l.Lost, want)
	}
}

func lostCounts(t *trial) {
	t.define(t.store, "losing", 1)
	for n, member := range []string{"first", "second", "third"} {
		t.lostOwners("so many owners had expired without moving the partition", t.lose(member, "losing"), n)
	}
	t.renew(t.another(), "fourth", "losing", long)
	l := t.claimSome(t.store, "fourth", "losing", 0)[0]
	t.lostOwners("three owners had expired without moving the partition", l, 3)
	l = t.claimSome(t.store, "fourth", "losing", 0)[0]
	t.lostOwners("three owners had expired, and the fourth claimed again", l, 3)
	t.commit(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(l, 0)}})
	t.lostOwners("a checkpoint only proved the right to commit", t.claimSome(t.store, "fourth", "losing", 0)[0], 3)
	l = t.claimSome(t.store, "fourth", "losing", 0)[0]
	t.commit(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(l, 1)}})
	t.lostOwners("the partition has moved", t.claimSome(t.store, "fourth", "losing", 0)[0], 0)
}

func lostProgress(t *trial) {
	t.define(t.store, "losing", 1)
	t.lose("first", "losing")
	l := t.lose("second", "losing")
	t.commit(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(l, 1)}}) // nobody has claimed it
	t.renew(t.store, "third", "losing", long)
	if got := t.claimSome(t.store, "third", "losing", 0)[0].Lost; got > 1 {
		t.broken("the last of two owners that were lost had moved the partition, and the next lease says that %d were lost", got)
	}
}

func lostNot(t *trial) {
	t.define(t.store, "handed", 1)
	var l eventstore.Lease
	for _, x := range []struct {
		member, what string
		end          func()
	}{
		{"first", "nobody had owned it", func() { t.need(t.leaser(t.store).Release(t.ctx, "first", []eventstore.Lease{l}), "release") }},
		{"second", "its owner had released it", func() { t.need(t.leaser(t.store).Leave(t.ctx, "second"), "leave") }},
		{"third", "its owner had left", func() {}},
		{"third", "its owner claimed again", func() {}},
	} {
		t.renew(t.store, x.member, "handed", long)
		got := t.claimSome(t.store, x.member, "handed", 0)
		if len(got) != 1 {
			t.brokenNow("%s, and a claim gave %+v", x.what, got)
		}
		l = got[0]
		t.lostOwners(x.what, l, 0)
		x.end()
	}
}
