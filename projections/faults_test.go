package projections_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/spine"
	"github.com/necrostack/necrostack/spine/spinetest"
)

type (
	added struct{ N int64 }
	sum   struct {
		Total int64 `view:",index"`
		Text  string
	}
)

func (added) EventType() string { return "added" }

func sums(name string) projections.View[sum] {
	return projections.View[sum]{Name: name, On: projections.Folds[sum]{projections.On(func(s *sum, e added) { s.Total += e.N })}}
}

func TestFaultsOfAViewAreReportedTogether(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		view spine.Organ
		want []string
	}{
		{"a name that is SQL", sums(`x"; DROP TABLE events; --`), []string{"DROP TABLE", "lower-case letters, digits and underscores"}},
		{"no name", sums(""), []string{"has 0 bytes, not 1 … 40"}},
		{"negative version", projections.View[sum]{Name: "sums", Version: -1, On: sums("sums").On}, []string{"version", "-1"}},
		{"no folds", projections.View[sum]{Name: "sums"}, []string{"On is empty"}},
		{"nil and empty folds", projections.View[sum]{Name: "sums", On: projections.Folds[sum]{
			{}, projections.On[sum, added](nil), projections.OnKey(nil, func(*sum, added) {}),
		}}, []string{"fold 1 is empty", "fold of added is nil", "key of added is nil"}},
		{"a row that is no table", projections.View[struct{ C chan int }]{Name: "sums", On: projections.Folds[struct{ C chan int }]{
			projections.On(func(*struct{ C chan int }, added) {}),
		}}, []string{"field C is chan int"}},
		{"competing", projections.View[sum]{Name: "sums", On: sums("sums").On, Policy: spine.Policy{Delivery: spine.Competing}}, []string{"cannot be Competing"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := spine.New(memory.Open(memory.Config{}), spine.Config{}, tt.view)
			for _, want := range tt.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q: %v", want, err)
				}
			}
		})
	}
}

func TestOneViewInTwoVersionsIsTwoOrgansAndTwiceTheSameIsNone(t *testing.T) {
	t.Parallel()
	first, second := sums("sums"), sums("sums")
	second.Version = 2
	if _, err := spine.New(memory.Open(memory.Config{}), spine.Config{}, first, second); err != nil {
		t.Error(err)
	}
	if _, err := spine.New(memory.Open(memory.Config{}), spine.Config{}, first, first); err == nil {
		t.Error("the same view was taken twice")
	}
}

func TestBadReadsAreRefused(t *testing.T) {
	t.Parallel()
	ctx, store, view := t.Context(), memory.Open(memory.Config{}), sums("sums")
	sp, err := spine.New(store, spine.Config{}, view)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Append(ctx, "count-a", eventstore.NoStream, added{3}); err != nil {
		t.Fatal(err)
	}
	rows := view.Rows(store)
	if _, err := rows.Get(ctx, "a"); !errors.Is(err, eventstore.ErrNoRows) || !strings.Contains(err.Error(), "view sums, version 1, has never run") {
		t.Errorf("a view that never ran: %v", err)
	}
	if _, err := sp.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	for what, read := range map[string]func() error{
		"an empty key": func() error { _, err := rows.Get(ctx, ""); return err },
		"a long key":   func() error { _, err := rows.Get(ctx, strings.Repeat("x", 256)); return err },
		"unknown column": func() error {
			_, err := rows.Count(ctx, []projections.Filter{projections.Is("nothing", 1)})
			return err
		},
		"no index": func() error { _, err := rows.Count(ctx, []projections.Filter{projections.Is("text", "x")}); return err },
		"wrong type": func() error {
			_, err := rows.Count(ctx, []projections.Filter{projections.Is("total", "x")})
			return err
		},
		"null where none": func() error {
			_, err := rows.Count(ctx, []projections.Filter{projections.Is("total", nil)})
			return err
		},
		"order": func() error { return first(rows.List(ctx, projections.Page[sum]{OrderBy: "text"})) },
		"limit": func() error { return first(rows.List(ctx, projections.Page[sum]{Limit: -1})) },
		"a position that is not there": func() error {
			_, err := rows.Get(ctx, "a", projections.AtLeast(99))
			return err
		},
	} {
		if err := read(); !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := first(rows.List(ended, projections.Page[sum]{})); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func TestBadWatchesAndVerifiesAreRefusedBeforeAnyCall(t *testing.T) {
	t.Parallel()
	tap := spinetest.NewTap(memory.New())
	store := eventstore.New(tap, eventstore.Config{})
	view := sums("sums")
	watch := func(v projections.View[sum], options ...projections.WatchOption) error {
		for _, err := range v.Rows(store).Watch(t.Context(), options...) {
			return err
		}
		return nil
	}
	verify := func(v projections.View[sum], cfg projections.Verify) error {
		_, err := v.Verify(t.Context(), store, cfg)
		return err
	}
	for what, tt := range map[string]struct {
		err  error
		says string
	}{
		"no key":         {watch(view, projections.OfKeys()), "keys are none"},
		"an empty key":   {watch(view, projections.OfKeys("a", "")), "key"},
		"negative":       {watch(view, projections.After(-1)), "-1 is negative"},
		"two positions":  {watch(view, projections.After(1), projections.After(2)), "twice"},
		"no folds":       {watch(projections.View[sum]{Name: "sums"}), "On is empty"},
		"a bad name":     {watch(sums("A")), "lower-case"},
		"negative parts": {verify(view, projections.Verify{Parts: -1}), "parts are -1"},
		"negative most":  {verify(view, projections.Verify{Most: -1}), "most is -1"},
		"verify nothing": {verify(projections.View[sum]{Name: "sums"}, projections.Verify{}), "On is empty"},
		"verify A":       {verify(sums("A"), projections.Verify{}), "lower-case"},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.says) || strings.Count(tt.err.Error(), "view sums:") > 1 {
			t.Errorf("%s: %v, want: %s", what, tt.err, tt.says)
		}
	}
	if n := tap.Calls.Load(); n > 0 {
		t.Errorf("the backend was called %d times", n)
	}
	if err := watch(view, projections.After(7)); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("a position beyond the head: %v", err)
	}
}

func TestAWatchMayBeLeftOnceItsContextHasEnded(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	store, view := memory.Open(memory.Config{}), sums("sums")
	sp, err := spine.New(store, spine.Config{}, view)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Append(ctx, "count-a", eventstore.NoStream, added{3}); err != nil {
		t.Fatal(err)
	}
	if _, err := sp.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	for change, err := range view.Rows(store).Watch(ctx, projections.After(0)) {
		if err != nil || change.Row.Total != 3 {
			t.Errorf("%+v, %v", change.Row, err)
		}
		cancel()
		break
	}
	for _, err := range view.Rows(store).Watch(ctx) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that has ended: %v", err)
		}
	}
}

// first returns the error that comes first, or nil.
func first(rows func(func(projections.Keyed[sum], error) bool)) (err error) {
	rows(func(_ projections.Keyed[sum], e error) bool {
		err = e
		return false
	})
	return err
}
