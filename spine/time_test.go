package spine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
	"github.com/necrostack/necrostack/spine/spinetest"
)

// virtual runs a test on a virtual clock. Nothing in it may outlive it.
func virtual(t *testing.T, f func(t *spinetest.Trial)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		trial := spinetest.NewTrial(t, inMemory)
		trial.Ctx = t.Context()
		f(trial)
	})
}

func TestRetriesBackOffInPlace(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *spinetest.Trial) {
		var at []time.Time
		o := spinetest.On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
			if at = append(at, time.Now()); len(at) < 5 {
				return spine.Output{}, errors.New("not yet")
			}
			return spinetest.Copy("copy.", "mid")(ctx, in)
		})
		o.Policy.Retry = spine.Retry{Attempts: 5, Base: 100 * time.Millisecond}
		t.Put(spinetest.Event("s-1", "in", 1))
		t.Drain(t.Spine(t.Store, spine.Config{}, o))
		t.WantNumbers("copy.s-1", 1)
		t.WantParked("organ")
		for i := 1; i < len(at); i++ {
			most := 100 * time.Millisecond << (i - 1)
			if d := at[i].Sub(at[i-1]); d < most/2 || d > most {
				t.Errorf("attempt %d came %s after the one before, want %s … %s", i+1, d, most/2, most)
			}
		}
	})
}

// TestHandlerThatIgnoresItsDeadlineIsGivenUp has a handler that hangs in the middle of a batch.
func TestHandlerThatIgnoresItsDeadlineIsGivenUp(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *spinetest.Trial) {
		hold := make(chan struct{})
		var runs [6]atomic.Int64 // by event
		o := spinetest.On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
			if n := spinetest.N(in.Event); runs[n].Add(1) == 1 && n == 3 {
				<-hold
			}
			return spinetest.Copy("copy.", "mid")(ctx, in)
		})
		o.Policy = spine.Policy{Partitions: 1, Deadline: time.Second, Retry: spine.Retry{Attempts: 4}}
		for i := 1; i <= 5; i++ {
			t.Put(spinetest.Event(fmt.Sprint("s-", i), "in", i))
		}
		sp := t.Spine(t.Store, spine.Config{}, o)
		start := time.Now()
		t.Drain(sp)
		if d := time.Since(start); d > 3*time.Second {
			t.Errorf("the lane was held up for %s", d)
		}
		t.WantParked("organ", "s-3@3!")
		for i := 1; i <= 5; i++ {
			if n := runs[i].Load(); n != 1 {
				t.Errorf("event %d was handled %d times", i, n)
			}
		}
		if n := sp.Stats().Abandoned; n != 1 {
			t.Errorf("%d handlers are abandoned, want 1", n)
		}
		if e := t.Parked("organ"); !strings.Contains(e[0].Failures[0].Error, spine.ErrDeadline.Error()) {
			t.Errorf("parked for %+v", e[0].Failures)
		}
		state := t.State()
		close(hold)
		synctest.Wait()
		if got := t.State(); got != state || sp.Stats().Abandoned != 0 {
			t.Errorf("after the handler has returned at last the log is\n%s\nwant\n%s\nand %d are abandoned", got, state, sp.Stats().Abandoned)
		}
		for _, i := range []int{1, 2, 4, 5} {
			t.WantNumbers(fmt.Sprint("copy.s-", i), i)
		}
	})
}

func TestHandlerThatOverrunsHasFailedAndIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	for name, result := range map[string]func(ctx context.Context) error{
		"with its context's error": func(ctx context.Context) error { return ctx.Err() },
		"with success":             func(context.Context) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual(t, func(t *spinetest.Trial) {
				runs := 0
				o := spinetest.On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
					if spinetest.N(in.Event) == 2 {
						runs++
						<-ctx.Done()
						return spinetest.Out(spinetest.Event("late-1", "late", 1)), result(ctx)
					}
					return spinetest.Copy("copy.", "mid")(ctx, in)
				})
				o.Policy = spine.Policy{Partitions: 1, Deadline: time.Second, Retry: spine.Retry{Attempts: 4}}
				for i := 1; i <= 3; i++ {
					t.Put(spinetest.Event(fmt.Sprint("s-", i), "in", i))
				}
				sp := t.Spine(t.Store, spine.Config{}, o)
				t.Drain(sp)
				t.WantParked("organ", "s-2@2!")
				t.WantNumbers("late-1")
				t.WantNumbers("copy.s-3", 3)
				if runs != 1 || sp.Stats().Failed != 1 {
					t.Errorf("the handler ran %d times and failed %d times", runs, sp.Stats().Failed)
				}
			})
		})
	}
}

