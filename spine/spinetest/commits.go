package spinetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func commits() []promise {
	return []promise{
		{"output and checkpoint are one commit", oneCommit},
		{"a commit that fails is sent again without its handler", func(t *Trial) { disturbAll(t, fails) }},
		{"an unknown outcome is settled by sending the same commit", func(t *Trial) { disturbAll(t, vanishes) }},
		{"a commit that was written unnoticed counts once", func(t *Trial) { disturbAll(t, unnoticed) }},
		{"CommitFail ends Run with the error, and the next Run loses and doubles nothing", commitFail},
		{"a failed move of idle lanes is made up for", idleFails},
	}
}

// disturbance is what becomes of a batch in place of being written and answered.
type disturbance func(write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error)

var errDisk = errors.New("the disk is on fire")

func fails(func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) { return nil, errDisk }

func vanishes(func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
	return nil, eventstore.ErrOutcomeUnknown
}

func unnoticed(write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
	_, err := write()
	return nil, errors.Join(eventstore.ErrOutcomeUnknown, err)
}

// oneCommit looks at every commit: what an event led to, and the checkpoint that passes the event, come
// together.
func oneCommit(t *Trial) {
	tap := t.Tap()
	var mu sync.Mutex
	at := map[int]eventstore.Position{}
	apart := 0
	tap.OnCommit = func(batch []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range batch {
			for _, a := range c.Appends {
				p := at[N(&a.Events[0])]
				if len(c.Checkpoints) == 0 || c.Checkpoints[0].From >= p || c.Checkpoints[0].To < p {
					apart++
				}
			}
		}
		return write()
	}
	for i := range 10 {
		at[i] = t.Put(Event(fmt.Sprint("s-", i%3), "in", i)).Position
	}
	t.Drain(t.Spine(t.Open(tap), spine.Config{}, On("copier", "in", Copy("copy.", "mid"))))
	if apart > 0 || tap.Writes.Load() == 0 {
		t.Errorf("%d outputs were committed without their checkpoint, in %d batches", apart, tap.Writes.Load())
	}
}

// scenario is a chain of two organs, some events, and one that the second organ cannot handle.
type scenario struct {
	mu    sync.Mutex
	calls map[uuid.UUID]int // of handlers, by event and organ
}

func (s *scenario) counted(organ string, h spine.Handle) spine.Handle {
	return func(ctx context.Context, in spine.Input) (spine.Output, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.calls == nil {
			s.calls = map[uuid.UUID]int{}
		}
		s.calls[uuid.NewSHA1(in.ID, []byte(organ))]++
		return h(ctx, in)
	}
}

// run drains the scenario through a tap, on a log of its own, and returns how it ended.
func (s *scenario) run(t *Trial, tap *Tap) string {
	for i := range 6 {
		t.Put(Event(fmt.Sprint("s-", i%3), "in", i))
	}
	second := On("second", "mid", s.counted("second", func(ctx context.Context, in spine.Input) (spine.Output, error) {
		if N(in.Event) == 1 {
			return spine.Output{}, errors.New("poison")
		}
		return Copy("end.", "end")(ctx, in)
	}))
	first := On("first", "in", s.counted("first", Copy("mid.", "mid")))
	first.Policy.Partitions, second.Policy.Partitions = 3, 2
	t.Drain(t.Spine(t.Open(tap), spine.Config{}, first, second))
	for id, n := range s.calls {
		if n != 1 {
			t.Errorf("a handler ran %d times for event %s", n, id)
		}
	}
	return t.State()
}

