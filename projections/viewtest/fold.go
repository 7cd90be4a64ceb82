package viewtest

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/spine"
	"github.com/necrostack/necrostack/spine/spinetest"
)

func equalsOracle(t *spinetest.Trial) {
	random := rand.New(rand.NewPCG(1, 1))
	view := balances()
	sp := t.Spine(t.Store, spine.Config{MaxSteps: -1}, view)
	for range 4 {
		script(t, random, 150)
		t.Drain(sp)
		if want(t, view.Rows(t.Store)) == 0 {
			t.Error("there are no rows")
		}
	}
}

// manyTogether has batches of more events than the Spine reads at once.
func manyTogether(t *spinetest.Trial) {
	view := balances()
	view.Batch, view.Policy.Partitions = 600, 1
	random := rand.New(rand.NewPCG(5, 5))
	for range 2 {
		payloads := make([]eventstore.Payload, 900)
		for i := range payloads {
			payloads[i] = moved{fmt.Sprint("a", random.IntN(50)), fmt.Sprint("a", random.IntN(50)), int64(i)}
		}
		if _, err := t.Store.Append(t.Ctx, "transfer-1", eventstore.Any, payloads...); err != nil {
			t.Fatal(err)
		}
	}
	tap := t.Tap()
	t.Drain(t.Spine(t.Open(tap), spine.Config{MaxSteps: -1}, view))
	want(t, view.Rows(t.Store))
	if n := tap.Writes.Load(); n > 6 {
		t.Errorf("1,800 events took %d commits", n)
	}
}

func changed(t *spinetest.Trial) {
	type before struct{ Sum int64 }
	type after struct {
		Sum  string
		More bool
	}
	fold := func(*before, counted) {}
	t.Put(spinetest.Event("count-1", "counted", 1))
	t.Drain(t.Spine(t.Store, spine.Config{}, projections.View[before]{Name: "sums", On: projections.Folds[before]{projections.On(fold)}}))
	t.Put(spinetest.Event("count-1", "counted", 2))
	other := projections.View[after]{Name: "sums", On: projections.Folds[after]{projections.On(func(*after, counted) {})}}
	_, err := t.Spine(t.Store, spine.Config{}, other).Drain(t.Ctx)
	if err == nil {
		t.Fatal("rows of another shape were taken for the view's own")
	}
	for _, part := range []string{"sums_v1", "sum is int, not text", "more is new", "needs a new Version"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error is %q, without %q", err, part)
		}
	}
	if parked := t.Parked("sums_v1"); len(parked) > 0 {
		t.Errorf("events were parked: %v", parked)
	}
	other.Version = 2
	t.Drain(t.Spine(t.Store, spine.Config{}, other))
	if n, err := other.Rows(t.Store).Count(t.Ctx, nil); err != nil || n != 1 {
		t.Errorf("version 2 has %d rows, %v", n, err)
	}
}
