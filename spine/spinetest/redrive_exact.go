package spinetest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func redrivesExactly() []promise {
	return []promise{
		{"a redrive counts once, whichever of its commits fails", func(t *Trial) { redriveDisturbed(t, fails) }},
		{"a redrive counts once, whichever of its commits vanishes", func(t *Trial) { redriveDisturbed(t, vanishes) }},
		{"a redrive counts once, whichever of its commits is written unnoticed", func(t *Trial) { redriveDisturbed(t, unnoticed) }},
		{"a redrive counts once, wherever its process is cut off before a commit", func(t *Trial) { redriveCut(t, vanishes) }},
		{"a redrive counts once, wherever its process is cut off after a commit", func(t *Trial) { redriveCut(t, unnoticed) }},
		{"a redriven event that ends its process is not tried for ever", redriveKills},
		{"a key waits on when its partition changes hands during a redrive", redriveHandedOver},
		{"discarding the head of a key lets the rest run", discardsHead},
		{"an event that is discarded while it is handled has no effect", discardsBusy},
		{"an event that is discarded while it fails stays discarded", discardsFailing},
		{"an event that is discarded just before it is tried stays discarded", discardsBefore},
	}
}

// redriveState is what must be the same however a redrive was disturbed.
const redriveState = `a-1: in 1, in 3, in 5, in 7
b-1: in 2, in 4, in 6
copy.a-1: mid 1, mid 3, mid 5, mid 7
copy.b-1: mid 2, mid 4, mid 6`

// redriveRun redrives a key through a tap, while one event more of it comes, and one of another.
func redriveRun(t *Trial, tap *Tap, lease time.Duration) *moody {
	m := moodyOn(1)
	aside(t, m)
	m.cure(1)
	t.Put(Event("b-1", "in", 6), Event("a-1", "in", 7))
	t.redrive(1, eventstore.ParkedFilter{IDs: []uuid.UUID{t.Parked("organ")[0].ID}})
	o := On("organ", "in", m.handle)
	o.Policy.Partitions = 1
	sp := t.Spine(t.Open(tap), spine.Config{Lease: lease, Grace: 10 * time.Millisecond}, o)
	if tap.OnCommit == nil {
		t.Drain(sp)
		return m
	}
	ctx, cancel := context.WithCancel(t.Ctx)
	defer cancel()
	go func() {
		select {
		case <-tap.off:
			cancel()
		case <-ctx.Done():
		}
	}()
	if _, err := sp.Drain(ctx); err != nil && !tap.cut.Load() {
		t.Fatal(err)
	}
	return m
}

// redriveCommits is how many commits an undisturbed redrive makes.
func redriveCommits(t *Trial) int64 {
	t.Helper()
	tap := t.Tap()
	redriveRun(t, tap, time.Hour)
	if got := t.State(); got != redriveState {
		t.Fatalf("undisturbed, it ends with\n%s\nwant\n%s", got, redriveState)
	}
	if n := tap.Writes.Load(); n >= 5 {
		return n
	}
	t.Fatalf("it took only %d commits", tap.Writes.Load())
	return 0
}

func redriveDisturbed(t *Trial, d disturbance) {
	for i := range redriveCommits(t) {
		t.Run(fmt.Sprint("commit ", i+1), func(tt *testing.T) {
			tt.Parallel()
			one := NewTrial(tt, t.harness)
			tap := one.Tap()
			var n atomic.Int64
			tap.OnCommit = func(_ []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
				if n.Add(1) == i+1 {
					return d(write)
				}
				return write()
			}
			m := redriveRun(one, tap, time.Hour)
			if got := one.State(); got != redriveState {
				tt.Errorf("it ends with\n%s\nwant\n%s", got, redriveState)
			}
			if fmt.Sprint(m.runs) != "map[1:2 2:1 3:1 4:1 5:1 6:1 7:1]" {
				tt.Errorf("handlers ran %v", m.runs)
			}
		})
	}
}