func TestTooManyAbandonedHandlersEndRun(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *spinetest.Trial) {
		hold := make(chan struct{})
		o := spinetest.On("organ", "in", func(context.Context, spine.Input) (spine.Output, error) {
			<-hold
			return spine.Output{}, nil
		})
		o.Policy.Deadline = time.Second
		for i := range 10 {
			t.Put(spinetest.Event(fmt.Sprint("s-", i), "in", i))
		}
		sp := t.Spine(t.Store, spine.Config{Abandoned: 3}, o)
		if err := sp.Run(t.Ctx); !errors.Is(err, spine.ErrAbandoned) {
			t.Errorf("Run returned %v", err)
		}
		close(hold)
		synctest.Wait()
		if n := sp.Stats().Abandoned; n != 0 {
			t.Errorf("%d are still abandoned", n)
		}
	})
}

func TestGraceEnds(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *spinetest.Trial) {
		o := spinetest.On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
			<-ctx.Done()
			return spinetest.Copy("copy.", "mid")(ctx, in)
		})
		o.Policy.Deadline = time.Hour
		t.Put(spinetest.Event("s-1", "in", 1))
		sp := t.Spine(t.Store, spine.Config{Grace: 5 * time.Second}, o)
		ctx, cancel := context.WithTimeout(t.Ctx, time.Minute)
		defer cancel()
		start := time.Now()
		if err := sp.Run(ctx); err != nil {
			t.Errorf("Run returned %v", err)
		}
		if d := time.Since(start); d < 65*time.Second || d > 67*time.Second {
			t.Errorf("Run took %s, want a minute and the grace", d)
		}
		t.WantNumbers("copy.s-1")
		t.WantParked("organ") // it is nobody's fault
		if r := t.Roster("organ"); len(r.Members) > 0 {
			t.Error("the Spine has left its leases behind")
		}
	})
}

// TestRunReportsItsFailureAlsoWhenItsContextEndsMeanwhile has one lane fail, and another take its time.
func TestRunReportsItsFailureAlsoWhenItsContextEndsMeanwhile(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *spinetest.Trial) {
		ctx, cancel := context.WithCancel(t.Ctx)
		defer cancel()
		slow := spinetest.On("slow", "in", func(context.Context, spine.Input) (spine.Output, error) {
			time.Sleep(time.Second)
			cancel()
			return spine.Output{}, nil
		})
		failing := spinetest.On("failing", "in", spinetest.Copy("copy.", "mid"))
		failing.Policy.OnCommitError = spine.CommitFail
		tap := t.Tap()
		tap.OnCommit = func([]eventstore.Commit, func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
			return nil, spinetest.ErrCut
		}
		t.Put(spinetest.Event("s-1", "in", 1))
		if err := t.Spine(t.Open(tap), spine.Config{}, slow, failing).Run(ctx); !errors.Is(err, spinetest.ErrCut) {
			t.Errorf("Run returned %v, want why the lane failed", err)
		}
	})
}

// TestLeaseThatCannotBeRenewedIsGivenUpInTime cuts a Spine off in each way.
func TestLeaseThatCannotBeRenewedIsGivenUpInTime(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]func(*spinetest.Tap){"fails": (*spinetest.Tap).Cut, "hangs": (*spinetest.Tap).Hang} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual(t, func(t *spinetest.Trial) {
				tap := t.Tap()
				var lost []time.Time
				watch := spinetest.Watch(func(o spine.Observation) {
					if o.Step == spine.LeaseLost {
						lost = append(lost, time.Now())
					}
				})
				o := spinetest.On("organ", "in", spinetest.Ignore)
				o.Policy.Partitions = 1
				sp := t.Spine(t.Open(tap), spine.Config{Lease: 15 * time.Second, Observers: []spine.Observer{watch}}, o)
				stop := t.Start(sp)
				time.Sleep(time.Minute)
				cut(tap)
				start := time.Now()
				time.Sleep(time.Minute)
				if err := stop(); err != nil {
					t.Error(err)
				}
				if len(lost) != 1 || lost[0].Sub(start) < 9*time.Second || lost[0].Sub(start) > 16*time.Second {
					t.Errorf("cut off at %s, leases were given up at %v", start, lost)
				}
			})
		})
	}
}

