package spinetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

// resets moves an organ back, to a part of the log, while two processes run it and somebody writes.
func resets(t *Trial, part float64) {
	copier := On("copier", "in", Copy("copy.", "mid"))
	a, b := t.another(spine.Config{}, copier), t.another(spine.Config{}, copier)
	t.Start(a)
	t.Start(b)
	t.Until("they share", func() bool { return lanes(a, "copier") == 8 && lanes(b, "copier") == 8 })
	const n = 200
	put := func(from, to int) {
		for i := from; i < to; i++ {
			t.Put(Event(fmt.Sprint("s-", i%9), "in", i))
		}
	}
	put(0, n)
	t.Done("copier")
	to := eventstore.Position(float64(t.Head()) * part)
	var writer sync.WaitGroup
	writer.Go(func() { put(n, 2*n) })
	t.must(t.Store.Reset(t.Ctx, "copier", to))
	again := map[uuid.UUID]int{}
	before := t.Head() // what came out until then may have come before or after
	writer.Wait()
	t.Done("copier")
	for _, e := range t.Events(eventstore.OfType("mid")) {
		again[e.Metadata.Causation]++
	}
	for _, e := range t.Events(eventstore.OfType("in")) {
		least, most := 1, 1
		switch {
		case e.Position > to && N(&e) < n:
			least, most = 2, 2
		case e.Position > to && e.Position <= before:
			most = 2
		}
		if k := again[e.ID]; k < least || k > most {
			t.Errorf("event %d at position %d was handled %d times, want %d … %d", N(&e), e.Position, k, least, most)
		}
	}
}

func resetsIdle(t *Trial) {
	sp := t.another(spine.Config{Lease: time.Hour}, On("copier", "in", Copy("copy.", "mid")))
	t.Put(Event("s-1", "in", 1), Event("s-2", "in", 2))
	t.Start(sp)
	t.Done("copier")
	for i := range 3 {
		t.must(t.Store.Reset(t.Ctx, "copier", 1))
		t.Until("it is handled again", func() bool { return len(t.Numbers("copy.s-2")) == i+2 })
		t.WantNumbers("copy.s-1", 1)
	}
}

func resetFences(t *Trial) {
	handle, busy, goOn, runs := holding(Copy("copy.", "mid"))
	t.Put(Event("s-1", "in", 1))
	sp := t.another(spine.Config{}, On("organ", "in", handle))
	t.Start(sp)
	<-busy
	t.must(t.Store.Reset(t.Ctx, "organ", 0))
	close(goOn)
	t.Done("organ")
	t.WantNumbers("copy.s-1", 1)
	if runs.Load() != 2 {
		t.Errorf("the handler ran %d times, want once before and once after the reset", runs.Load())
	}
}

func resetsCompeting(t *Trial) {
	o := competing("organ", Copy("copy.", "mid"))
	for i := range 20 {
		t.Put(Event("s-1", "in", i))
	}
	t.Start(t.another(spine.Config{}, o))
	t.Start(t.another(spine.Config{}, o))
	t.Until("all are done", func() bool { return len(t.copied()) == 20 })
	t.must(t.Store.Reset(t.Ctx, "organ", 10))
	t.Until("the later ones are done again", func() bool { return len(t.copied()) >= 30 })
	t.drainAll(t.another(spine.Config{}, o))
	want := append(upTo(20), upTo(20)[10:]...)
	slices.Sort(want)
	if got := t.copied(); !slices.Equal(got, want) {
		t.Errorf("came out %v, want %v", got, want)
	}
}

func resetParked(t *Trial) {
	o := On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
		if N(in.Event)%2 == 1 {
			return spine.Output{}, errors.New("odd")
		}
		return Copy("copy.", "mid")(ctx, in)
	})
	t.Put(Event("a-1", "in", 1), Event("a-1", "in", 2), Event("b-1", "in", 3), Event("a-1", "in", 4), Event("c-1", "in", 6))
	t.Drain(t.another(spine.Config{}, o))
	t.WantParked("organ", "a-1@1!", "a-1@2", "b-1@3!", "a-1@4")
	t.must(t.Store.Reset(t.Ctx, "organ", 2))
	t.WantParked("organ", "a-1@1!", "a-1@2")
	t.Drain(t.another(spine.Config{}, o))
	t.WantParked("organ", "a-1@1!", "a-1@2", "b-1@3!", "a-1@4")
	t.WantNumbers("copy.c-1", 6, 6)
	t.must(t.Store.Reset(t.Ctx, "organ", 0))
	t.WantParked("organ")
}

// controlsChange stops a change of the definition in the middle, and resets it there.
func controlsChange(t *Trial) {
	for _, to := range []eventstore.Position{0, 10, 40} {
		one := NewTrial(t.T, t.harness)
		one.unevenly()
		handle, busy, goOn, _ := holding(Copy("copy.", "mid"))
		o := On("organ", "in", handle)
		o.Policy.Partitions = 3
		f := one.fleet()
		one.Put(Event("s-x", "in", 1))
		f.start(0, o)
		one.Until("it changes", func() bool { return one.consumers()[0].Next != "" || one.consumers()[0].Partitions == 3 })
		one.must(one.Store.Pause(one.Ctx, "organ"))
		one.must(one.Store.Reset(one.Ctx, "organ", to))
		made := len(one.copied())
		one.must(one.Store.Resume(one.Ctx, "organ"))
		<-busy
		close(goOn)
		one.Done("organ")
		if c := one.consumers()[0]; c.Next != "" || c.Partitions != 3 {
			t.Errorf("after it the organ is defined as %+v", c)
		}
		if again := len(one.copied()) - made; again != 41-int(to) {
			t.Errorf("reset to %d it has handled %d events", to, again)
		}
		f.end(false)
	}
}
