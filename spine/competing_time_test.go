package spine_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
	"github.com/necrostack/necrostack/spine/spinetest"
)

func competing(handle spine.Handle) spinetest.Organ {
	o := spinetest.On("organ", "in", handle)
	o.Policy.Delivery = spine.Competing
	return o
}

func TestCompetingFailuresBackOffFurtherAndFurther(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *spinetest.Trial) {
		var at []time.Time
		o := competing(func(ctx context.Context, in spine.Input) (spine.Output, error) {
			if at = append(at, time.Now()); len(at) < 6 {
				return spine.Output{}, errors.New("not yet")
			}
			return spinetest.Copy("copy.", "mid")(ctx, in)
		})
		o.Policy.OnError, o.Policy.Backoff = spine.ErrorNack, spine.Backoff{Base: time.Minute, Most: 5 * time.Minute}
		t.Put(spinetest.Event("s-1", "in", 1))
		stop := t.Start(t.Spine(t.Store, spine.Config{}, o))
		time.Sleep(time.Hour)
		if err := stop(); err != nil {
			t.Error(err)
		}
		t.WantNumbers("copy.s-1", 1)
		for i := 1; i < len(at); i++ {
			most := min(time.Minute<<(i-1), 5*time.Minute)
			if d := at[i].Sub(at[i-1]); d < most/2 || d > most+2*time.Second {
				t.Errorf("delivery %d came %s after the one before, want %s … %s", i+1, d, most/2, most)
			}
		}
		if len(at) != 6 {
			t.Errorf("it was delivered %d times", len(at))
		}
	})
}

// TestDeliveryIsMadeAgainWhenItsVisibilityEnds has the log lost to the process that works on the delivery.
func TestDeliveryIsMadeAgainWhenItsVisibilityEnds(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]func(*spinetest.Tap){"fails": (*spinetest.Tap).Cut, "hangs": (*spinetest.Tap).Hang} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual(t, func(t *spinetest.Trial) {
				tap := t.Tap()
				var at []time.Time
				o := competing(func(ctx context.Context, in spine.Input) (spine.Output, error) {
					if at = append(at, time.Now()); len(at) == 1 {
						cut(tap)
					}
					return spinetest.Copy("copy.", "mid")(ctx, in)
				})
				o.Policy.Visibility = 10 * time.Minute
				t.Put(spinetest.Event("s-1", "in", 1))
				stopLost := t.Start(t.Spine(t.Open(tap), spine.Config{}, o))
				synctest.Wait()
				stop := t.Start(t.Spine(t.Store, spine.Config{}, o))
				time.Sleep(time.Hour)
				tap.Free()
				for _, stop := range []func() error{stopLost, stop} {
					if err := stop(); err != nil {
						t.Error(err)
					}
				}
				t.WantNumbers("copy.s-1", 1)
				if len(at) != 2 {
					t.Fatalf("it was delivered %d times, want 2", len(at))
				}
				if d := at[1].Sub(at[0]); d < 10*time.Minute || d > 10*time.Minute+2*time.Second {
					t.Errorf("it was delivered again after %s, want the visibility", d)
				}
			})
		})
	}
}

func TestCompetingGraceEnds(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *spinetest.Trial) {
		o := competing(func(ctx context.Context, in spine.Input) (spine.Output, error) {
			<-ctx.Done()
			return spinetest.Copy("copy.", "mid")(ctx, in)
		})
		o.Policy.Deadline = time.Hour
		t.Put(spinetest.Event("s-1", "in", 1))
		ctx, cancel := context.WithTimeout(t.Ctx, time.Minute)
		defer cancel()
		start := time.Now()
		if err := t.Spine(t.Store, spine.Config{Grace: 5 * time.Second}, o).Run(ctx); err != nil {
			t.Errorf("Run returned %v", err)
		}
		if d := time.Since(start); d < 65*time.Second || d > 67*time.Second {
			t.Errorf("Run took %s, want a minute and the grace", d)
		}
		t.WantNumbers("copy.s-1")
		t.WantParked("organ") // it is nobody's fault
	})
}

