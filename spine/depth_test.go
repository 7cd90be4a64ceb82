package spine_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
	"github.com/necrostack/necrostack/spine/spinetest"
)

// TestLoopThroughAScheduleIsARunawayOnlyIfItWaitsLessThanASecond has an organ that wakes itself.
func TestLoopThroughAScheduleIsARunawayOnlyIfItWaitsLessThanASecond(t *testing.T) {
	t.Parallel()
	for wait, want := range map[time.Duration]int{time.Second: 60, 999 * time.Millisecond: 12, time.Minute: 60} {
		virtual(t, func(t *spinetest.Trial) {
			o := spinetest.On("organ", "tick", func(_ context.Context, in spine.Input) (out spine.Output, err error) {
				e := spinetest.Event("clock-1", "tick", spinetest.N(in.Event)+1)
				out.Commit.Schedules = []eventstore.Schedule{{
					ID: uuid.New(), Due: time.Now().Add(wait), Append: spinetest.Out(e).Commit.Appends[0],
				}}
				return out, nil
			})
			sp := t.Spine(t.Store, spine.Config{MaxDepth: 10}, o)
			t.Put(spinetest.Event("clock-1", "tick", 1))
			for range 59 {
				next := t.Drain(sp)
				if next.IsZero() {
					break
				}
				time.Sleep(time.Until(next))
			}
			t.Drain(sp)
			if got := len(t.Events(eventstore.OfType("tick"))); got != want {
				t.Errorf("with %s between them there were %d ticks, want %d", wait, got, want)
			}
			if got := len(t.Parked("organ")); (got > 0) != (want < 60) {
				t.Errorf("with %s between them %d ticks are parked", wait, got)
			}
		})
	}
}
