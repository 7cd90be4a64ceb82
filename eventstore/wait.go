package eventstore

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Wait returns the log's pulse as soon as it differs from what was seen, and at the latest after
// Config.Poll. It returns early, without an error, when ctx ends.
func (s *Store) Wait(ctx context.Context, seen Pulse) (Pulse, error) {
	if s.closed.Load() {
		return seen, ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Poll)
	defer cancel()
	if w, ok := s.backend.(Waker); ok {
		return w.Wait(ctx, seen)
	}
	for {
		head, err := s.Head(ctx)
		if ctx.Err() != nil {
			return seen, nil
		}
		if err != nil || head != seen.Head {
			seen.Head = head
			return seen, err
		}
		sleep(ctx, waitPoll)
	}
}

// waitPoll is how often a wait looks for what nothing announces: the progress of other processes, and the
// head of a backend that is no Waker.
const waitPoll = 5 * time.Millisecond

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// WaitFor returns when every partition of the consumer has done the event at position p and all before it,
// wherever it runs. It fails with ErrParked if that event was set aside, with ErrInvalid if p is beyond the
// head, or if nobody ever ran the consumer, with ErrPaused if it is paused before p, with an error for a
// competing consumer, which keeps no order, and with the context's error.
func (s *Store) WaitFor(ctx context.Context, consumer string, p Position) error {
	_, err := s.WaitWhile(ctx, consumer, p, nil)
	return err
}

// WaitWhile is WaitFor, as long as still, which is asked some times a second, says that it is worth waiting. reached is
// false if it was not.
func (s *Store) WaitWhile(ctx context.Context, consumer string, p Position, still func(ctx context.Context) (bool, error)) (reached bool, err error) {
	if reached, err = s.waitFor(ctx, consumer, p, still); err != nil {
		return false, fmt.Errorf("wait for %s at position %d: %w", consumer, p, err)
	}
	return reached, nil
}

// looks is after how many of its looks a wait asks whether it is still worth it.
const looks = 50

func (s *Store) waitFor(ctx context.Context, consumer string, p Position, still func(ctx context.Context) (bool, error)) (bool, error) {
	if p < 0 {
		return false, invalid("position", "%d is negative", p)
	}
	for n := 1; ; n++ {
		moved := s.moved.Wait()
		r, err := s.Roster(ctx, consumer)
		switch {
		case err != nil:
			return false, err
		case r.Competing:
			return false, invalid("consumer", "%q is competing: it has no position that says what is done", consumer)
		case r.Position() >= p:
			return true, s.notPending(ctx, consumer, p)
		case n == 1: // what is done needs no look at the head
			if head, err := s.Head(ctx); err != nil {
				return false, err
			} else if p > head {
				return false, invalid("position", "%d is beyond the head, which is %d", p, head)
			}
		}
		if r.Paused {
			return false, ErrPaused
		}
		if still != nil && n%looks == 0 {
			if ok, err := still(ctx); err != nil || !ok {
				return false, err
			}
		}
		t := time.NewTimer(waitPoll)
		select {
		case <-moved:
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return false, errors.Join(context.Cause(ctx), fmt.Errorf("it stands at %d", r.Position()))
		}
		t.Stop()
	}
}

// notPending fails if an event that its consumer has passed is parked, or is not done for another reason.
func (s *Store) notPending(ctx context.Context, consumer string, p Position) error {
	if _, ok := s.backend.(Parker); !ok {
		return nil
	}
	for entry, err := range s.Parked(ctx, ParkedFilter{Consumer: consumer}) {
		if err != nil {
			return err
		}
		if entry.Position == p {
			return ErrParked
		}
		if entry.Position > p {
			break
		}
	}
	return nil
}
