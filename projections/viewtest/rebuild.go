package viewtest

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/spine"
	"github.com/necrostack/necrostack/spine/spinetest"
)

// rebuilt rebuilds a view: again and again interrupted, and each time going on.
func rebuilt(t *spinetest.Trial) {
	random := rand.New(rand.NewPCG(7, 7))
	view := balances()
	view.Batch = 20
	for range 4 {
		script(t, random, 150)
	}
	t.Drain(t.Spine(t.Store, spine.Config{MaxSteps: -1}, view))
	var done eventstore.Position
	interrupted := 0
	for {
		ctx, stop := context.WithCancel(t.Ctx)
		at := done + eventstore.Position(1+random.IntN(150))
		all, err := projections.Rebuild(ctx, t.Open(t.Tap()), projections.RebuildConfig{
			Every: time.Millisecond, Rate: 1500,
			Report: func(all []projections.Progress) {
				if p := all[0]; p.Done >= at && !p.CaughtUp {
					stop()
				}
			},
		}, view)
		stop()
		if err == nil {
			if p := all[0]; !p.CaughtUp || p.Total != t.Head() || p.Projection != "balances_v1" {
				t.Errorf("at the end, progress is %+v", p)
			}
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if all[0].Done < done {
			t.Fatalf("it stood at %d, and stands at %d after it went on", done, all[0].Done)
		}
		interrupted++
		done = all[0].Done
	}
	if interrupted == 0 {
		t.Error("it was never interrupted")
	}
	want(t, view.Rows(t.Store))
}

// resets resets a view's consumer.
func resets(t *spinetest.Trial) {
	view := balances()
	script(t, rand.New(rand.NewPCG(8, 8)), 100)
	sp := t.Spine(t.Store, spine.Config{MaxSteps: -1}, view)
	t.Drain(sp)
	if err := t.Store.Reset(t.Ctx, "balances_v1", 3); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("rows cannot be put back to a position: %v", err)
	}
	want(t, view.Rows(t.Store))
	if err := t.Store.Reset(t.Ctx, "balances_v1", 0); err != nil {
		t.Fatal(err)
	}
	keeper, _ := t.Store.Backend().(eventstore.RowKeeper)
	if err := keeper.ServeRows(t.Ctx, eventstore.RowSet{Name: "balances", Version: 1}); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("a version that was just emptied is complete: %v", err)
	}
	if n, err := view.Rows(t.Store).Count(t.Ctx, nil); err != nil || n != 0 {
		t.Errorf("after a reset there are %d rows, %v", n, err)
	}
	t.Drain(sp)
	want(t, view.Rows(t.Store))
}

// throttled has a bound on how fast a view is folded.
func throttled(t *spinetest.Trial) {
	const events, rate = 300, 200
	for range events / 100 {
		payloads := make([]eventstore.Payload, 100)
		for i := range payloads {
			payloads[i] = counted{int64(i)}
		}
		if _, err := t.Store.Append(t.Ctx, "count-1", eventstore.Any, payloads...); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	all, err := projections.Rebuild(t.Ctx, t.Store, projections.RebuildConfig{Rate: rate, Report: func([]projections.Progress) {}}, shown(1))
	if took, least := time.Since(began), time.Second*(events-rate/8)/rate; err != nil || took < least {
		t.Errorf("%d events took %s, %v; at %d a second they take %s", events, took, err, rate, least)
	}
	if len(all) != 1 || all[0].Done != events || !all[0].CaughtUp {
		t.Errorf("progress is %+v", all)
	}
}

// historic tells handlers what was in the log before their organ.
func historic(t *spinetest.Trial) {
	var live, old int
	organ := handling{"reader", func(ctx context.Context, batch []spine.Input) {
		for i := range batch {
			if batch[i].Position <= eventstore.History(ctx) {
				old++
			} else {
				live++
			}
		}
	}}
	check := func(wantOld, wantLive int) {
		t.Helper()
		if old != wantOld || live != wantLive {
			t.Errorf("%d events are history and %d are not, want %d and %d", old, live, wantOld, wantLive)
		}
		old, live = 0, 0
	}
	number := 0
	more := func(n int) {
		for range n {
			number++
			t.Put(spinetest.Event("count-1", "counted", number))
		}
	}
	more(3)
	sp := t.Spine(t.Store, spine.Config{}, organ)
	t.Drain(sp)
	check(3, 0)
	more(2)
	t.Drain(sp)
	check(0, 2)
	if err := t.Store.Reset(t.Ctx, "reader", 1); err != nil {
		t.Fatal(err)
	}
	more(1)
	t.Drain(sp)
	check(4, 1)
}

// handling is an organ that looks at events.
type handling struct {
	name string
	look func(ctx context.Context, batch []spine.Input)
}

// Attach implements spine.Organ.
func (h handling) Attach(*eventstore.Store) (spine.Wiring, error) {
	return spine.Wiring{
		Name: h.name, Listens: eventstore.OfType("counted"), Policy: spine.Policy{Partitions: 1},
		HandleBatch: func(ctx context.Context, batch []spine.Input) (spine.Output, int, error) {
			h.look(ctx, batch)
			return spine.Output{}, len(batch), nil
		},
	}, nil
}
