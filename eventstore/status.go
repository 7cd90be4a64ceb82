package eventstore

import (
	"context"
	"fmt"
	"time"
)

// Status is how a consumer stands, as the log has it: the same whichever process asks, also if none runs it any more.
// It is made of several reads. An event that moves on between them is counted twice, never missed.
type Status struct {
	Consumer   string
	At         time.Time // when it was taken, by the clock of whoever asked
	Generation int64     // of its definition
	Competing  bool      // each event goes to one of several workers, in no order
	Paused     bool      // nobody may run it

	Head     Position // the end of the log, read after everything else
	Position Position // how far the slowest partition has come. Of a competing consumer: how far its window was filled
	Window   int      // deliveries of a competing consumer that are not acknowledged
	Lag      int64    // positions between Position and Head; of a competing consumer, and what is in its window

	// Behind is for how long the first event after Position has been in the log, whoever it concerns; 0 if there is none.
	// It is told by the clock of whoever asked. What is in a window is not looked at.
	Behind time.Duration

	Members    []string    // the live ones that run it, sorted
	Partitions []Partition // with their owners
	Unowned    []int       // those that no live member owns

	Parked      int       // entries
	ParkedKeys  int       // how many different keys they have
	LastError   string    // the newest failure of an entry; "" if none has one
	LastFailure time.Time // when that was
}

// Status returns how a consumer stands. It fails with ErrInvalid if nobody ever ran it.
func (s *Store) Status(ctx context.Context, consumer string) (Status, error) {
	all, err := s.statuses(ctx, []string{consumer}, ParkedFilter{Consumer: consumer})
	if err != nil {
		return Status{}, fmt.Errorf("status %s: %w", consumer, err)
	}
	return all[0], nil
}

// Statuses returns how all consumers stand that the log knows, sorted by name.
func (s *Store) Statuses(ctx context.Context) ([]Status, error) {
	consumers, err := s.Consumers(ctx)
	if err != nil {
		return nil, fmt.Errorf("statuses: %w", err)
	}
	names := make([]string, len(consumers))
	for i, c := range consumers {
		names[i] = c.Name
	}
	all, err := s.statuses(ctx, names, ParkedFilter{})
	if err != nil {
		return nil, fmt.Errorf("statuses: %w", err)
	}
	return all, nil
}

// statuses follows the way of an event: out of the log, into a window, among what is parked; and looks for the head at
// last. So what moves on meanwhile is counted twice, rather than not at all.
func (s *Store) statuses(ctx context.Context, consumers []string, parked ParkedFilter) ([]Status, error) {
	all := make([]Status, len(consumers))
	for i, name := range consumers {
		if err := s.partitions(ctx, name, &all[i]); err != nil {
			return nil, err
		}
	}
	aside, err := s.setAside(ctx, parked)
	if err != nil {
		return nil, err
	}
	for i := range all {
		st := &all[i]
		if a := aside[st.Consumer]; a != nil {
			st.Parked, st.ParkedKeys, st.LastError, st.LastFailure = a.entries, len(a.keys), a.last.Error, a.last.At
		}
		var first time.Time
		if st.Head, first, err = s.behind(ctx, st.Position); err != nil {
			return nil, fmt.Errorf("head: %w", err)
		}
		st.Lag = max(0, int64(st.Head-st.Position)) + int64(st.Window)
		if !first.IsZero() {
			st.Behind = max(0, time.Since(first))
		}
	}
	return all, nil
}

// partitions fills in who works a consumer and how far that has come.
func (s *Store) partitions(ctx context.Context, consumer string, st *Status) error {
	at := time.Now().UTC()
	r, err := s.Roster(ctx, consumer)
	if err != nil {
		return err
	}
	*st = Status{
		Consumer: consumer, At: at, Generation: r.Generation, Competing: r.Competing, Paused: r.Paused,
		Position: r.Position(), Members: r.Members, Partitions: r.Partitions,
	}
	for n, p := range r.Partitions {
		if p.Owner == "" {
			st.Unowned = append(st.Unowned, n)
		}
	}
	if !r.Competing {
		return nil
	}
	d, err := port[Deliverer](s, "no deliveries")
	if err == nil {
		st.Window, _, err = d.Window(ctx, consumer)
	}
	if err != nil {
		return fmt.Errorf("window: %w", err)
	}
	return nil
}

// aside is what is known of a consumer's parked entries.
type aside struct {
	entries int
	keys    map[string]struct{}
	last    Failure
}

// setAside counts the matching entries of each consumer, and keeps none of them.
func (s *Store) setAside(ctx context.Context, f ParkedFilter) (map[string]*aside, error) {
	if _, ok := s.backend.(Parker); !ok {
		return nil, nil
	}
	all := map[string]*aside{}
	for p, err := range s.Parked(ctx, f) {
		if err != nil {
			return nil, err
		}
		a := all[p.Consumer]
		if a == nil {
			a = &aside{keys: map[string]struct{}{}}
			all[p.Consumer] = a
		}
		a.entries++
		a.keys[p.Key] = struct{}{}
		if n := len(p.Failures); n > 0 && p.Failures[n-1].At.After(a.last.At) {
			a.last = p.Failures[n-1]
		}
	}
	return all, nil
}

// behind returns the head, and since when the first event after a position has been in the log: the zero time if there is
// none. It asks the backend, for an upcaster may make nothing of that event.
func (s *Store) behind(ctx context.Context, p Position) (head Position, first time.Time, err error) {
	for e, err := range s.backend.Read(ctx, All(), Range{After: p, Limit: 1, Through: &head}) {
		if err != nil {
			return 0, time.Time{}, unavailable(ctx, err)
		}
		first = e.Time
	}
	return head, first, nil
}
