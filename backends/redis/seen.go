package redis

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/redis/go-redis/v9"
)

// mark is an event that a log had: where it stood, and its id.
type mark struct {
	position eventstore.Position
	id       uuid.UUID
}

// seen is what this process knows of its log: so it notices when the log is another one, which lacks events that it had. That may
// be behind any new connection, when a replica took over or the server was restored.
type seen struct {
	dialled, checked atomic.Int64 // connections, and how many of them there were when the log was last looked at
	checking         sync.Mutex

	mu   sync.Mutex
	last mark
	back error // the log went back
}

// note remembers an event, unless a later one is known.
func (s *seen) note(m mark) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.position > s.last.position {
		s.last = m
	}
}

// written remembers the last event of what was written.
func (s *seen) written(commits []eventstore.Commit, outcomes []eventstore.Outcome) {
	for i := range outcomes {
		if n := len(commits[i].Appends); n > 0 && outcomes[i].Err == nil {
			last := commits[i].Appends[n-1].Events
			s.note(mark{outcomes[i].Result.Position, last[len(last)-1].ID})
		}
	}
}

func (s *seen) state() (last mark, back error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, s.back
}

// went says that the log went back, from now on.
func (s *seen) went(format string, args ...any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.back == nil {
		s.back = fmt.Errorf("%w: %s", eventstore.ErrWentBack, fmt.Sprintf(format, args...))
	}
	return s.back
}

// sure fails if the log went back. It looks whenever there are new connections.
func (b *Backend) sure(ctx context.Context) error {
	s := &b.seen
	if _, back := s.state(); back != nil || b.follow != nil || s.checked.Load() == s.dialled.Load() {
		return back
	}
	s.checking.Lock()
	defer s.checking.Unlock()
	n := s.dialled.Load()
	last, back := s.state()
	if back != nil || s.checked.Load() == n {
		return back
	}
	if last.position > 0 {
		if err := b.holds(ctx, last); err != nil {
			return err
		}
	}
	s.checked.Store(n)
	return nil
}

// holds fails unless the log has an event.
func (b *Backend) holds(ctx context.Context, m mark) error {
	at := place(m.position)
	list, err := b.client.XRange(ctx, b.key("log"), at, at).Result()
	if err != nil {
		return classify(err)
	}
	if len(list) > 0 {
		if is := list[0].Values["id"]; is != m.id.String() {
			return b.seen.went("log %q has the event %v at position %d, where it had %s", b.cfg.Log, is, m.position, m.id)
		}
		return nil
	}
	p, err := pulseOf(b.lastPulse(ctx, b.client))
	if err != nil {
		return classify(err)
	}
	return b.seen.went("log %q ends at position %d, and it had the event %s at position %d", b.cfg.Log, p.Head, m.id, m.position)
}

// watch has the connections of a client counted, and tethered to errands.
func (s *seen) watch(client redis.UniversalClient, e *atomic.Pointer[errand]) {
	if c, ok := client.(*redis.ClusterClient); ok {
		c.OnNewNode(func(node *redis.Client) { node.AddHook(counting{n: &s.dialled}) })
		return
	}
	client.AddHook(counting{&s.dialled, e})
}

// counting counts connections, and has errands go by them.
type counting struct {
	n      *atomic.Int64
	errand *atomic.Pointer[errand]
}

func (d counting) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		d.n.Add(1)
		if _, plain := conn.(*net.TCPConn); plain && d.errand != nil {
			conn = &tether{Conn: conn, errand: d.errand}
		}
		return conn, nil
	}
}

func (counting) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (counting) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
