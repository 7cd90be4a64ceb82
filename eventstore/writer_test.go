package eventstore_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

var epoch = time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)

var errGaveUp = errors.New("gave up")

// held is a store behind a fake whose first commit is under way, in a bubble.
func held(t *testing.T) (*eventstore.Store, *fake, *sync.WaitGroup) {
	t.Helper()
	f := &fake{gate: make(chan struct{})}
	s := eventstore.New(f, eventstore.Config{})
	wg := &sync.WaitGroup{}
	wg.Go(func() {
		if _, err := s.Commit(t.Context(), labelled("first")); err != nil {
			t.Errorf("first: %v", err)
		}
	})
	synctest.Wait()
	return s, f, wg
}

func TestCommitGivenUpWhileItWaitsIsNotWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, f, wg := held(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		for range 3 {
			wg.Go(func() {
				if _, err := s.Commit(ctx, labelled("given up")); !errors.Is(err, errGaveUp) || errors.Is(err, eventstore.ErrOutcomeUnknown) {
					t.Errorf("who gave up while waiting was told: %v", err)
				}
			})
		}
		wg.Go(func() {
			if _, err := s.Commit(t.Context(), labelled("stays")); err != nil {
				t.Errorf("who did not give up was told: %v", err)
			}
		})
		synctest.Wait()
		cancel(errGaveUp)
		synctest.Wait()
		close(f.gate)
		wg.Wait()
		if got := f.labels(); got != "first | stays" {
			t.Errorf("the batches were %s", got)
		}
	})
}

func TestCommitGivenUpWhileUnderWayIsUnknownAndCanBeSentAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := memory.New()
		f := &fake{gate: make(chan struct{})}
		f.decide = func(batch []eventstore.Commit) ([]eventstore.Outcome, error) { return log.Commit(t.Context(), batch) }
		s := eventstore.New(f, eventstore.Config{})
		ctx, cancel := context.WithCancelCause(t.Context())
		told := make(chan error, 1)
		go func() {
			_, err := s.Commit(ctx, to("s-1", eventstore.NoStream, raw("once", "{}")))
			told <- err
		}()
		synctest.Wait()
		cancel(errGaveUp)
		unknown, ok := errors.AsType[*eventstore.OutcomeUnknownError](<-told)
		if !ok || !errors.Is(unknown, eventstore.ErrOutcomeUnknown) || !errors.Is(unknown, errGaveUp) || !eventstore.IsRetryable(unknown) {
			t.Fatalf("who gave up was told: %v", unknown)
		}
		close(f.gate)
		for range 3 {
			r, err := s.Commit(t.Context(), unknown.Commit)
			if err != nil || r.Position != 1 || r.Version() != 1 {
				t.Errorf("sent again it came to %+v, %v", r, err)
			}
		}
		// The one who gives up owns what it was given, whatever becomes of the commit.
		unknown.Commit.Appends[0].Events[0].Type = "spoilt"
	})
}

func TestCommitWithAnEndedContextIsNotWritten(t *testing.T) {
	t.Parallel()
	f := &fake{}
	s := eventstore.New(f, eventstore.Config{})
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errGaveUp)
	if _, err := s.Commit(ctx, labelled("late")); !errors.Is(err, errGaveUp) || len(f.batches) > 0 {
		t.Errorf("it came to %v, and to the batches %s", err, f.labels())
	}
}

