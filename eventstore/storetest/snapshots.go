package storetest

import (
	"fmt"

	"github.com/necrostack/necrostack/eventstore"
)

func snapshots() promise {
	return promise{
		name:  "Snapshots",
		says:  "of each fold of a stream the newest snapshot that was saved is there, as it was given",
		needs: []Capability{Snapshotter},
		checks: []check{
			{name: "what was never saved is the zero Snapshot", run: snapshotAbsent},
			{name: "the newest version stays, whatever the order of saving", run: snapshotNewest},
			{name: "of many who save at once the newest version stays", run: snapshotRace},
			{name: "snapshots of other folds and streams are kept apart", run: snapshotsApart},
			{name: "data come back byte for byte", run: snapshotBytes},
			{name: "changing a snapshot given or returned changes nothing stored", run: changeSnapshot},
		},
	}
}

func (t *trial) snapshotter(s *eventstore.Store) eventstore.Snapshotter {
	return s.Backend().(eventstore.Snapshotter)
}

func (t *trial) save(s *eventstore.Store, x eventstore.Snapshot) {
	t.Helper()
	t.need(t.snapshotter(s).Save(t.ctx, x), "save %s", showSnapshot(x))
}

func (t *trial) snapshot(s *eventstore.Store, fold string, stream eventstore.Stream) eventstore.Snapshot {
	t.Helper()
	x, err := t.snapshotter(s).Snapshot(t.ctx, fold, stream)
	t.need(err, "load the snapshot of %s by %s", stream, fold)
	return x
}

func showSnapshot(x eventstore.Snapshot) string {
	return fmt.Sprintf("snapshot of %.40q by %.40q at %d: %.300q", x.Stream, x.Fold, x.Version, x.Data)
}

// snap is a snapshot that says its version.
func snap(v eventstore.Version) eventstore.Snapshot {
	return eventstore.Snapshot{Fold: "account 1", Stream: "account-1", Version: v, Data: fmt.Appendf(nil, `{"at": %d}`, v)}
}

func snapshotAbsent(t *trial) {
	t.save(t.store, snap(3))
	for fold, stream := range map[string]eventstore.Stream{"account 1": "account-2", "account 2": "account-1", "": ""} {
		if got := t.snapshot(t.store, fold, stream); got.Version != 0 || got.Fold != "" || got.Stream != "" || got.Data != nil {
			t.broken("nobody saved one of %q by %q; there is a %s", stream, fold, showSnapshot(got))
		}
	}
}

func snapshotNewest(t *trial) {
	stores, newest := t.pair(), eventstore.Version(0)
	for i, v := range []eventstore.Version{5, 3, 6, 1, 5, 1<<53 - 1, 7} {
		t.save(stores[i%2], snap(v))
		newest = max(newest, v)
		for _, s := range stores {
			if got := t.snapshot(s, "account 1", "account-1"); showSnapshot(got) != showSnapshot(snap(newest)) {
				t.brokenNow("version %d was saved, and the newest was %d; there is a %s", v, newest, showSnapshot(got))
			}
		}
	}
}

func snapshotRace(t *trial) {
	stores := t.pair()
	together(racers, func(i int) {
		for n := range 10 {
			if err := t.snapshotter(stores[i%2]).Save(t.ctx, snap(eventstore.Version((n*racers+i*5)%97+1))); err != nil {
				t.broken("one of %d who save at once failed: %v", racers, err)
			}
			if i == 3 && n == 4 {
				_ = t.snapshotter(stores[0]).Save(t.ctx, snap(100))
			}
		}
	})
	if got := t.snapshot(t.store, "account 1", "account-1"); showSnapshot(got) != showSnapshot(snap(100)) {
		t.broken("many saved versions up to 100 at once; there is a %s", showSnapshot(got))
	}
}

func snapshotsApart(t *trial) {
	var all []eventstore.Snapshot
	for _, fold := range []string{"a", "ab", "a:b", "A", "a 1", "ä"} {
		for _, stream := range []eventstore.Stream{"b-1", "-1", "b:b-1", "B-1", ":b-1", "1b-1"} {
			x := eventstore.Snapshot{Fold: fold, Stream: stream, Version: eventstore.Version(len(all) + 1), Data: fmt.Appendf(nil, "%d", len(all))}
			all = append(all, x)
			t.save(t.store, x)
		}
	}
	other := t.another()
	for _, x := range all {
		if got := t.snapshot(other, x.Fold, x.Stream); showSnapshot(got) != showSnapshot(x) {
			t.broken("saved was a %s; there is a %s", showSnapshot(x), showSnapshot(got))
		}
	}
}

func snapshotBytes(t *trial) {
	other := t.another()
	for i, p := range payloads() {
		x := snap(eventstore.Version(i + 1))
		x.Data = []byte(p)
		t.save(t.store, x)
		if got := t.snapshot(other, "account 1", "account-1"); got.Version != x.Version || string(got.Data) != p {
			t.broken("the data %.300q of version %d came back as %.300q of version %d", p, x.Version, got.Data, got.Version)
		}
	}
}

func changeSnapshot(t *trial) {
	given := snap(1)
	t.save(t.store, given)
	want := showSnapshot(snap(1))
	for _, which := range []string{"given", "returned"} {
		given.Data[0], given.Data[1] = 'x', 'x'
		_ = append(given.Data[:0], "spoilt"...)
		given = t.snapshot(t.store, "account 1", "account-1")
		if is := showSnapshot(given); is != want {
			t.brokenNow("a snapshot was changed where it was %s, and the stored one is now\n\t%s, not\n\t%s", which, is, want)
		}
	}
}
