package eventstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

// operations are all that an operator can do with a store, each with how its errors begin.
func operations(s *eventstore.Store, consumer string) map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"pause c: ":  func(ctx context.Context) error { return s.Pause(ctx, consumer) },
		"resume c: ": func(ctx context.Context) error { return s.Resume(ctx, consumer) },
		"reset c: ":  func(ctx context.Context) error { return s.Reset(ctx, consumer, 0) },
		"status c: ": func(ctx context.Context) error {
			_, err := s.Status(ctx, consumer)
			return err
		},
		"statuses: ": func(ctx context.Context) error {
			_, err := s.Statuses(ctx)
			return err
		},
		"consumers: ": func(ctx context.Context) error {
			_, err := s.Consumers(ctx)
			return err
		},
		"parked: ": func(ctx context.Context) (err error) {
			for _, listErr := range s.Parked(ctx, eventstore.ParkedFilter{}) {
				err = errors.Join(err, listErr)
			}
			return err
		},
		"parked:": func(ctx context.Context) error {
			_, err := s.ParkedGroups(ctx, eventstore.ParkedFilter{})
			return err
		},
		"parked": func(ctx context.Context) error {
			_, err := s.Redrive(ctx, eventstore.ParkedFilter{})
			return err
		},
		"parke": func(ctx context.Context) error {
			_, err := s.Discard(ctx, eventstore.ParkedFilter{})
			return err
		},
		"": func(ctx context.Context) error {
			_, err := s.Roster(ctx, consumer)
			return err
		},
	}
}

func TestOperationsNeedABackendThatKeepsWhatTheyAreAbout(t *testing.T) {
	t.Parallel()
	s := eventstore.New(&fake{}, eventstore.Config{})
	for begins, do := range operations(s, "c") {
		if err := do(t.Context()); err == nil || !strings.HasPrefix(err.Error(), begins) || !strings.Contains(err.Error(), "backend *eventstore_test.fake keeps no ") {
			t.Errorf("%q came to %v", begins, err)
		}
	}
	// One that keeps consumers, but gives no control of them.
	b := memory.New()
	leased(t, b, eventstore.Consumer{Name: "c", Partitions: 1})
	s = eventstore.New(struct {
		eventstore.Backend
		eventstore.Leaser
	}{b, b}, eventstore.Config{})
	if _, err := s.Roster(t.Context(), "c"); err != nil {
		t.Errorf("the roster came to %v", err)
	}
	if err := s.Pause(t.Context(), "c"); err == nil || !strings.Contains(err.Error(), "keeps no control of consumers") {
		t.Errorf("a pause came to %v", err)
	}
}

func TestOperationsOnAClosedOrFaultyStoreFail(t *testing.T) {
	t.Parallel()
	closed := memory.Open(memory.Config{})
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		s    *eventstore.Store
		want error
	}{{closed, eventstore.ErrClosed}, {memory.Open(memory.Config{Store: eventstore.Config{MaxData: -1}}), eventstore.ErrInvalid}} {
		for begins, do := range operations(x.s, "c") {
			if err := do(t.Context()); !errors.Is(err, x.want) || !strings.HasPrefix(err.Error(), begins) {
				t.Errorf("%q came to %v, not to %v", begins, err, x.want)
			}
		}
		if err := x.s.WaitFor(t.Context(), "c", 0); !errors.Is(err, x.want) {
			t.Errorf("a wait came to %v, not to %v", err, x.want)
		}
	}
}

func TestControlOfWhatNobodyRanFails(t *testing.T) {
	t.Parallel()
	s := opened(t, eventstore.Config{})
	for _, begins := range []string{"pause c: ", "resume c: ", "reset c: ", "status c: ", ""} {
		err := operations(s, "c")[begins](t.Context())
		if !errors.Is(err, eventstore.ErrInvalid) || !strings.HasPrefix(err.Error(), begins) || !strings.Contains(err.Error(), `"c" is not known to the log`) {
			t.Errorf("%q came to %v", begins, err)
		}
	}
	if all, err := s.Consumers(t.Context()); len(all) > 0 || err != nil {
		t.Errorf("the consumers are %+v, %v", all, err)
	}
}

func TestResetGoesNoFurtherThanTheLog(t *testing.T) {
	t.Parallel()
	b := memory.New()
	s := eventstore.New(b, eventstore.Config{})
	wrote(t, s, "account-1", raw("deposited", "{}"), raw("deposited", "{}"))
	leased(t, b, eventstore.Consumer{Name: "c", Partitions: 3})
	for _, to := range []eventstore.Position{3, -1, 1 << 53} {
		if err := s.Reset(t.Context(), "c", to); !errors.Is(err, eventstore.ErrInvalid) || !strings.HasPrefix(err.Error(), "reset c: position ") {
			t.Errorf("to %d it came to %v", to, err)
		}
	}
	for _, to := range []eventstore.Position{2, 0, 1} {
		err := s.Reset(t.Context(), "c", to)
		if r, rosterErr := s.Roster(t.Context(), "c"); err != nil || rosterErr != nil || r.Position() != to || r.Partitions[2].Position != to {
			t.Errorf("to %d it came to %v, and the roster is %+v, %v", to, err, r, rosterErr)
		}
	}
}

