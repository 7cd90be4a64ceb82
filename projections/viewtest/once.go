package viewtest

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/spine"
	"github.com/necrostack/necrostack/spine/spinetest"
)

// fenced writes rows as an owner that has lost its partition, from elsewhere than where it stands, and again.
func fenced(t *spinetest.Trial) {
	set := eventstore.RowSet{Name: "sums", Version: 1, Columns: []eventstore.Column{{Name: "n", Kind: eventstore.Int}}}
	tap := t.Tap()
	store := t.Open(tap)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(tap.DefineRows(t.Ctx, set))
	must(tap.DefineRows(t.Ctx, set)) // once more
	for n := range 3 {
		t.Put(spinetest.Event("s-1", "in", n))
	}
	known, err := tap.Define(t.Ctx, eventstore.Consumer{Name: "sums_v1", Partitions: 1, Hash: "fnv1a", Listens: []string{"type in"}})
	must(err)
	lease := func(member string) eventstore.Lease {
		t.Helper()
		_, err := tap.Renew(t.Ctx, eventstore.Member{ID: member, Consumers: []string{"sums_v1"}}, time.Minute)
		must(err)
		leases, err := tap.Claim(t.Ctx, member, "sums_v1", known.Generation, []int{0})
		must(err)
		return leases[0]
	}
	write := func(epoch int64, from, to eventstore.Position, rows ...eventstore.Row) error {
		c := eventstore.Commit{Checkpoints: []eventstore.Checkpoint{{Consumer: "sums_v1", Epoch: epoch, From: from, To: to}}}
		_, err := store.CommitWith(t.Ctx, tap.WriteRows(set, rows), c)
		return err
	}
	check := func(want ...int64) {
		t.Helper()
		rows, err := tap.LoadRows(t.Ctx, set, []string{"a", "b"})
		must(err)
		slices.SortFunc(rows, func(x, y eventstore.Row) int { return strings.Compare(x.Key, y.Key) })
		var got []int64
		for _, r := range rows {
			got = append(got, r.Values[0].(int64))
		}
		if !slices.Equal(got, want) {
			t.Errorf("rows are %v, want %v", got, want)
		}
	}
	row := func(key string, n int64) eventstore.Row { return eventstore.Row{Key: key, Values: []any{n}} }
	old := lease("one").Epoch
	must(write(old, 0, 1, row("a", 1), row("b", 1)))
	check(1, 1)
	must(write(old, 0, 1, row("a", 1), row("b", 1))) // sent again
	check(1, 1)
	if err := write(old, 2, 3, row("a", 9)); !errors.Is(err, eventstore.ErrFenced) {
		t.Errorf("from elsewhere than where the partition stands: %v", err)
	}
	must(tap.Leave(t.Ctx, "one"))
	now := lease("two").Epoch
	if err := write(old, 1, 2, row("a", 9), eventstore.Row{Key: "b"}); !errors.Is(err, eventstore.ErrFenced) {
		t.Errorf("of a former owner: %v", err)
	}
	check(1, 1)
	must(write(now, 1, 2, row("a", 2), eventstore.Row{Key: "b"}))
	check(2)
}

// parksKey has a fold that fails for one row.
func parksKey(t *spinetest.Trial) {
	type row struct{ Sum int64 }
	broken := true
	view := projections.View[row]{
		Name: "sums",
		On: projections.Folds[row]{
			projections.On(func(r *row, e counted) {
				r.Sum += e.Number
				if broken && e.Number == 5 {
					panic("five")
				}
			}),
		},
	}
	for n := range int64(10) {
		for _, s := range []eventstore.Stream{"count-a", "count-b"} {
			number := n
			if s == "count-b" && n == 5 {
				number = 50
			}
			if _, err := t.Store.Append(t.Ctx, s, eventstore.Any, counted{number}); err != nil {
				t.Fatal(err)
			}
		}
	}
	sp := t.Spine(t.Store, spine.Config{MaxSteps: -1}, view)
	t.Drain(sp)
	rows := view.Rows(t.Store)
	check := func(key string, want int64) {
		t.Helper()
		if r, err := rows.Get(t.Ctx, key); err != nil || r.Sum != want {
			t.Errorf("row %s is %+v, %v, want the sum %d", key, r, err, want)
		}
	}
	check("a", 0+1+2+3+4)
	check("b", 45-5+50)
	if keys := t.ParkedKeys("sums_v1"); len(keys) == 0 || slices.ContainsFunc(keys, func(k string) bool { return !strings.HasPrefix(k, "a@") }) {
		t.Errorf("parked for the keys %q, want a alone", keys)
	}
	broken = false
	if _, err := t.Store.Redrive(t.Ctx, eventstore.ParkedFilter{Consumer: "sums_v1"}); err != nil {
		t.Fatal(err)
	}
	t.Drain(sp)
	check("a", 45)
	if left := t.ParkedKeys("sums_v1"); len(left) > 0 {
		t.Errorf("still parked: %q", left)
	}
}

// parksOneOfSeveral has a fold that fails for one of two rows that an event changes, both in one partition.
func parksOneOfSeveral(t *spinetest.Trial) {
	type row struct {
		Owner string
		Sum   int64
	}
	broken := true
	view := projections.View[row]{
		Name: "shared",
		On: projections.Folds[row]{
			projections.OnKey(func(e opened) string { return e.Owner }, func(r *row, e opened) { r.Owner = e.Owner }),
			projections.OnKeys(func(e moved) []string { return []string{e.From, e.To} }, func(r *row, e moved) {
				if r.Sum += e.Cents; broken && r.Owner == "bad" {
					panic("bad")
				}
			}),
		},
		Policy: spine.Policy{Partitions: 1},
	}
	for _, e := range []eventstore.Payload{
		opened{Owner: "bad"}, opened{Owner: "good"}, moved{"good", "bad", 1}, moved{"bad", "good", 2}, moved{"good", "fine", 4},
	} {
		if _, err := t.Store.Append(t.Ctx, "account-1", eventstore.Any, e); err != nil {
			t.Fatal(err)
		}
	}
	sp := t.Spine(t.Store, spine.Config{}, view)
	t.Drain(sp)
	rows := view.Rows(t.Store)
	check := func(key string, want int64) {
		t.Helper()
		if r, err := rows.Get(t.Ctx, key); err != nil || r.Sum != want {
			t.Errorf("row %s is %+v, %v, want the sum %d", key, r, err, want)
		}
	}
	check("good", 7)
	check("fine", 4)
	check("bad", 0)
	if keys := t.ParkedKeys("shared_v1"); !slices.Equal(keys, []string{"bad@3!", "bad@4"}) {
		t.Errorf("parked are %q", keys)
	}
	broken = false
	if _, err := t.Store.Redrive(t.Ctx, eventstore.ParkedFilter{Consumer: "shared_v1"}); err != nil {
		t.Fatal(err)
	}
	t.Drain(sp)
	check("good", 7)
	check("bad", 3)
}