// redriveCut cuts one process off at a commit. Another takes over.
func redriveCut(t *Trial, d disturbance) {
	for i := range redriveCommits(t) {
		t.Run(fmt.Sprint("commit ", i+1), func(tt *testing.T) {
			tt.Parallel()
			one := NewTrial(tt, t.harness)
			tap := one.Tap()
			var n atomic.Int64
			tap.OnCommit = func(_ []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
				if n.Add(1) == i+1 {
					defer tap.Cut()
					return d(write)
				}
				return write()
			}
			m := redriveRun(one, tap, 200*time.Millisecond)
			o := On("organ", "in", m.handle)
			o.Policy.Partitions = 1
			one.Drain(one.another(spine.Config{Lease: 200 * time.Millisecond}, o))
			if got := one.State(); got != redriveState {
				tt.Errorf("it ends with\n%s\nwant\n%s", got, redriveState)
			}
		})
	}
}

// redriveKills has a handler that cuts its process off whenever it meets the event again.
func redriveKills(t *Trial) {
	m := moodyOn(1)
	aside(t, m)
	var kills atomic.Int64
	t.redrive(3, eventstore.ParkedFilter{})
	for range 6 {
		tap := t.Tap()
		ctx, cancel := context.WithCancel(t.Ctx)
		o := On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
			if N(in.Event) == 1 {
				kills.Add(1)
				tap.Cut()
				cancel()
			}
			return Copy("copy.", "mid")(ctx, in)
		})
		o.Policy.Partitions = 1
		sp := t.Spine(t.Open(tap), spine.Config{Lease: 100 * time.Millisecond, Grace: time.Millisecond}, o)
		if _, err := sp.Drain(ctx); err != nil && !tap.cut.Load() {
			t.Error(err)
		}
		cancel()
	}
	if kills.Load() != 3 {
		t.Errorf("one redrive has ended %d processes", kills.Load())
	}
	t.WantParked("organ", "a-1@1!", "a-1@3", "a-1@5")
	t.WantNumbers("copy.a-1")
	if p := t.Parked("organ")[0]; p.Attempts != 4 || !strings.Contains(p.Failures[3].Error, spine.ErrPoison.Error()) {
		t.Errorf("the entry is %+v", p)
	}
}

// redriveHandedOver starts and stops Spines while keys are redriven and events come.
func redriveHandedOver(t *Trial) {
	const keys, each = 5, 12
	bad := make([]int, keys)
	for k := range keys {
		bad[k] = k
	}
	m := moodyOn(bad...)
	o := On("organ", "in", m.handle)
	o.Policy.Partitions = 4
	cfg := spine.Config{Lease: time.Hour}
	stops := []func() error{t.Start(t.another(cfg, o))}
	for i := range keys * each {
		t.Put(Event(fmt.Sprint("s-", i%keys), "in", i))
		switch i % 10 {
		case 3:
			stops = append(stops, t.Start(t.another(cfg, o)))
		case 6:
			if err := stops[0](); err != nil {
				t.Error(err)
			}
			stops = stops[1:]
		case 9:
			m.cure(i / 10)
			if _, err := t.Store.Redrive(t.Ctx, eventstore.ParkedFilter{}); err != nil {
				t.Error(err)
			}
		}
	}
	if len(stops) == 0 {
		t.Start(t.another(cfg, o))
	}
	t.Until("all is worked off", func() bool {
		if _, err := t.Store.Redrive(t.Ctx, eventstore.ParkedFilter{}); err != nil {
			t.Error(err)
		}
		return len(t.Events(eventstore.OfType("mid"))) >= keys*each
	})
	t.WantParked("organ")
	for k := range keys {
		s := fmt.Sprint("s-", k)
		t.WantNumbers("copy."+s, t.Numbers(s)...)
	}
}

