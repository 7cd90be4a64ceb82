package viewtest

import (
	"errors"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine/spinetest"
)

// jointly writes rows with the checkpoints of several partitions, of which one may or may not be moved.
func jointly(t *spinetest.Trial) {
	const partitions = 3
	set := eventstore.RowSet{Name: "joint", Version: 1, Columns: []eventstore.Column{{Name: "n", Kind: eventstore.Int}}}
	tap := t.Tap()
	store := t.Open(tap)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(tap.DefineRows(t.Ctx, set))
	for n := range 9 {
		t.Put(spinetest.Event("s-1", "in", n))
	}
	known, err := tap.Define(t.Ctx, eventstore.Consumer{Name: "joint_v1", Partitions: partitions, Hash: "fnv1a", Listens: []string{"type in"}})
	must(err)
	_, err = tap.Renew(t.Ctx, eventstore.Member{ID: "one", Consumers: []string{"joint_v1"}}, time.Minute)
	must(err)
	leases, err := tap.Claim(t.Ctx, "one", "joint_v1", known.Generation, []int{0, 1, 2})
	must(err)

	// Partition 0 stands at 0, 1 at 1, 2 at 2.
	move := func(partition int, from, to eventstore.Position) eventstore.Checkpoint {
		return eventstore.Checkpoint{Consumer: "joint_v1", Partition: partition, Epoch: leases[partition].Epoch, From: from, To: to}
	}
	strange := func(c eventstore.Checkpoint) eventstore.Checkpoint {
		c.Epoch++
		return c
	}
	write := func(n int64, moves ...eventstore.Checkpoint) error {
		_, err := store.CommitWith(t.Ctx, tap.WriteRows(set, []eventstore.Row{{Key: "a", Values: []any{n}}}), eventstore.Commit{Checkpoints: moves})
		return err
	}
	must(write(1, move(1, 0, 1), move(2, 0, 2)))
	const (
		nobody   = -1
		somebody = -2
	)
	stands := int64(1) // what was written last
	for _, c := range []struct {
		name  string
		n     int64
		moves []eventstore.Checkpoint
		fault int // the partition to blame
	}{
		{"the last is of another epoch", 2, []eventstore.Checkpoint{move(0, 0, 5), move(1, 1, 5), strange(move(2, 2, 5))}, 2},
		{"the first is of another epoch", 3, []eventstore.Checkpoint{strange(move(0, 0, 5)), move(1, 1, 5), move(2, 2, 5)}, 0},
		{"one is from elsewhere", 4, []eventstore.Checkpoint{move(0, 0, 5), move(1, 4, 5), move(2, 2, 5)}, 1},
		{"one was moved there before, others were not", 5, []eventstore.Checkpoint{move(0, 0, 5), move(1, 0, 1), move(2, 2, 5)}, somebody},
		{"all may be moved", 6, []eventstore.Checkpoint{move(0, 0, 3), move(1, 1, 3), move(2, 2, 3)}, nobody},
		{"all were moved there before", 6, []eventstore.Checkpoint{move(0, 0, 3), move(1, 1, 3), move(2, 2, 3)}, nobody},
		{"one stays, others are moved", 7, []eventstore.Checkpoint{move(0, 3, 3), move(1, 3, 4), move(2, 3, 4)}, nobody},
		{"one stays elsewhere", 8, []eventstore.Checkpoint{move(0, 4, 4), move(1, 4, 5), move(2, 4, 5)}, 0},
		{"all stay", 9, []eventstore.Checkpoint{move(0, 3, 3), move(1, 4, 4)}, nobody},
	} {
		err := write(c.n, c.moves...)
		fenced, named := errors.AsType[*eventstore.FencedError](err)
		switch {
		case c.fault == nobody && err == nil:
			stands = c.n
		case c.fault == nobody:
			t.Errorf("%s: %v", c.name, err)
		case !errors.Is(err, eventstore.ErrFenced) || c.fault != somebody && (!named || fenced.Partition != c.fault):
			t.Errorf("%s: writing came to %v, want partition %d to be fenced", c.name, err, c.fault)
		}
		rows, err := tap.LoadRows(t.Ctx, set, []string{"a"})
		must(err)
		if len(rows) != 1 || rows[0].Values[0] != stands {
			t.Errorf("%s: rows are %v, want %d", c.name, rows, stands)
		}
	}
	status, err := store.Status(t.Ctx, "joint_v1")
	must(err)
	if status.Position != 3 {
		t.Errorf("the consumer stands at %d, want 3", status.Position)
	}
}
