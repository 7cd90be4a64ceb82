package redis

import (
	"context"
	"fmt"
	"iter"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/redis/go-redis/v9"
)

// OpenBeside opens a store that has the events of another one, such as a log in PostgreSQL, and keeps in Redis what is made of
// them: rows of views, and the consumers that fold these, with all there is of a consumer. A Spine of its own runs views on
// it, and reads wait for them by the positions of the log:
//
//	views, err := redis.OpenBeside(ctx, log, dsn, redis.Config{})
//	sp, err := spine.New(views, spine.Config{}, balances)
//	row, err := balances.Rows(views).Get(ctx, key, projections.AtLeast(position))
//
// Rows change together with the checkpoint of who folds them, so each event counts once. Whatever Redis loses, up to all that it
// has, is folded anew by itself; so a server that writes nothing to its disk will do, but one that evicts keys is refused
// unless Config.AcceptVolatile. Commits with appends, schedules or conditions are ErrInvalid, and organs that need them are faults
// of spine.New: they belong on the log's own store, which also is the one to emit events by.
//
// If the log lacks an event that it had, because its server lost some or because it is another log, everything fails with
// eventstore.ErrWentBack, and so does OpenBeside: what is kept is of events that never were. DropBeside removes it.
//
// Events are read as log reads them: Config.Store is not looked at. What keeps many logs, or several sets of views of one, needs
// a Config.Log for each. Close the store to disconnect, and before the log.
func OpenBeside(ctx context.Context, log *eventstore.Store, dsn string, cfg Config) (*eventstore.Store, error) {
	b, err := dial(ctx, dsn, cfg, log)
	if err != nil {
		return nil, err
	}
	return newBeside(b, log), nil
}

// OpenBesideClient is OpenBeside on the caller's client, which stays the caller's to close.
func OpenBesideClient(ctx context.Context, log *eventstore.Store, client redis.UniversalClient, cfg Config) (*eventstore.Store, error) {
	b, err := newBackend(ctx, client, cfg, log)
	if err != nil {
		return nil, err
	}
	return newBeside(b, log), nil
}

func newBeside(b *Backend, log *eventstore.Store) *eventstore.Store {
	return eventstore.New(&beside{b, b, b, b, b, b, b, log}, log.Config())
}

// beside is the events of a log that is elsewhere, and what is kept in Redis of consumers. It has no schedules.
type beside struct {
	eventstore.Leaser
	eventstore.Controller
	eventstore.Parker
	eventstore.Deliverer
	eventstore.Snapshotter
	eventstore.RowKeeper

	b   *Backend
	log *eventstore.Store
}

var (
	_ eventstore.Follower = (*beside)(nil)
	_ eventstore.Waker    = (*beside)(nil)
)

// Follows implements eventstore.Follower.
func (s *beside) Follows() {}

// Close implements eventstore.Backend. The log stays open.
func (s *beside) Close() error { return s.b.Close() }

// Commit implements eventstore.Backend, but for what belongs into the log.
func (s *beside) Commit(ctx context.Context, commits []eventstore.Commit) ([]eventstore.Outcome, error) {
	all := make([]eventstore.Outcome, len(commits))
	var kept []eventstore.Commit
	var of []int
	for i := range commits {
		c := &commits[i]
		if len(c.Appends)+len(c.Schedules)+len(c.Cancels)+len(c.Unless) > 0 {
			all[i].Err = &eventstore.InvalidError{Field: "commit", Reason: "has appends, schedules or conditions, and the log is elsewhere: commit it to the log's own store"}
			continue
		}
		kept, of = append(kept, *c), append(of, i)
	}
	if len(kept) == 0 {
		return all, nil
	}
	outcomes, err := s.b.commit(ctx, kept)
	if err != nil {
		return nil, err
	}
	for i, o := range outcomes {
		all[of[i]] = o
	}
	return all, nil
}

// Read implements eventstore.Backend.
func (s *beside) Read(ctx context.Context, q eventstore.Query, r eventstore.Range) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		f := s.b.follow
		if err := f.sure(ctx); err != nil {
			yield(eventstore.Event{}, err)
			return
		}
		before, head, last := f.known(), eventstore.Position(-1), mark{}
		given := r.Through
		r.Through = &head
		defer func() { f.note(last) }()
		for e, err := range s.log.Backend().Read(ctx, q, r) {
			if err != nil {
				f.doubt()
				yield(eventstore.Event{}, err)
				return
			}
			if e.Position > last.position {
				last = mark{e.Position, e.ID}
			}
			if !yield(e, nil) {
				return
			}
		}
		if head < 0 {
			return
		}
		if head < before.position && (r.UpTo == 0 || head < r.UpTo) {
			last = mark{}
			yield(eventstore.Event{}, f.spoil(ctx, f.shorter(before, head)))
			return
		}
		if given != nil {
			*given = head
		}
	}
}

// Wait implements eventstore.Waker: for the log's head, and what Redis tells of consumers.
func (s *beside) Wait(ctx context.Context, seen eventstore.Pulse) (eventstore.Pulse, error) {
	if _, back := s.b.seen.state(); back != nil {
		return seen, back
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var kept eventstore.Pulse
	var keptErr error
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cancel()
		kept, keptErr = changed(ctx, s.b.Wait, seen, func(p *eventstore.Pulse) { p.Roster, p.Window = seen.Roster, seen.Window })
	}()
	log, err := changed(ctx, s.log.Wait, seen, func(p *eventstore.Pulse) { p.Head = seen.Head })
	cancel()
	<-done
	if err != nil {
		s.b.follow.doubt()
		return seen, fmt.Errorf("the log: %w", err)
	}
	if keptErr != nil {
		return seen, keptErr
	}
	return eventstore.Pulse{Head: log.Head, Roster: kept.Roster, Window: kept.Window}, nil
}

// changed waits for a pulse that differs from what was seen in what matters, or for the end of ctx. put puts what was seen of that into
// a pulse.
func changed(ctx context.Context, wait func(context.Context, eventstore.Pulse) (eventstore.Pulse, error), seen eventstore.Pulse, put func(*eventstore.Pulse)) (eventstore.Pulse, error) {
	for {
		now, err := wait(ctx, seen)
		if err != nil || ctx.Err() != nil {
			return now, err
		}
		same := now
		put(&same)
		if same != now {
			return now, nil
		}
		seen = now
	}
}

// DropBeside removes all that stores opened by OpenBeside keep in Redis, for Config.Log. Views that still run begin anew. It is what
// to do after eventstore.ErrWentBack. It fails if there is a log of that name.
func DropBeside(ctx context.Context, dsn string, cfg Config) error {
	client, set, err := connect(dsn)
	if err != nil {
		return fmt.Errorf("drop beside: %w", err)
	}
	defer func() { _ = client.Close() }()
	if cfg.Log == "" {
		cfg.Log = set.log
	}
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("drop beside: %w", err)
	}
	cfg = cfg.withDefaults()
	b := &Backend{client: client, cfg: cfg, prefix: "{" + cfg.Log + "}:"}
	if err := b.drop(ctx); err != nil {
		return fmt.Errorf("drop beside %q: %w", cfg.Log, classify(err))
	}
	return nil
}