func TestWhatABackendSaysOfAWholeBatchIsToldToEach(t *testing.T) {
	t.Parallel()
	errDown := errors.New("down")
	for name, x := range map[string]struct {
		decide  func(batch []eventstore.Commit) ([]eventstore.Outcome, error)
		target  error
		unknown bool
	}{
		"it failed":         {func([]eventstore.Commit) ([]eventstore.Outcome, error) { return nil, errDown }, errDown, false},
		"nobody knows":      {func([]eventstore.Commit) ([]eventstore.Outcome, error) { return nil, eventstore.ErrOutcomeUnknown }, eventstore.ErrOutcomeUnknown, true},
		"too few outcomes":  {func([]eventstore.Commit) ([]eventstore.Outcome, error) { return nil, nil }, eventstore.ErrOutcomeUnknown, true},
		"too many outcomes": {func([]eventstore.Commit) ([]eventstore.Outcome, error) { return make([]eventstore.Outcome, 9), nil }, eventstore.ErrOutcomeUnknown, true},
		"each outcome unknown": {func(batch []eventstore.Commit) ([]eventstore.Outcome, error) {
			outcomes := make([]eventstore.Outcome, len(batch))
			for i := range outcomes {
				outcomes[i] = eventstore.Outcome{Result: eventstore.Result{Position: 9}, Err: eventstore.ErrOutcomeUnknown}
			}
			return outcomes, nil
		}, eventstore.ErrOutcomeUnknown, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, f, wg := held(t)
				for _, name := range []string{"a", "b"} {
					wg.Go(func() {
						r, err := s.Commit(t.Context(), labelled(name))
						if !errors.Is(err, x.target) || r.Position != 0 {
							t.Errorf("%s came to %+v, %v", name, r, err)
						}
						if unknown, ok := errors.AsType[*eventstore.OutcomeUnknownError](err); ok != x.unknown || ok && label(unknown.Commit) != name {
							t.Errorf("%s came to %#v", name, err)
						}
					})
				}
				synctest.Wait()
				f.gate <- struct{}{} // the first one lands
				synctest.Wait()
				f.decide = x.decide
				close(f.gate)
				wg.Wait()
			})
		})
	}
}

func TestCloseWaitsForCommitsUnderWayAndRefusesOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, f, wg := held(t)
		wg.Go(func() {
			if _, err := s.Commit(t.Context(), labelled("waits")); err != nil {
				t.Errorf("who waited before Close was told: %v", err)
			}
		})
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- s.Close() }()
		synctest.Wait()
		if len(closed) > 0 || f.closed > 0 {
			t.Error("Close did not wait for what was under way")
		}
		if _, err := s.Commit(t.Context(), labelled("late")); !errors.Is(err, eventstore.ErrClosed) {
			t.Errorf("a commit after Close came to %v", err)
		}
		close(f.gate)
		wg.Wait()
		if err := <-closed; err != nil || f.closed != 1 {
			t.Errorf("Close came to %v, and closed the backend %d times", err, f.closed)
		}
		if err := s.Close(); err != nil || f.closed != 1 {
			t.Errorf("closing again came to %v, and closed the backend %d times", err, f.closed)
		}
		if got := f.labels(); got != "first | waits" {
			t.Errorf("the batches were %s", got)
		}
		for _, err := range s.Read(t.Context(), eventstore.All(), eventstore.Range{}) {
			if !errors.Is(err, eventstore.ErrClosed) {
				t.Errorf("a read after Close came to %v", err)
			}
		}
		if _, err := s.Wait(t.Context(), eventstore.Pulse{}); !errors.Is(err, eventstore.ErrClosed) {
			t.Errorf("a wait after Close came to %v", err)
		}
	})
}

// A Config with faults is reported by whatever the store is asked first.
func TestFaultyConfigIsReportedByEveryUse(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]eventstore.Config{
		"negative data":   {MaxData: -1},
		"negative events": {MaxEvents: -1},
		"negative commit": {MaxCommit: -1},
		"negative poll":   {Poll: -1},
		"an upcaster":     {Upcasters: []eventstore.Upcaster{{}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{}
			s := eventstore.New(f, cfg)
			if !errors.Is(s.Fault(), eventstore.ErrInvalid) || cfg.Validate() == nil {
				t.Fatalf("the fault is %v", s.Fault())
			}
			_, commit := s.Commit(t.Context(), labelled("a"))
			_, appended := s.Append(t.Context(), "s-1", eventstore.Any, deposited{1})
			_, head := s.Head(t.Context())
			for _, err := range []error{commit, appended, head} {
				if !errors.Is(err, eventstore.ErrInvalid) {
					t.Errorf("it was used, and said %v", err)
				}
			}
			if len(f.batches) > 0 {
				t.Errorf("something was written: %s", f.labels())
			}
		})
	}
}