func TestPauseStopsAConsumerUntilItIsResumed(t *testing.T) {
	t.Parallel()
	b := memory.New()
	s, other := eventstore.New(b, eventstore.Config{}), eventstore.New(b, eventstore.Config{})
	l := leased(t, b, eventstore.Consumer{Name: "c", Partitions: 1})
	prove := eventstore.Commit{Checkpoints: []eventstore.Checkpoint{{Consumer: "c", Epoch: l.Epoch}}}
	for range 2 {
		if err := s.Pause(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := other.Commit(t.Context(), prove); !errors.Is(err, eventstore.ErrFenced) {
		t.Errorf("its owner was told %v", err)
	}
	if r, err := other.Roster(t.Context(), "c"); !r.Paused || err != nil {
		t.Errorf("its roster is %+v, %v", r, err)
	}
	for range 2 {
		if err := other.Resume(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := s.Roster(t.Context(), "c"); r.Paused || err != nil {
		t.Errorf("resumed, its roster is %+v, %v", r, err)
	}
}

func TestWaitForEndsWhenAConsumerIsPaused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		s := eventstore.New(b, eventstore.Config{})
		wrote(t, s, "account-1", raw("deposited", "{}"), raw("deposited", "{}"))
		l := leased(t, b, eventstore.Consumer{Name: "c", Partitions: 1})
		c := eventstore.Commit{Checkpoints: []eventstore.Checkpoint{{Consumer: "c", Epoch: l.Epoch, To: 1}}}
		if _, err := s.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		told := make(chan error, 1)
		go func() { told <- s.WaitFor(t.Context(), "c", 2) }()
		synctest.Wait()
		if err := s.Pause(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		if err := <-told; !errors.Is(err, eventstore.ErrPaused) || !strings.Contains(err.Error(), "wait for c at position 2") {
			t.Errorf("who waited when it was paused was told %v", err)
		}
		if err := s.WaitFor(t.Context(), "c", 2); !errors.Is(err, eventstore.ErrPaused) || eventstore.IsRetryable(err) {
			t.Errorf("who came when it was paused was told %v", err)
		}
		if err := s.WaitFor(t.Context(), "c", 1); err != nil {
			t.Errorf("it was paused behind position 1, and who waited for that was told %v", err)
		}
		if err := s.Resume(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.WaitFor(ctx, "c", 2); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who waited when it was resumed was told %v", err)
		}
	})
}

func TestWaitForFailsForACompetingConsumer(t *testing.T) {
	t.Parallel()
	b := memory.New()
	s := eventstore.New(b, eventstore.Config{})
	wrote(t, s, "account-1", raw("deposited", "{}"))
	l := leased(t, b, eventstore.Consumer{Name: "c", Partitions: 1, Competing: true})
	c := eventstore.Commit{
		Checkpoints: []eventstore.Checkpoint{{Consumer: "c", Epoch: l.Epoch, To: 1}},
		Deliveries:  []eventstore.Delivery{{ID: uuid.New(), Consumer: "c", Position: 1}},
	}
	for range 2 { // before the event is in its window, and after
		for _, p := range []eventstore.Position{0, 1} {
			if err := s.WaitFor(t.Context(), "c", p); !errors.Is(err, eventstore.ErrInvalid) || !strings.Contains(err.Error(), "competing") {
				t.Errorf("for position %d it came to %v", p, err)
			}
		}
		if _, err := s.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWaitForFailsForWhatWasSetAside(t *testing.T) {
	t.Parallel()
	b := memory.New()
	s := eventstore.New(b, eventstore.Config{})
	wrote(t, s, "account-1", raw("deposited", "{}"), raw("deposited", "{}"))
	l := leased(t, b, eventstore.Consumer{Name: "c", Partitions: 1})
	p := parked(uuid.New(), "c", 1)
	c := eventstore.Commit{Checkpoints: []eventstore.Checkpoint{{Consumer: "c", Epoch: l.Epoch, To: 2}}, Parks: []eventstore.Parked{p}}
	if _, err := s.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitFor(t.Context(), "c", 1); !errors.Is(err, eventstore.ErrParked) {
		t.Errorf("for the event that was set aside it came to %v", err)
	}
	if err := s.WaitFor(t.Context(), "c", 2); err != nil {
		t.Errorf("for the event behind it, it came to %v", err)
	}
	if n, err := s.Redrive(t.Context(), eventstore.ParkedFilter{}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if err := s.WaitFor(t.Context(), "c", 1); !errors.Is(err, eventstore.ErrParked) {
		t.Errorf("for an event that is only redriven it came to %v", err)
	}
	if n, err := s.Discard(t.Context(), eventstore.ParkedFilter{}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if err := s.WaitFor(t.Context(), "c", 1); err != nil {
		t.Errorf("for an event that was discarded it came to %v", err)
	}
}
