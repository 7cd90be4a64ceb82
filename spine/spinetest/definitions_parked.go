package spinetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func parkedMove(t *Trial) {
	var broken atomic.Bool
	broken.Store(true)
	o := func(parts int) Organ {
		v := version{parts: parts}
		v.handle = func(h spine.Handle) spine.Handle {
			return func(ctx context.Context, in spine.Input) (spine.Output, error) {
				if broken.Load() && N(in.Event) < 10 {
					return spine.Output{}, errors.New("broken")
				}
				return h(ctx, in)
			}
		}
		return v.organ()
	}
	var want []string
	for i := range 10 {
		t.Put(Event(fmt.Sprint("s-", i), "in", i))
		want = append(want, fmt.Sprintf("s-%d@%d!", i, i+1))
	}
	t.Drain(t.another(fast, o(4)))
	t.WantParked("organ", want...)
	for i := range 10 {
		t.Put(Event(fmt.Sprint("s-", i), "in", 10+i))
		want = append(want, fmt.Sprintf("s-%d@%d", i, i+11))
	}
	t.Put(Event("t-1", "in", 99))
	t.Drain(t.another(fast, o(7)))
	t.WantParked("organ", want...)
	t.WantNumbers("copy.t-1", 99)
	broken.Store(false)
	if n, err := t.Store.Redrive(t.Ctx, eventstore.ParkedFilter{Consumer: "organ"}); n != 20 || err != nil {
		t.Errorf("redrove %d, %v", n, err)
	}
	t.Drain(t.another(fast, o(3)))
	t.WantParked("organ")
	for i := range 10 {
		t.WantNumbers(fmt.Sprint("copy.s-", i), i, 10+i)
	}
}

func parkedCompete(t *Trial) {
	var broken atomic.Bool
	broken.Store(true)
	handle := func(ctx context.Context, in spine.Input) (spine.Output, error) {
		if broken.Load() {
			return spine.Output{}, errors.New("broken")
		}
		return Copy("copy.", "mid")(ctx, in)
	}
	o := On("organ", "in", handle)
	o.Key, o.Policy.Partitions = eventstore.ByTag("k"), 5
	t.Put(tagged(Event("s-1", "in", 1), "k:a", "k:b", "k:c"), tagged(Event("s-1", "in", 2), "k:b"))
	t.Drain(t.another(fast, o))
	if n := len(t.Parked("organ")); n != 4 {
		t.Errorf("%d entries are parked, want 4", n)
	}
	broken.Store(false)
	c := competing("organ", handle)
	c.Key = o.Key
	t.Drain(t.another(fast, c))
	if n := len(t.Parked("organ")); n != 4 {
		t.Errorf("%d entries are parked after the change, want 4", n)
	}
	if _, err := t.Store.Redrive(t.Ctx, eventstore.ParkedFilter{Consumer: "organ"}); err != nil {
		t.Error(err)
	}
	t.Drain(t.another(fast, c))
	t.WantParked("organ")
	if got := t.copied(); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("came out %v, want each once", got)
	}
}

func windowLeft(t *Trial) {
	t.Drain(t.another(fast, competing("organ", Copy("copy.", "mid"))))
	t.deliver("organ", t.Put(Event("s-1", "in", 1)))
	t.deliver("organ", t.Put(Event("s-2", "in", 2)))
	t.Put(Event("s-3", "in", 3))
	o := On("organ", "in", Copy("copy.", "mid"))
	t.Drain(t.another(fast, o))
	if got := t.copied(); !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("came out %v, want all", got)
	}
	if n := len(t.Roster("organ").Partitions); n != 16 {
		t.Errorf("it has %d partitions, want the default", n)
	}
}
