package eventstore_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

// parked is an entry of partition 0.
func parked(id uuid.UUID, consumer string, p eventstore.Position) eventstore.Parked {
	return eventstore.Parked{ID: id, Consumer: consumer, Key: "key", Position: p, Event: uuid.New()}
}

// dead is an entry that failed for a reason.
func dead(consumer, key string, p eventstore.Position, why string) eventstore.Parked {
	e := parked(uuid.New(), consumer, p)
	e.Key, e.Attempts = key, 1
	e.Failures = []eventstore.Failure{{At: epoch, Error: "something else"}, {At: epoch, Error: why}}
	return e
}

// leased makes a member own the only partition of a consumer.
func leased(t *testing.T, b *memory.Backend, c eventstore.Consumer) eventstore.Lease {
	t.Helper()
	if _, err := b.Define(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Renew(t.Context(), eventstore.Member{ID: "m", Consumers: []string{c.Name}}, time.Hour); err != nil {
		t.Fatal(err)
	}
	leases, err := b.Claim(t.Context(), "m", c.Name, 1, []int{0})
	if err != nil {
		t.Fatal(err)
	}
	return leases[0]
}

// setAside is a backend with entries of two consumers.
func setAside(t *testing.T, entries ...eventstore.Parked) *memory.Backend {
	t.Helper()
	b := memory.New()
	s := eventstore.New(b, eventstore.Config{})
	var c eventstore.Commit
	for _, name := range []string{"bills", "mails"} {
		l := leased(t, b, eventstore.Consumer{Name: name, Partitions: 1})
		c.Checkpoints = append(c.Checkpoints, eventstore.Checkpoint{Consumer: name, Epoch: l.Epoch})
	}
	for chunk := range slices.Chunk(entries, 10_000) {
		c.Parks = chunk
		if _, err := s.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// some are entries of every kind, at the positions 1 to 7.
func some() []eventstore.Parked {
	waiting := parked(uuid.New(), "bills", 4)
	waiting.Key = "order-1"
	return []eventstore.Parked{
		dead("bills", "order-1", 1, "order order-1 is not there"),
		dead("mails", "ann", 2, "dial tcp 10.0.0.1:25: timed out after 30s"),
		dead("bills", "order-2", 3, "order order-22 is not there"),
		waiting,
		dead("mails", "bob", 5, "dial tcp 10.0.0.7:25: timed out after 5s"),
		dead("mails", "ann", 6, "no such mailbox"),
		dead("bills", "order-3", 7, "dial tcp 10.0.0.1:25: timed out after 30s"),
	}
}

const (
	missing  = "order # is not there"
	timedOut = "dial tcp #.#.#.#:#: timed out after #"
)

// filters select of some.
func filters(list []eventstore.Parked) map[string]struct {
	f         eventstore.ParkedFilter
	positions []eventstore.Position
} {
	type selected = struct {
		f         eventstore.ParkedFilter
		positions []eventstore.Position
	}
	return map[string]selected{
		"all":                  {eventstore.ParkedFilter{}, []eventstore.Position{1, 2, 3, 4, 5, 6, 7}},
		"a consumer":           {eventstore.ParkedFilter{Consumer: "mails"}, []eventstore.Position{2, 5, 6}},
		"another consumer":     {eventstore.ParkedFilter{Consumer: "Mails"}, nil},
		"a key":                {eventstore.ParkedFilter{Key: "order-1"}, []eventstore.Position{1, 4}},
		"ids":                  {eventstore.ParkedFilter{IDs: []uuid.UUID{list[5].ID, uuid.New(), list[0].ID}}, []eventstore.Position{1, 6}},
		"an id that is gone":   {eventstore.ParkedFilter{IDs: []uuid.UUID{uuid.New()}}, nil},
		"a group":              {eventstore.ParkedFilter{Group: missing}, []eventstore.Position{1, 3}},
		"a group of two":       {eventstore.ParkedFilter{Group: timedOut}, []eventstore.Position{2, 5, 7}},
		"an error, no group":   {eventstore.ParkedFilter{Group: "order order-1 is not there"}, nil},
		"a consumer's group":   {eventstore.ParkedFilter{Consumer: "mails", Group: timedOut}, []eventstore.Position{2, 5}},
		"a consumer's key":     {eventstore.ParkedFilter{Consumer: "mails", Key: "ann"}, []eventstore.Position{2, 6}},
		"all that there is":    {eventstore.ParkedFilter{Consumer: "mails", Key: "ann", Group: timedOut, IDs: []uuid.UUID{list[1].ID, list[5].ID}}, []eventstore.Position{2}},
		"what does not agree":  {eventstore.ParkedFilter{Consumer: "bills", Key: "ann"}, nil},
		"ids of another group": {eventstore.ParkedFilter{Group: missing, IDs: []uuid.UUID{list[1].ID}}, nil},
	}
}

// listed are the positions of the entries that a filter selects.
func listed(t *testing.T, s *eventstore.Store, f eventstore.ParkedFilter) (list []eventstore.Parked, positions []eventstore.Position) {
	t.Helper()
	for p, err := range s.Parked(t.Context(), f) {
		if err != nil {
			t.Fatal(err)
		}
		list, positions = append(list, p), append(positions, p.Position)
	}
	return list, positions
}

func TestRedriveMarksWhatItsFilterSelects(t *testing.T) {
	t.Parallel()
	for name := range filters(some()) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			entries := some()
			x := filters(entries)[name]
			s := eventstore.New(setAside(t, entries...), eventstore.Config{})
			n, err := s.Redrive(t.Context(), x.f)
			if err != nil || n != len(x.positions) {
				t.Errorf("it came to %d, %v, not to %d", n, err, len(x.positions))
			}
			all, _ := listed(t, s, eventstore.ParkedFilter{})
			for _, p := range all {
				if p.Redriven != slices.Contains(x.positions, p.Position) {
					t.Errorf("after a redrive of those at %v, the one at %d is marked: %t", x.positions, p.Position, p.Redriven)
				}
			}
			if _, got := listed(t, s, x.f); !slices.Equal(got, x.positions) {
				t.Errorf("it selects those at %v, not %v", got, x.positions)
			}
		})
	}
}

