package spinetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func outputs() []promise {
	return []promise{
		{"an output that breaks a rule parks its event alone", badOutputs},
		{"outputs too big for one commit are committed in several", bigOutputs},
		{"a commit's Settled is called once, with what became of it", settles},
	}
}

func badOutputs(t *Trial) {
	flood := make([]eventstore.Event, 10_001)
	for i := range flood {
		flood[i] = Event("flood-1", "mid", i)
	}
	big := Event("big-1", "mid", 1)
	big.Data = append(append(json.RawMessage{'"'}, bytes.Repeat([]byte{'x'}, 1<<20)...), '"')
	nameless, without, nobody := Event("x-1", "", 1), Event("x-1", "mid", 1), Event("x-1", "mid", 1)
	without.Data, nobody.ID = nil, uuid.Nil
	twice := Event("x-1", "mid", 1)
	t.Put(Event("y-1", "other", 0))
	reused := t.Events(eventstore.InStream("y-1"))[0]
	bad := []spine.Output{
		Out(nameless), Out(without), Out(nobody), Out(big), Out(flood...), Out(twice, twice),
		Out(reused, Event("x-1", "mid", 1)),
		{Commit: eventstore.Commit{Appends: []eventstore.Append{{Stream: "x-1"}}}},
		{Commit: eventstore.Commit{Checkpoints: []eventstore.Checkpoint{{Consumer: "organ", To: 99}}}},
		{Commit: eventstore.Commit{Parks: []eventstore.Parked{{ID: uuid.New(), Consumer: "organ", Key: "k", Position: 1}}}},
		{Commit: eventstore.Commit{Unless: []eventstore.Condition{{}}, Appends: Out(Event("x-1", "mid", 1)).Commit.Appends}},
	}
	var runs atomic.Int64
	o := On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
		runs.Add(1)
		if n := N(in.Event); n < len(bad) {
			return bad[n], nil
		}
		return Copy("copy.", "mid")(ctx, in)
	})
	o.Policy.Partitions = 1
	var want []string
	for i := range bad {
		p := t.Put(Event(fmt.Sprint("s-", i), "in", i), Event("good-1", "in", 100+i)).Position
		want = append(want, fmt.Sprintf("s-%d@%d!", i, p-1))
	}
	t.Drain(t.Spine(t.Store, spine.Config{}, o))
	t.WantParked("organ", want...)
	if got := t.Numbers("copy.good-1"); len(got) != len(bad) || got[0] != 100 {
		t.Errorf("the good events led to %v", got)
	}
	if n := t.Events(eventstore.OfType("mid")); len(n) != len(bad) {
		t.Errorf("%d events were put out, want %d", len(n), len(bad))
	}
	if most := int64(6 * len(bad)); runs.Load() > most {
		t.Errorf("handlers ran %d times for %d events, want at most %d", runs.Load(), 2*len(bad), most)
	}
}

// bigOutputs has handlers whose outputs fit alone, but not together: by their bytes, or by their schedules.
func bigOutputs(t *Trial) {
	const n = 20
	t.Run("bytes", func(tt *testing.T) {
		tt.Parallel()
		text := bytes.Repeat([]byte{'x'}, 900<<10)
		handlesOnce(NewTrial(tt, t.harness), n, func(i int) spine.Output {
			e := Event("big-1", "mid", i)
			e.Data = fmt.Appendf(nil, `{"N":%d,"Text":"%s"}`, i, text)
			return Out(e)
		})
	})
	t.Run("schedules", func(tt *testing.T) {
		tt.Parallel()
		handlesOnce(NewTrial(tt, t.harness), n, func(i int) spine.Output {
			out := Out(Event("big-1", "mid", i))
			for range 600 {
				out.Commit.Schedules = append(out.Commit.Schedules, eventstore.Schedule{
					ID: uuid.New(), Due: time.Now().Add(time.Hour), Append: Out(Event("later-1", "late", 0)).Commit.Appends[0],
				})
			}
			return out
		})
	})
}

// handlesOnce expects outputs of one size to be committed in order, and each to be made once.
func handlesOnce(t *Trial, n int, output func(i int) spine.Output) {
	var runs atomic.Int64
	o := On("organ", "in", func(_ context.Context, in spine.Input) (spine.Output, error) {
		runs.Add(1)
		return output(N(in.Event)), nil
	})
	o.Policy.Partitions = 1
	var in []eventstore.Event
	for i := range n {
		in = append(in, Event("s-1", "in", i))
	}
	t.Put(in...)
	t.Drain(t.Spine(t.Open(t.Tap(), eventstore.Config{MaxCommit: 8 << 20}), spine.Config{}, o))
	t.WantNumbers("big-1", t.Numbers("s-1")...)
	if runs.Load() != int64(n) {
		t.Errorf("handlers ran %d times for %d events", runs.Load(), n)
	}
}

func settles(t *Trial) {
	var settled atomic.Int64
	o := On("organ", "in", func(_ context.Context, in spine.Input) (spine.Output, error) {
		n := N(in.Event)
		out := Out(Event("out-1", "mid", n))
		out.Settled = func(r eventstore.Result, err error) {
			settled.Add(1)
			if err != nil || r.Position == 0 {
				t.Errorf("output %d was settled with %+v and %v", n, r, err)
			}
		}
		return out, nil
	})
	for i := range 20 {
		t.Put(Event(fmt.Sprint("s-", i), "in", i))
	}
	t.Drain(t.Spine(t.Store, spine.Config{}, o))
	if settled.Load() != 20 {
		t.Errorf("Settled was called %d times for 20 outputs", settled.Load())
	}
}