func TestTransientFailureToJoinIsMadeUpForSoon(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *spinetest.Trial) {
		b := &forgetful{Backend: memory.New()}
		b.left.Store(2)
		sp := t.Spine(eventstore.New(b, eventstore.Config{}), spine.Config{Lease: time.Hour}, spinetest.On("organ", "in", spinetest.Ignore))
		stop := t.Start(sp)
		time.Sleep(time.Second)
		if st := sp.Stats(); st.Organs[0].Lanes != 16 {
			t.Errorf("after a second %d lanes are worked", st.Organs[0].Lanes)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// forgetful fails the first calls of Claim and Parked.
type forgetful struct {
	*memory.Backend
	left atomic.Int64
}

func (b *forgetful) Claim(ctx context.Context, member, consumer string, generation int64, partitions []int) ([]eventstore.Lease, error) {
	if b.left.Add(-1) >= 0 {
		return nil, spinetest.ErrCut
	}
	return b.Backend.Claim(ctx, member, consumer, generation, partitions)
}

func TestLanesThatFindNothingInAnOldLogReachItsHead(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *spinetest.Trial) {
		tap := t.Tap()
		tap.Slow = time.Second // so that nothing else moves the lanes when they have read
		p := t.Put(spinetest.Event("s-1", "other", 1)).Position
		stop := t.Start(t.Spine(t.Open(tap), spine.Config{}, spinetest.On("never", "nothing", spinetest.Ignore)))
		time.Sleep(10 * time.Second)
		if at := t.Roster("never").Position(); at != p {
			t.Errorf("the lanes stand at %d, want %d", at, p)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestScheduleFiresWhenItIsDue(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *spinetest.Trial) {
		var at time.Time
		remind := spinetest.On("remind", "in", func(_ context.Context, in spine.Input) (out spine.Output, err error) {
			out.Commit.Schedules = []eventstore.Schedule{{
				ID: in.ID, Due: time.Now().Add(time.Hour), Append: spinetest.Out(spinetest.Event("late-1", "late", 1)).Commit.Appends[0],
			}}
			return out, nil
		})
		late := spinetest.On("late", "late", func(context.Context, spine.Input) (spine.Output, error) {
			at = time.Now()
			return spine.Output{}, nil
		})
		stop := t.Start(t.Spine(t.Store, spine.Config{}, remind, late))
		time.Sleep(time.Minute)
		due := time.Now().Add(time.Hour)
		t.Put(spinetest.Event("s-1", "in", 1))
		time.Sleep(2 * time.Hour)
		if err := stop(); err != nil {
			t.Error(err)
		}
		if at.Before(due) || at.Sub(due) > 100*time.Millisecond {
			t.Errorf("due at %s, fired at %s", due, at)
		}
	})
}

func TestEveryTwoCommitsMayBeDisturbed(t *testing.T) {
	t.Parallel()
	spinetest.DisturbPairs(t, inMemory, synctest.Test)
}

// late is a connection to the log over which no lease can be renewed for a time.
type late struct {
	*spinetest.Tap

	from, until time.Time
}

func (l *late) Renew(ctx context.Context, m eventstore.Member, ttl time.Duration) ([]eventstore.Roster, error) {
	if now := time.Now(); now.After(l.from) && now.Before(l.until) {
		return nil, errors.New("no connection")
	}
	return l.Tap.Renew(ctx, m, ttl)
}

// A process whose leases have run out unnoticed is still the owner of its partitions, for all that the log knows, when it
// is back. It takes up its share of them, and lets go of the others, which nobody else could take as long as it lives.
func TestProcessThatWasLateSharesWhatItStillOwns(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *spinetest.Trial) {
		const lease = 15 * time.Second
		start := time.Now()
		l := &late{Tap: t.Tap(), from: start.Add(time.Second), until: start.Add(lease)}
		organ := func() spine.Organ { return spinetest.On("organ", "in", spinetest.Copy("copy.", "mid")) }
		first := t.Spine(t.Open(l), spine.Config{Lease: lease}, organ())
		t.Start(first)
		second := t.Spine(t.Open(t.Tap()), spine.Config{Lease: lease}, organ())
		time.Sleep(lease - 2*time.Second)
		t.Start(second) // it looks again when the first is back
		time.Sleep(2 * lease)
		lanes := func(sp *spine.Spine) int { return sp.Stats().Organs[0].Lanes }
		if a, b := lanes(first), lanes(second); a != 8 || b != 8 {
			t.Errorf("of 16 partitions, the process that was late works %d, and the other %d", a, b)
		}
		for _, p := range t.Roster("organ").Partitions {
			if p.Owner == "" {
				t.Error("a partition has no owner")
			}
		}
	})
}
