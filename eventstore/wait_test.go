package eventstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

func TestWaitForSaysWhereAConsumerStandsThatDoesNotMove(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		s := eventstore.New(b, eventstore.Config{})
		wrote(t, s, "account-1", raw("deposited", "{}"))
		if _, err := b.Define(t.Context(), eventstore.Consumer{Name: "c", Partitions: 2}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		err := s.WaitFor(ctx, "c", 1)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "wait for c at position 1") || !strings.Contains(err.Error(), "stands at 0") {
			t.Errorf("it came to %v", err)
		}
		if waited := time.Since(began); waited != time.Minute {
			t.Errorf("it waited %s, not a minute", waited)
		}
	})
}

// A checkpoint that moves through the same store ends a wait at once, and not at the next look.
func TestWaitForIsToldByItsOwnStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		s := eventstore.New(b, eventstore.Config{})
		wrote(t, s, "account-1", raw("deposited", "{}"))
		if _, err := b.Define(t.Context(), eventstore.Consumer{Name: "c", Partitions: 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Renew(t.Context(), eventstore.Member{ID: "m"}, time.Hour); err != nil {
			t.Fatal(err)
		}
		leases, err := b.Claim(t.Context(), "m", "c", 1, []int{0})
		if err != nil {
			t.Fatal(err)
		}
		told := make(chan time.Time, 1)
		go func() {
			if err := s.WaitFor(t.Context(), "c", 1); err != nil {
				t.Errorf("it came to %v", err)
			}
			told <- time.Now()
		}()
		synctest.Wait()
		now := time.Now()
		c := eventstore.Commit{Checkpoints: []eventstore.Checkpoint{{Consumer: "c", Epoch: leases[0].Epoch, To: 1}}}
		if _, err := s.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if late := (<-told).Sub(now); late > 0 {
			t.Errorf("it was told %s late", late)
		}
	})
}

func TestWaitForNeedsABackendThatKeepsConsumers(t *testing.T) {
	t.Parallel()
	s := eventstore.New(&fake{}, eventstore.Config{})
	if err := s.WaitFor(t.Context(), "c", 0); err == nil || !strings.Contains(err.Error(), "*eventstore_test.fake keeps no consumers") {
		t.Errorf("it came to %v", err)
	}
}

// A backend that wakes nobody is asked again and again, but not without pause.
func TestWaitLooksAtABackendThatIsNoWaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := struct{ eventstore.Backend }{memory.New()}
		s := eventstore.New(b, eventstore.Config{Poll: time.Minute})
		began := time.Now()
		if p, err := s.Wait(t.Context(), eventstore.Pulse{Roster: 7, Window: 8}); p.Head != 0 || p.Roster != 7 || p.Window != 8 || err != nil || time.Since(began) != time.Minute {
			t.Errorf("nothing happened, and after %s it came to %+v, %v", time.Since(began), p, err)
		}
		told := make(chan eventstore.Pulse, 1)
		go func() {
			p, err := s.Wait(t.Context(), eventstore.Pulse{Window: 8})
			if err != nil {
				t.Errorf("it came to %v", err)
			}
			told <- p
		}()
		synctest.Wait()
		wrote(t, s, "account-1", raw("deposited", "{}"))
		began = time.Now()
		if p := <-told; p.Head != 1 || p.Window != 8 || time.Since(began) > 100*time.Millisecond {
			t.Errorf("%s after a commit it came to %+v", time.Since(began), p)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if p, err := s.Wait(ctx, eventstore.Pulse{Head: 1}); err != nil || p.Head != 1 {
			t.Errorf("with an ended context it came to %+v, %v", p, err)
		}
	})
}

func TestHeadFailsWithTheBackend(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errGaveUp)
	if head, err := opened(t, eventstore.Config{}).Head(ctx); err == nil || head != 0 {
		t.Errorf("with an ended context it came to %d, %v", head, err)
	}
}