func (t *Trial) discard(want int, f eventstore.ParkedFilter) {
	t.Helper()
	if n, err := t.Store.Discard(t.Ctx, f); err != nil || n != want {
		t.Errorf("Discard returned %d, %v, want %d entries", n, err, want)
	}
}

func discardsHead(t *Trial) {
	m := moodyOn(1, 5)
	o := On("organ", "in", m.handle)
	aside(t, m)
	t.Start(t.another(spine.Config{Lease: time.Hour}, o))
	t.discard(1, eventstore.ParkedFilter{IDs: []uuid.UUID{t.Parked("organ")[0].ID}})
	t.Until("the rest has run", func() bool { return fmt.Sprint(t.ParkedKeys("organ")) == "[a-1@5!]" })
	t.WantNumbers("copy.a-1", 3)
	t.Put(Event("a-1", "in", 7))
	t.Until("the next waits", func() bool { return len(t.Parked("organ")) == 2 })
	t.discard(2, eventstore.ParkedFilter{Key: "a-1"})
	t.Put(Event("a-1", "in", 9))
	t.Until("the last has run", func() bool { return len(t.Numbers("copy.a-1")) == 2 })
	t.WantNumbers("copy.a-1", 3, 9)
	if _, err := t.Store.Discard(t.Ctx, eventstore.ParkedFilter{}); err != nil {
		t.Errorf("discard of nothing: %v", err)
	}
}

// whileHandled redrives a key whose head is held in its handler, does something then, and lets it go on.
func whileHandled(t *Trial, m *moody, do func()) {
	aside(t, m)
	busy, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	o := On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
		if N(in.Event) == 1 {
			once.Do(func() { close(busy); <-goOn })
		}
		return m.handle(ctx, in)
	})
	sp := t.another(spine.Config{}, o)
	t.redrive(3, eventstore.ParkedFilter{})
	t.Start(sp)
	<-busy
	do()
	close(goOn)
}

func discardsBusy(t *Trial) {
	m := moodyOn(1)
	whileHandled(t, m, func() {
		m.cure(1)
		t.discard(1, eventstore.ParkedFilter{IDs: []uuid.UUID{t.Parked("organ")[0].ID}})
	})
	t.Until("the rest has run", func() bool { return len(t.Numbers("copy.a-1")) > 1 })
	t.WantNumbers("copy.a-1", 3, 5)
	t.WantParked("organ")
}

func discardsFailing(t *Trial) {
	m := moodyOn(1)
	whileHandled(t, m, func() { t.discard(1, eventstore.ParkedFilter{IDs: []uuid.UUID{t.Parked("organ")[0].ID}}) })
	t.Until("the rest has run", func() bool { return len(t.Numbers("copy.a-1")) > 1 })
	t.WantNumbers("copy.a-1", 3, 5)
	t.WantParked("organ")
	if m.ran(1) != 2 {
		t.Errorf("the handler ran %d times", m.ran(1))
	}
}

// discardsBefore discards when the lane is about to write that it tries: what it knows of the entry is old.
func discardsBefore(t *Trial) {
	m := moodyOn(1)
	aside(t, m)
	m.cure(1)
	tap := t.Tap()
	var once sync.Once
	tap.OnCommit = func(batch []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
		for i := range batch {
			if len(batch[i].Parks) > 0 {
				once.Do(func() {
					t.discard(2, eventstore.ParkedFilter{IDs: []uuid.UUID{t.Parked("organ")[0].ID, t.Parked("organ")[1].ID}})
				})
			}
		}
		return write()
	}
	o := On("organ", "in", m.handle)
	t.redrive(3, eventstore.ParkedFilter{})
	t.Drain(t.Spine(t.Open(tap), spine.Config{}, o))
	t.WantParked("organ")
	t.WantNumbers("copy.a-1", 5)
	if m.ran(1) != 1 || m.ran(3) != 0 {
		t.Errorf("handlers ran %v", m.runs)
	}
}
