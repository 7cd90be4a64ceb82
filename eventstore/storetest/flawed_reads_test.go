package storetest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

// skipping hides the events of a commit for a while, if another commit is under way by then: the defect of
// logs that draw positions before they commit.
type skipping struct {
	*memory.Backend
	mu     sync.Mutex
	under  int // commits under way
	hidden map[eventstore.Position]bool
}

func (s *skipping) Commit(ctx context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	s.mu.Lock()
	s.under++
	crowded := s.under > 1
	before := headOf(ctx, s.Backend)
	outcomes, err := s.Backend.Commit(ctx, batch)
	after := headOf(ctx, s.Backend)
	for p := before + 1; crowded && p <= after; p++ {
		s.hidden[p] = true
	}
	s.mu.Unlock()
	time.Sleep(100 * time.Microsecond) // the time that a server takes to commit
	s.mu.Lock()
	defer s.mu.Unlock()
	s.under--
	for p := before + 1; p <= after; p++ {
		delete(s.hidden, p)
	}
	return outcomes, err
}

func (s *skipping) Read(ctx context.Context, q eventstore.Query, r eventstore.Range) events {
	return filter(s.Backend.Read(ctx, q, r), func(e *eventstore.Event) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return !s.hidden[e.Position]
	})
}

// idlingTooFar asks for the head once more when it has found nothing.
func idlingTooFar(ctx context.Context, b *memory.Backend, q eventstore.Query, r eventstore.Range) events {
	return func(yield func(eventstore.Event, error) bool) {
		n := 0
		for e, err := range b.Read(ctx, q, r) {
			if n++; !yield(e, err) {
				return
			}
		}
		if n == 0 && r.Through != nil {
			time.Sleep(50 * time.Microsecond) // the time that another query takes
			*r.Through = headOf(ctx, b)
		}
	}
}

// pageByPage reads three events at a time, up to wherever the log ends by then.
func pageByPage(ctx context.Context, b *memory.Backend, q eventstore.Query, r eventstore.Range) events {
	if r.Backward || r.Limit > 0 || r.UpTo > 0 {
		return b.Read(ctx, q, r)
	}
	return func(yield func(eventstore.Event, error) bool) {
		at := r.After
		for {
			n := 0
			for e, err := range b.Read(ctx, q, eventstore.Range{After: at, Limit: 3, Through: r.Through}) {
				if n++; err == nil {
					at = e.Position
				}
				if !yield(e, err) || err != nil {
					return
				}
			}
			if n < 3 {
				return
			}
		}
	}
}

// itemByItem yields what each item of a query selects, one after the other.
func itemByItem(ctx context.Context, b *memory.Backend, q eventstore.Query, r eventstore.Range) events {
	if len(q.Items()) < 2 || r.Backward || r.Limit > 0 {
		return b.Read(ctx, q, r)
	}
	return func(yield func(eventstore.Event, error) bool) {
		seen := map[eventstore.Position]bool{}
		for _, it := range q.Items() {
			for e, err := range b.Read(ctx, eventstore.Match(it), r) {
				if seen[e.Position] {
					continue
				}
				if seen[e.Position] = true; !yield(e, err) {
					return
				}
			}
		}
	}
}

// caseless compares the names of a query without regard to case.
func caseless(ctx context.Context, b *memory.Backend, q eventstore.Query, r eventstore.Range) events {
	if q.IsZero() || r.Limit > 0 {
		return b.Read(ctx, q, r)
	}
	items := q.Items()
	for i, it := range items {
		items[i] = eventstore.Item{
			Stream: eventstore.Stream(strings.ToLower(string(it.Stream))), Category: strings.ToLower(it.Category), Types: lower(it.Types), Tags: lower(it.Tags),
		}
	}
	folded := eventstore.Match(items...)
	return filter(b.Read(ctx, eventstore.All(), r), func(e *eventstore.Event) bool {
		return folded.Matches(&eventstore.Event{Type: strings.ToLower(e.Type), Stream: eventstore.Stream(strings.ToLower(string(e.Stream))), Tags: lower(e.Tags)})
	})
}

func lower(names []string) []string {
	names = slices.Clone(names)
	for i := range names {
		names[i] = strings.ToLower(names[i])
	}
	return names
}

// lagging finds events by tag only when the next commit has come.
type lagging struct {
	*memory.Backend
	mu   sync.Mutex
	head eventstore.Position // up to which tags are found
}

func (l *lagging) Commit(ctx context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.head = headOf(ctx, l.Backend)
	return l.Backend.Commit(ctx, batch)
}

func (l *lagging) Read(ctx context.Context, q eventstore.Query, r eventstore.Range) events {
	items := q.Items()
	if len(items) != 1 || len(items[0].Tags) != 1 || items[0].Tags[0] != "seat:1" || len(items[0].Types) > 0 {
		return l.Backend.Read(ctx, q, r)
	}
	return filter(l.Backend.Read(ctx, q, r), func(e *eventstore.Event) bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return e.Position <= l.head
	})
}

// stale is a connection that sees no further than the head at its first read, or at its own last commit.
type stale struct {
	*memory.Backend
	mu   sync.Mutex
	head eventstore.Position
}

func (s *stale) connect() eventstore.Backend { return &stale{Backend: s.Backend} }

func (s *stale) Commit(ctx context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	outcomes, err := s.Backend.Commit(ctx, batch)
	s.mu.Lock()
	s.head = headOf(ctx, s.Backend)
	s.mu.Unlock()
	return outcomes, err
}

func (s *stale) Read(ctx context.Context, q eventstore.Query, r eventstore.Range) events {
	s.mu.Lock()
	if s.head == 0 {
		s.head = headOf(ctx, s.Backend)
	}
	r.UpTo = min(s.head, max(r.UpTo, s.head))
	s.mu.Unlock()
	return s.Backend.Read(ctx, q, r)
}