func TestDiscardForgetsWhatItsFilterSelects(t *testing.T) {
	t.Parallel()
	for name := range filters(some()) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			entries := some()
			x := filters(entries)[name]
			s := eventstore.New(setAside(t, entries...), eventstore.Config{})
			n, err := s.Discard(t.Context(), x.f)
			if err != nil || n != len(x.positions) {
				t.Errorf("it came to %d, %v, not to %d", n, err, len(x.positions))
			}
			_, left := listed(t, s, eventstore.ParkedFilter{})
			for _, e := range entries {
				if slices.Contains(left, e.Position) == slices.Contains(x.positions, e.Position) {
					t.Errorf("after those at %v were discarded, there are those at %v", x.positions, left)
				}
			}
			if again, err := s.Discard(t.Context(), x.f); again != 0 || err != nil {
				t.Errorf("done again it came to %d, %v", again, err)
			}
		})
	}
}

// haunted lists entries that are gone by the time they are looked for, and counts its commits.
type haunted struct {
	*memory.Backend
	ghosts  []eventstore.Parked
	commits int
	fails   error // of all commits but the first
}

func (h *haunted) Parked(ctx context.Context, f eventstore.ParkedFilter) iter.Seq2[eventstore.Parked, error] {
	return func(yield func(eventstore.Parked, error) bool) {
		for _, p := range h.ghosts {
			if !yield(p, nil) {
				return
			}
		}
		for p, err := range h.Backend.Parked(ctx, f) {
			if !yield(p, err) {
				return
			}
		}
	}
}

func (h *haunted) Commit(ctx context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	if h.commits++; h.commits > 1 && h.fails != nil {
		return nil, h.fails
	}
	return h.Backend.Commit(ctx, batch)
}

func TestDiscardCountsNotWhatOthersTook(t *testing.T) {
	t.Parallel()
	b := &haunted{Backend: setAside(t, some()...), ghosts: []eventstore.Parked{parked(uuid.New(), "bills", 1), parked(uuid.New(), "mails", 2)}}
	s := eventstore.New(b, eventstore.Config{})
	if n, err := s.Discard(t.Context(), eventstore.ParkedFilter{}); n != 7 || err != nil {
		t.Errorf("of nine entries two were gone meanwhile, and it came to %d, %v", n, err)
	}
	if _, left := listed(t, eventstore.New(b.Backend, eventstore.Config{}), eventstore.ParkedFilter{}); len(left) > 0 {
		t.Errorf("left are those at %v", left)
	}
}

func TestDiscardSaysHowFarItCame(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		ghosts []eventstore.Parked
		n      int
	}{
		"thousand by thousand": {nil, 1000},
		"one by one":           {[]eventstore.Parked{parked(uuid.New(), "bills", 1)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var entries []eventstore.Parked
			for n := range 2500 {
				entries = append(entries, parked(uuid.New(), "bills", eventstore.Position(n+1)))
			}
			b := &haunted{Backend: setAside(t, entries...), ghosts: x.ghosts, fails: errGaveUp}
			s := eventstore.New(b, eventstore.Config{})
			if n, err := s.Discard(t.Context(), eventstore.ParkedFilter{}); n != x.n || !errors.Is(err, errGaveUp) || b.commits != 2 {
				t.Errorf("after the first commit the backend failed, and in %d commits it came to %d, %v", b.commits, n, err)
			}
			b.fails, b.commits, b.ghosts = nil, 0, nil
			if n, err := s.Discard(t.Context(), eventstore.ParkedFilter{}); n != 2500-x.n || err != nil || b.commits != 3-x.n/1000 {
				t.Errorf("done again in %d commits it came to %d, %v", b.commits, n, err)
			}
		})
	}
}