// DisturbPairs runs a scenario with every two of its commits disturbed, and compares how it ends. Each run is
// given to virtually, which is to run it on a virtual clock: in real time Run disturbs one commit at a time.
func DisturbPairs(t *testing.T, h Harness, virtually func(t *testing.T, f func(*testing.T))) {
	t.Helper()
	try := func(at map[int64]disturbance) (end string, writes int64) {
		virtually(t, func(t *testing.T) {
			one := NewTrial(t, h)
			one.Ctx = t.Context()
			tap := one.Tap()
			end = disturbed(one, tap, at)
			writes = tap.Writes.Load()
		})
		return end, writes
	}
	want, commits := try(nil)
	ways := []disturbance{fails, vanishes, unnoticed}
	for i := range commits {
		for j := i + 1; j <= commits; j++ {
			if got, _ := try(map[int64]disturbance{i + 1: ways[(i+j)%3], j + 1: ways[i%3]}); got != want {
				t.Errorf("with commits %d and %d disturbed it ends with\n%s\nwant\n%s", i+1, j+1, got, want)
			}
		}
	}
}

// disturbed runs the scenario with some of its commits disturbed.
func disturbed(t *Trial, tap *Tap, at map[int64]disturbance) string {
	var n atomic.Int64
	tap.OnCommit = func(_ []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
		if d := at[n.Add(1)]; d != nil {
			return d(write)
		}
		return write()
	}
	return new(scenario).run(t, tap)
}

// disturbAll runs the scenario once for each of its commits, and disturbs that.
func disturbAll(t *Trial, d disturbance) {
	tap := t.Tap()
	want := new(scenario).run(t, tap)
	for i := range tap.Writes.Load() + 1 {
		t.Run(fmt.Sprint("commit ", i+1), func(tt *testing.T) {
			tt.Parallel()
			one := NewTrial(tt, t.harness)
			if got := disturbed(one, one.Tap(), map[int64]disturbance{i + 1: d}); got != want {
				tt.Errorf("it ends with\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func commitFail(t *Trial) {
	for name, d := range map[string]disturbance{"fails": fails, "vanishes": vanishes, "unnoticed": unnoticed} {
		t.Run(name, func(tt *testing.T) {
			tt.Parallel()
			one := NewTrial(tt, t.harness)
			tap := one.Tap()
			var once atomic.Bool
			tap.OnCommit = func(batch []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
				for _, c := range batch {
					if len(c.Appends) > 0 && once.CompareAndSwap(false, true) {
						return d(write)
					}
				}
				return write()
			}
			o := On("copier", "in", Copy("copy.", "mid"))
			o.Policy.OnCommitError, o.Policy.Partitions = spine.CommitFail, 1
			one.Put(Event("s-1", "in", 1), Event("s-1", "in", 2))
			sp := one.Spine(one.Open(tap), spine.Config{}, o)
			if err := sp.Run(one.Ctx); !errors.Is(err, errDisk) && !errors.Is(err, eventstore.ErrOutcomeUnknown) {
				tt.Errorf("Run returned %v, want the commit's error", err)
			}
			one.Drain(sp)
			one.WantNumbers("copy.s-1", 1, 2)
		})
	}
}

// idleFails fails the only commit that moves idle lanes, in a log where nothing happens afterwards.
func idleFails(t *Trial) {
	for name, d := range map[string]disturbance{"fails": fails, "vanishes": vanishes, "unnoticed": unnoticed} {
		t.Run(name, func(tt *testing.T) {
			tt.Parallel()
			one := NewTrial(tt, t.harness)
			tap := one.Tap()
			var once, failed atomic.Bool
			tap.OnCommit = func(_ []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
				if !once.CompareAndSwap(false, true) {
					return write()
				}
				outcomes, err := d(write)
				if _, err := one.Store.Commit(one.Ctx, Out(Event("s-1", "other", 2)).Commit); err != nil { // the last event
					tt.Error(err)
				}
				failed.Store(true)
				return outcomes, err
			}
			var lost atomic.Int64
			watch := Watch(func(o spine.Observation) {
				if o.Step == spine.LeaseLost {
					lost.Add(1)
				}
			})
			one.Put(Event("s-1", "other", 1))
			one.Start(one.Spine(one.Open(tap), spine.Config{Observers: []spine.Observer{watch}}, On("bored", "in", Ignore)))
			one.Until("the move has failed", failed.Load)
			one.Done("bored")
			if lost.Load() > 0 {
				tt.Errorf("%d lanes were lost by it", lost.Load())
			}
		})
	}
}
