package spinetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func feeds() []promise {
	return []promise{
		{"a slow lane does not hold up the others, and catches up", slowLane},
		{"consumers that begin at the beginning share one read of the log", sharedReads},
		{"a read holds a bounded number of bytes", boundedReads},
		{"the parts of a split event are never committed apart", splitParts},
	}
}

func slowLane(t *Trial) {
	hold := make(chan struct{})
	var others atomic.Int64
	o := On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
		if in.Stream == "slow-1" {
			<-hold
		} else {
			others.Add(1)
		}
		return Copy("copy.", "mid")(ctx, in)
	})
	o.Key = func(e eventstore.Event) ([]string, error) { // two lanes, whatever the hash of streams is
		return map[bool][]string{true: {"a"}, false: {"b"}}[e.Stream == "slow-1"], nil
	}
	o.Policy.Partitions = 2
	sp := t.another(spine.Config{}, o)
	t.Start(sp)
	const n = 3000
	var in []eventstore.Event
	for i := range n {
		in = append(in, Event("slow-1", "in", i), Event("fast-1", "in", i))
	}
	t.Put(in...)
	t.Until("the others are done", func() bool { return others.Load() >= n })
	if got := len(t.Numbers("copy.slow-1")); got != 0 {
		t.Errorf("the slow lane has done %d events while it was held", got)
	}
	close(hold)
	t.Done("organ")
	t.WantNumbers("copy.slow-1", t.Numbers("slow-1")...)
	t.WantNumbers("copy.fast-1", t.Numbers("fast-1")...)
}

func sharedReads(t *Trial) {
	const n, consumers = 10_000, 5
	in := make([]eventstore.Event, n)
	for i := range in {
		in[i] = Event(fmt.Sprint("s-", i%100), "in", i)
	}
	t.Put(in...)
	var handled atomic.Int64
	var organs []spine.Organ
	for i := range consumers {
		o := On(fmt.Sprint("organ", i), "in", func(context.Context, spine.Input) (spine.Output, error) {
			handled.Add(1)
			return spine.Output{}, nil
		})
		o.Policy.Partitions = 4
		organs = append(organs, o)
	}
	tap := t.Tap()
	t.Drain(t.Spine(t.Open(tap), spine.Config{MaxSteps: -1}, organs...))
	if handled.Load() != n*consumers {
		t.Errorf("%d events were handled, want %d", handled.Load(), n*consumers)
	}
	if pass := int64(n/512 + 1); tap.Reads.Load() > 2*pass {
		t.Errorf("%d reads for %d consumers, where one pass takes %d", tap.Reads.Load(), consumers, pass)
	}
}

func boundedReads(t *Trial) {
	text := bytes.Repeat([]byte{'x'}, 900<<10)
	for i := range 12 {
		e := Event("s-1", "in", i)
		e.Data = fmt.Appendf(nil, `{"N":%d,"Text":"%s"}`, i, text)
		t.Put(e)
	}
	tap := t.Tap()
	t.Drain(t.Spine(t.Open(tap), spine.Config{}, On("copier", "in", Copy("copy.", "mid"))))
	t.WantNumbers("copy.s-1", t.Numbers("s-1")...)
	if most := tap.Most.Load(); most > 6<<20 {
		t.Errorf("one read has yielded %d bytes", most)
	}
}

// splitParts reads a stored event as two, of which the second fails at first, or for good.
func splitParts(t *Trial) {
	cfg := eventstore.Config{Upcasters: []eventstore.Upcaster{{
		Type: "pair", From: 1, Into: []string{"left", "right"},
		Up: func(old eventstore.Raw) ([]eventstore.Raw, error) {
			return []eventstore.Raw{{Type: "left", Data: old.Data}, {Type: "right", Data: old.Data}}, nil
		},
	}}}
	tap := t.Tap()
	var apart atomic.Int64
	tap.OnCommit = func(batch []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
		for _, c := range batch {
			n := 0
			for _, a := range c.Appends {
				n += len(a.Events)
			}
			if n%2 == 1 {
				apart.Add(1)
			}
		}
		return write()
	}
	var failed atomic.Bool
	o := On("organ", "left", func(_ context.Context, in spine.Input) (spine.Output, error) {
		n := N(in.Event)
		if in.Type == "right" && (n == 1 && failed.CompareAndSwap(false, true) || n == 2) {
			return spine.Output{}, errors.New("not the right one")
		}
		return Out(Event("out-1", in.Type+" done", n)), nil
	})
	o.Listens = eventstore.OfType("left", "right")
	o.Policy = spine.Policy{Partitions: 1, Retry: spine.Retry{Attempts: 2, Base: 1}}
	t.Put(Event("a-1", "pair", 0), Event("b-1", "pair", 1), Event("c-1", "pair", 2), Event("d-1", "pair", 3))
	t.Drain(t.Spine(t.Open(tap, cfg), spine.Config{}, o))
	t.WantNumbers("out-1", 0, 0, 1, 1, 3, 3)
	t.WantParked("organ", "c-1@3!", "c-1@3!")
	if apart.Load() > 0 {
		t.Errorf("%d commits had one part without the other", apart.Load())
	}
}
