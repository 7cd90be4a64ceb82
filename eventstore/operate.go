package eventstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"

	"github.com/google/uuid"
)

// Group is what entries that failed alike have in common: the error of the last attempt, with "#" for whatever
// differs from event to event, such as numbers and ids. It is "" for one that was never tried.
func (p *Parked) Group() string {
	if len(p.Failures) == 0 {
		return ""
	}
	return varying.ReplaceAllString(p.Failures[len(p.Failures)-1].Error, "#")
}

// varying is whatever contains a digit.
var varying = regexp.MustCompile(`[\pL_-]*\pN[\pL\pN_-]*`)

// ParkedGroup is what is known of parked entries that failed alike.
type ParkedGroup struct {
	Consumer    string
	Group       string // "": they wait behind others
	Entries     int
	Keys        int      // how many different ones
	First, Last Position // of the earliest and the latest event
	Example     Parked   // the earliest entry
}

// Parked yields the matching entries in order of position.
func (s *Store) Parked(ctx context.Context, f ParkedFilter) iter.Seq2[Parked, error] {
	return func(yield func(Parked, error) bool) {
		parker, err := port[Parker](s, "no parked events")
		if err != nil {
			yield(Parked{}, fmt.Errorf("parked: %w", err))
			return
		}
		for p, err := range parker.Parked(ctx, f) {
			if err != nil {
				err = fmt.Errorf("parked: %w", err)
			}
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

// ParkedGroups groups the matching entries by consumer and error, the biggest group first.
func (s *Store) ParkedGroups(ctx context.Context, f ParkedFilter) ([]ParkedGroup, error) {
	type name struct{ consumer, group string }
	at, keys := map[name]int{}, map[name]map[string]bool{}
	var groups []ParkedGroup
	for p, err := range s.Parked(ctx, f) {
		if err != nil {
			return nil, err
		}
		n := name{p.Consumer, p.Group()}
		if _, known := at[n]; !known {
			at[n], keys[n] = len(groups), map[string]bool{}
			groups = append(groups, ParkedGroup{Consumer: n.consumer, Group: n.group, First: p.Position, Example: p})
		}
		g := &groups[at[n]]
		keys[n][p.Key] = true
		g.Entries, g.Last, g.Keys = g.Entries+1, p.Position, len(keys[n])
	}
	slices.SortStableFunc(groups, func(x, y ParkedGroup) int { return y.Entries - x.Entries })
	return groups, nil
}

// Redrive has the matching entries tried again by whoever runs their consumers, and returns how many they are.
// A key is always worked off from its head, and until it is empty or an event fails again.
func (s *Store) Redrive(ctx context.Context, f ParkedFilter) (int, error) {
	return s.eachParked(ctx, f, func(ids []uuid.UUID) Commit { return Commit{Redrives: ids} })
}

// Discard forgets the matching entries, and returns how many they were. Events that waited behind them are
// handled then.
func (s *Store) Discard(ctx context.Context, f ParkedFilter) (int, error) {
	return s.eachParked(ctx, f, func(ids []uuid.UUID) Commit { return Commit{Unparks: ids} })
}

// eachParked commits something for all matching entries, a thousand at a time; one by one where some are gone.
func (s *Store) eachParked(ctx context.Context, f ParkedFilter, commit func([]uuid.UUID) Commit) (n int, err error) {
	var ids []uuid.UUID
	for p, err := range s.Parked(ctx, f) {
		if err != nil {
			return 0, err
		}
		ids = append(ids, p.ID)
	}
	for chunk := range slices.Chunk(ids, 1000) {
		_, err := s.Commit(ctx, commit(chunk))
		if err == nil {
			n += len(chunk)
			continue
		}
		if !errors.Is(err, ErrFenced) {
			return n, err
		}
		for i := range chunk {
			switch _, err := s.Commit(ctx, commit(chunk[i:i+1])); {
			case err == nil:
				n++
			case !errors.Is(err, ErrFenced):
				return n, err
			}
		}
	}
	return n, nil
}

// Pause stops a consumer in every process, until Resume. Who waits for it meanwhile gets ErrPaused. What handlers
// under way come to is dropped and made again later; only competing consumers finish what they have taken.
func (s *Store) Pause(ctx context.Context, consumer string) error {
	return s.control(ctx, "pause", consumer, func(c Controller) error { return c.Pause(ctx, consumer, true) })
}

// Resume ends a Pause.
func (s *Store) Resume(ctx context.Context, consumer string) error {
	return s.control(ctx, "resume", consumer, func(c Controller) error { return c.Pause(ctx, consumer, false) })
}

// Reset has a consumer handle all events after a position anew, in every process. Entries and deliveries of
// these events are forgotten. What the consumer has emitted before stays, and it will emit it again.
func (s *Store) Reset(ctx context.Context, consumer string, to Position) error {
	return s.control(ctx, "reset", consumer, func(c Controller) error {
		head, err := s.Head(ctx)
		if err == nil && (to < 0 || to > head) {
			err = invalid("position", "%d is not 0 … %d, which is the head", to, head)
		}
		if err != nil {
			return err
		}
		return c.Reset(ctx, consumer, to)
	})
}

func (s *Store) control(ctx context.Context, what, consumer string, act func(Controller) error) error {
	c, err := port[Controller](s, "no control of consumers")
	if err == nil {
		err = s.known(ctx, consumer)
	}
	if err == nil {
		err = act(c)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", what, consumer, err)
	}
	return nil
}

// known fails unless the log knows the consumer.
func (s *Store) known(ctx context.Context, consumer string) error {
	_, err := s.Roster(ctx, consumer)
	return err
}

// Roster returns who runs a consumer and how far it has come. It fails with ErrInvalid if nobody ever ran it.
func (s *Store) Roster(ctx context.Context, consumer string) (Roster, error) {
	leaser, err := port[Leaser](s, "no consumers")
	if err != nil {
		return Roster{}, err
	}
	r, err := leaser.Roster(ctx, consumer)
	if err == nil && len(r.Partitions) == 0 {
		err = invalid("consumer", "%q is not known to the log", consumer)
	}
	return r, err
}

// Consumers returns all consumers that the log knows, sorted by name.
func (s *Store) Consumers(ctx context.Context) ([]Consumer, error) {
	c, err := port[Controller](s, "no control of consumers")
	if err != nil {
		return nil, fmt.Errorf("consumers: %w", err)
	}
	return c.Consumers(ctx)
}

// port finds an optional interface of the backend.
func port[T any](s *Store, lacks string) (p T, err error) {
	if s.fault != nil {
		return p, s.fault
	}
	if s.closed.Load() {
		return p, ErrClosed
	}
	p, ok := s.backend.(T)
	if !ok {
		return p, fmt.Errorf("backend %T keeps %s", s.backend, lacks)
	}
	return p, nil
}
