package spine_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
	"github.com/necrostack/necrostack/spine/spinetest"
)

// prefetching puts events with the numbers below n into one stream, which an organ copies that reads ahead.
func prefetching(t *spinetest.Trial, n int, o spinetest.Organ, prefetch func(ctx context.Context, batch []spine.Input)) (want []int) {
	o.Prefetch = prefetch
	var in []eventstore.Event
	for i := range n {
		in, want = append(in, spinetest.Event("s-1", "in", i)), append(want, i)
	}
	t.Put(in...)
	t.Drain(t.Spine(t.Store, spine.Config{}, o))
	return want
}

func TestEventsArePrefetchedBeforeTheyAreHandled(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *spinetest.Trial) {
		var ahead []int
		at := 0
		o := spinetest.On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
			if n := spinetest.N(in.Event); n != at || n >= len(ahead) || ahead[n] != n {
				t.Errorf("event %d is handled at place %d, after %d were prefetched", n, at, len(ahead))
			}
			at++
			return spinetest.Copy("copy.", "mid")(ctx, in)
		})
		want := prefetching(t, 100, o, func(_ context.Context, batch []spine.Input) {
			if len(batch) < 2 {
				t.Errorf("%d events are prefetched: nothing is won", len(batch))
			}
			for i := range batch {
				ahead = append(ahead, spinetest.N(batch[i].Event))
			}
		})
		t.WantNumbers("copy.s-1", want...)
		if !slices.Equal(ahead, want) {
			t.Errorf("prefetched were %v, want each of %d once", ahead, len(want))
		}
	})
}

func TestNothingIsPrefetchedForWhatHasFailed(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *spinetest.Trial) {
		failed := false
		o := spinetest.On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
			if spinetest.N(in.Event) == 4 && !failed {
				failed = true
				return spine.Output{}, errors.New("not yet")
			}
			return spinetest.Copy("copy.", "mid")(ctx, in)
		})
		o.Policy.Retry.Attempts = 2
		want := prefetching(t, 10, o, func(_ context.Context, batch []spine.Input) {
			if failed && spinetest.N(batch[0].Event) <= 4 {
				t.Errorf("it is prefetched again from event %d on", spinetest.N(batch[0].Event))
			}
		})
		t.WantNumbers("copy.s-1", want...)
	})
}

func TestAPrefetchThatPanicsOrHangsHarmsNobody(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(hold <-chan struct{}){
		"panics": func(<-chan struct{}) { panic("in prefetch") },
		"hangs":  func(hold <-chan struct{}) { <-hold },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual(t, func(t *spinetest.Trial) {
				hold := make(chan struct{})
				defer close(hold)
				calls := 0
				o := spinetest.On("organ", "in", spinetest.Copy("copy.", "mid"))
				want := prefetching(t, 3, o, func(context.Context, []spine.Input) {
					if calls++; calls == 1 {
						fault(hold)
					}
				})
				t.WantNumbers("copy.s-1", want...)
				t.WantParked("organ")
				if calls == 0 {
					t.Error("nothing was prefetched")
				}
			})
		})
	}
}