// TestIdleOrPausedCompetingOrganHardlyAsks counts what an organ asks of its store that has nothing to do.
func TestIdleOrPausedCompetingOrganHardlyAsks(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *spinetest.Trial) {
		tap := t.Tap()
		o := competing(func(ctx context.Context, _ spine.Input) (spine.Output, error) {
			<-ctx.Done() // so that there is a delivery left, sooner or later due
			return spine.Output{}, nil
		})
		o.Policy.OnError, o.Policy.MaxDeliveries, o.Policy.Deadline = spine.ErrorNack, 1000, time.Second
		o.Policy.Backoff = spine.Backoff{Base: time.Second, Most: time.Second}
		stop := t.Start(t.Spine(t.Open(tap, eventstore.Config{Poll: time.Hour}), spine.Config{}, o))
		calls := func() int64 {
			before := tap.Calls.Load()
			time.Sleep(100 * time.Second)
			return tap.Calls.Load() - before
		}
		if n := calls(); n > 400 {
			t.Errorf("idle it asks %d times in 100 s", n)
		}
		t.Put(spinetest.Event("s-1", "in", 1))
		time.Sleep(10 * time.Second)
		if err := t.Store.Pause(t.Ctx, "organ"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if n := calls(); n > 2500 {
			t.Errorf("paused it asks %d times in 100 s", n)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestWhatIsTakenAheadPassesToOthersWhenHandlersGetSlow has a process take much ahead, as its handlers were fast, and then not get to it.
func TestWhatIsTakenAheadPassesToOthersWhenHandlersGetSlow(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *spinetest.Trial) {
		const fast, more, workers = 200, 100, 2
		var slow atomic.Bool
		var begun, helped atomic.Int64
		first := competing(func(ctx context.Context, in spine.Input) (spine.Output, error) {
			if slow.Load() {
				begun.Add(1)
				time.Sleep(time.Hour)
			}
			return spinetest.Copy("copy.", "mid")(ctx, in)
		})
		second := competing(func(ctx context.Context, in spine.Input) (spine.Output, error) {
			helped.Add(1)
			return spinetest.Copy("copy.", "mid")(ctx, in)
		})
		for _, o := range []*spinetest.Organ{&first, &second} {
			o.Policy.Workers, o.Policy.Deadline, o.Policy.MaxDeliveries = workers, 2*time.Hour, 1
		}
		t.Put(numbered(1, fast)...)
		stops := []func() error{t.Start(t.Spine(t.Store, spine.Config{}, first))}
		time.Sleep(10 * time.Second)
		slow.Store(true)
		t.Put(numbered(fast+1, more)...)
		synctest.Wait()
		stops = append(stops, t.Start(t.Spine(t.Store, spine.Config{}, second)))
		time.Sleep(500 * time.Millisecond)
		if begun.Load() != workers || helped.Load() > more/2 {
			t.Errorf("%d are handled slowly, want %d; at once another process has handled %d: too little was taken ahead", begun.Load(), workers, helped.Load())
		}
		time.Sleep(10 * time.Second)
		if got := helped.Load(); got != more-workers {
			t.Errorf("ten seconds later another process has handled %d, want all but the %d that are handled slowly", got, workers)
		}
		time.Sleep(2 * time.Hour)
		for _, stop := range stops {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
		if begun.Load() != workers {
			t.Errorf("%d were handled slowly, want %d", begun.Load(), workers)
		}
		t.WantParked("organ") // to be passed on is no attempt
	})
}

// numbered are so many events, from a number on, each in a stream of its own.
func numbered(from, n int) (list []eventstore.Event) {
	for i := range n {
		list = append(list, spinetest.Event(fmt.Sprintf("s-%d", from+i), "in", from+i))
	}
	return list
}

// returning counts the deliveries that are returned.
type returning struct {
	*spinetest.Tap
	returns atomic.Int64
}

func (r *returning) Commit(ctx context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	for i := range batch {
		r.returns.Add(int64(len(batch[i].Returns)))
	}
	return r.Tap.Commit(ctx, batch)
}

// TestConflictingDeliveryWaitsForAWorker has an event conflict whose worker has gone on to a slow one meanwhile.
func TestConflictingDeliveryWaitsForAWorker(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *spinetest.Trial) {
		const fast = 200 // so that both of the others are taken together
		r := &returning{Tap: t.Tap()}
		var order []int
		o := competing(func(_ context.Context, in spine.Input) (spine.Output, error) {
			n := spinetest.N(in.Event)
			out := spinetest.Out(spinetest.Event(fmt.Sprintf("copy-%d", n), "mid", n))
			if n <= fast {
				return out, nil
			}
			order = append(order, n)
			if len(order) == 1 {
				t.Put(spinetest.Event(fmt.Sprintf("copy-%d", n), "other", 0))
				out.Commit.Appends[0].Expect = eventstore.NoStream
				time.Sleep(500 * time.Millisecond)
			} else {
				time.Sleep(10 * time.Second)
			}
			return out, nil
		})
		o.Policy.Workers = 1
		t.Put(numbered(1, fast)...)
		stop := t.Start(t.Spine(t.Open(r), spine.Config{}, o))
		time.Sleep(10 * time.Second)
		t.Put(numbered(fast+1, 2)...)
		time.Sleep(time.Minute)
		if err := stop(); err != nil {
			t.Error(err)
		}
		if len(order) != 3 || order[1] == order[0] || order[2] != order[0] {
			t.Fatalf("handled were %v, want the first of two again behind the other", order)
		}
		if n := r.returns.Load(); n != 0 {
			t.Errorf("%d deliveries were passed on", n)
		}
		t.WantNumbers(fmt.Sprintf("copy-%d", order[0]), 0, order[0])
	})
}
