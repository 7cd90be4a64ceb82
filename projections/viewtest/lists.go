package viewtest

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/spine"
	"github.com/necrostack/necrostack/spine/spinetest"
)

func readYourWrites(t *spinetest.Trial) {
	view := balances()
	if _, err := view.Rows(t.Store).Get(t.Ctx, "a"); !errors.Is(err, eventstore.ErrNoRows) {
		t.Errorf("a view that never ran: %v", err)
	}
	t.Start(t.Spine(t.Open(t.Tap()), spine.Config{}, view)) // as another process
	t.Until("it is known", func() bool { return len(t.Roster("balances_v1").Partitions) > 0 })
	rows := view.Rows(t.Store)
	for n := range int64(20) {
		r, err := t.Store.Append(t.Ctx, "transfer-1", eventstore.Any, moved{"a", "b", n})
		if err != nil {
			t.Fatal(err)
		}
		b, err := rows.Get(t.Ctx, "b", projections.AtLeast(r.Position))
		if err != nil || int64(b.Moves) != n+1 {
			t.Fatalf("after %d moves: %+v, %v", n+1, b, err)
		}
	}
	if _, err := rows.Get(t.Ctx, "nobody"); !errors.Is(err, projections.ErrNoRow) {
		t.Errorf("a key without a row: %v", err)
	}
}

func lists(t *spinetest.Trial) {
	view := balances()
	script(t, rand.New(rand.NewPCG(3, 3)), 400)
	for _, b := range []string{"ann", "Zoë", "bob", "ann"} {
		if _, err := t.Store.Append(t.Ctx, eventstore.StreamOf("account", b+"-"+uuid.NewString()), eventstore.Any, opened{b}); err != nil {
			t.Fatal(err)
		}
	}
	t.Drain(t.Spine(t.Store, spine.Config{MaxSteps: -1}, view))
	rows, all := view.Rows(t.Store), oracle(t, t.Events(eventstore.All()))
	for _, by := range []string{"", "key", "cents", "owner"} {
		for _, desc := range []bool{false, true} {
			ordered := slices.Sorted(maps.Keys(all))
			slices.SortStableFunc(ordered, func(x, y string) int { return order(by, all[x], all[y]) })
			if desc {
				slices.Reverse(ordered)
			}
			var got []string
			page := projections.Page[balance]{OrderBy: by, Desc: desc, Limit: 3}
			for more := true; more; {
				more = false
				for k, err := range rows.List(t.Ctx, page) {
					if err != nil {
						t.Fatal(err)
					}
					got, page.After, more = append(got, k.Key), &k, true
				}
			}
			if !slices.Equal(got, ordered) {
				t.Errorf("by %q, desc %t:\n%q, want\n%q", by, desc, got, ordered)
			}
		}
	}
	filter := []projections.Filter{projections.More("cents", 1000), projections.AtMost("cents", int32(500_000))}
	n, err := rows.Count(t.Ctx, filter)
	in := 0
	for _, b := range all {
		if b.Cents > 1000 && b.Cents <= 500_000 {
			in++
		}
	}
	if err != nil || int(n) != in || in == 0 {
		t.Errorf("%d rows meet the filter, %v, want %d", n, err, in)
	}
	for _, k := range slices.Collect(maps.Keys(map[string]projections.Filter{"moves": projections.Is("moves", 1), "nothing": projections.Is("nothing", 1)})) {
		if _, err := rows.Count(t.Ctx, []projections.Filter{projections.Is(k, 1)}); !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("a filter of column %s: %v", k, err)
		}
	}
	if n, err := rows.Count(t.Ctx, []projections.Filter{projections.Is("owner", nil)}); err != nil || n == 0 || int(n) == len(all) {
		t.Errorf("%d of %d rows have no owner, %v", n, len(all), err)
	}
}

// order compares rows by a column. None is greater than any owner.
func order(by string, x, y balance) int {
	switch {
	case by == "cents":
		return int(x.Cents - y.Cents)
	case by != "owner" || x.Owner == nil && y.Owner == nil:
		return 0
	case x.Owner == nil:
		return 1
	case y.Owner == nil:
		return -1
	case *x.Owner < *y.Owner:
		return -1
	case *x.Owner > *y.Owner:
		return 1
	}
	return 0
}
