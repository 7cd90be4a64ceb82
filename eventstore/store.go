package eventstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/internal/signal"
)

// Config of a Store. The zero value works.
type Config struct {
	Upcasters []Upcaster    // read old schemas as new ones. Defaults to none
	Codec     Codec         // reads and writes payloads. Defaults to encoding/json
	MaxData   int           // bytes of one payload. Defaults to 1 MiB
	MaxEvents int           // events of one commit. Defaults to 10,000
	MaxCommit int           // bytes of the payloads of one commit. Defaults to 64 MiB
	Poll      time.Duration // the longest a reader sleeps when nothing wakes it. Defaults to 1 s
}

// Validate reports all faults at once.
func (cfg Config) Validate() error {
	_, err := newUpcasts(cfg.Upcasters)
	if cfg.MaxData < 0 || cfg.MaxEvents < 0 || cfg.MaxCommit < 0 || cfg.Poll < 0 {
		err = errors.Join(err, invalid("store config", "has a negative limit"))
	}
	return err
}

func (cfg Config) withDefaults() Config {
	if cfg.Codec == nil {
		cfg.Codec = jsonCodec{}
	}
	orDefault(&cfg.MaxData, 1<<20)
	orDefault(&cfg.MaxEvents, 10_000)
	orDefault(&cfg.MaxCommit, 64<<20)
	orDefault(&cfg.Poll, time.Second)
	return cfg
}

func orDefault[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// Store is a log as users hold it. It checks limits, gathers the commits of many goroutines into batches,
// and reads old schemas as new ones. It is safe for concurrent use.
type Store struct {
	backend Backend
	cfg     Config
	fault   error // of cfg
	upcasts *upcasts
	writer  *writer
	moved   signal.Signal // checkpoints have moved through this store
	closed  atomic.Bool
}

// New makes a store on a backend. It is for implementers, and for tests that wrap a backend; users open a
// store from a backend's package. A faulty Config is reported by the first use.
func New(b Backend, cfg Config) *Store {
	s := &Store{backend: b, cfg: cfg.withDefaults(), fault: cfg.Validate()}
	if s.fault == nil {
		s.upcasts, _ = newUpcasts(cfg.Upcasters)
	}
	s.writer = newWriter(b, &s.moved)
	return s
}

// Backend returns the port, for assertions on its optional interfaces.
func (s *Store) Backend() Backend { return s.backend }

// Config returns how the store was made, with defaults filled in.
func (s *Store) Config() Config { return s.cfg }

// Fault is what Config.Validate found; everything the store is asked to do fails with it.
func (s *Store) Fault() error { return s.fault }

// Close waits for commits under way, refuses whatever comes later with ErrClosed, and closes the backend.
// Closing again does nothing.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.writer.close()
	return s.backend.Close()
}

// Commit writes c, whole or not at all. It fails with ErrInvalid, ErrConflict, ErrFenced, ErrIDReused or
// ErrClosed, all of which mean that nothing was written, or with ErrOutcomeUnknown. If ctx ends while c
// waits for its turn, nothing was written and the error is the context's; if c was under way already, its
// outcome is unknown. The caller keeps what c refers to.
func (s *Store) Commit(ctx context.Context, c Commit) (Result, error) {
	return s.commit(ctx, c.clone(), false)
}

// Append commits payloads to one stream, each with a new id unless it is a Draft with one.
func (s *Store) Append(ctx context.Context, to Stream, expect Expected, payloads ...Payload) (Result, error) {
	a, err := s.NewAppend(to, expect, payloads...)
	if err != nil {
		return Result{}, err
	}
	return s.commit(ctx, Commit{Appends: []Append{a}}, true)
}

// Emit commits payloads to the streams that they name (see In), all in one commit that expects nothing. One
// that names none begins a stream of its own, "<type>-<id>".
func (s *Store) Emit(ctx context.Context, payloads ...Payload) (Result, error) {
	c := Commit{Appends: make([]Append, 0, len(payloads))}
	all := make([]Event, len(payloads))
	for i, p := range payloads {
		e := &all[i]
		if err := s.encode(p, e); err != nil {
			return Result{}, fmt.Errorf("emit event %d: %w", i+1, err)
		}
		if e.Stream == "" {
			e.Stream = StreamOf(e.Type, e.ID.String())
		}
		if n := len(c.Appends) - 1; n >= 0 && c.Appends[n].Stream == e.Stream {
			c.Appends[n].Events = all[i-len(c.Appends[n].Events) : i+1]
			continue
		}
		c.Appends = append(c.Appends, Append{Stream: e.Stream, Events: all[i : i+1]})
	}
	r, err := s.commit(ctx, c, true)
	if err != nil {
		return r, fmt.Errorf("emit: %w", err)
	}
	return r, nil
}

// commit takes over what c refers to.
func (s *Store) commit(ctx context.Context, c Commit, encoded bool) (Result, error) {
	if err := s.prepare(ctx, &c, encoded); err != nil {
		return Result{}, err
	}
	return s.writer.write(ctx, c)
}

// complete gives a commit what it does not say itself, and every time the resolution that backends keep.
func (c *Commit) complete(from Metadata) {
	for i := range c.Appends {
		c.Appends[i].complete(from)
	}
	for i := range c.Schedules {
		c.Schedules[i].Due = c.Schedules[i].Due.UTC().Truncate(time.Microsecond)
		c.Schedules[i].Append.complete(from)
	}
	for i := range c.Parks {
		p := &c.Parks[i]
		if p.Redriven = false; !p.Due.IsZero() {
			p.Due = p.Due.UTC().Truncate(time.Microsecond)
		}
		for j := range p.Failures {
			p.Failures[j].At = p.Failures[j].At.UTC().Truncate(time.Microsecond)
		}
	}
	for i := range c.Deliveries {
		c.Deliveries[i].Attempt, c.Deliveries[i].Failures = 0, nil
	}
	for i := range c.Returns {
		r := &c.Returns[i]
		r.Due, r.Failure.At = r.Due.UTC().Truncate(time.Microsecond), r.Failure.At.UTC().Truncate(time.Microsecond)
	}
}

// complete fills in what events do not say about their origin, and drops what is the store's to give.
func (a *Append) complete(from Metadata) {
	for i := range a.Events {
		e := &a.Events[i]
		*e = Event{ID: e.ID, Type: e.Type, Stream: a.Stream, Tags: e.Tags, Data: e.Data, Metadata: e.Metadata}
		e.Metadata.fill(from)
		if e.Metadata.Correlation == uuid.Nil {
			e.Metadata.Correlation = e.ID
		}
	}
}

// Read yields the events that match q within r, in order, from one snapshot of the log. An error ends it.
// Events of old schemas come through the upcasters; q selects by what they become.
func (s *Store) Read(ctx context.Context, q Query, r Range) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		err := s.fault
		if s.closed.Load() {
			err = ErrClosed
		}
		if err == nil {
			err = errors.Join(q.Validate(), r.validate())
		}
		if err == nil {
			err = s.read(ctx, q, r, yield)
		}
		if err != nil {
			yield(Event{}, fmt.Errorf("read: %w", err))
		}
	}
}

// read yields events and returns the error that ended them.
func (s *Store) read(ctx context.Context, q Query, r Range, yield func(Event, error) bool) error {
	var head, last Position
	n, stored := 0, r
	stored.Through = &head
	expanded := s.upcasts.expand(q)
	for e, err := range s.backend.Read(ctx, expanded, stored) {
		if err != nil {
			return unavailable(ctx, err)
		}
		n, last = n+1, e.Position
		e.codec = s.cfg.Codec
		if !s.upcasts.each(e, q, yield) {
			if !r.Backward {
				r.report(last)
			}
			return nil
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	switch {
	case !r.Backward && r.Limit > 0 && n == r.Limit:
		r.report(last)
	case r.UpTo > 0:
		r.report(min(head, r.UpTo))
	default:
		r.report(head)
	}
	return nil
}

// unavailable says of the error of a read whether it is only that the log is not available.
func unavailable(ctx context.Context, err error) error {
	if ctx.Err() == nil && IsRetryable(err) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

func (r Range) report(through Position) {
	if r.Through != nil {
		*r.Through = through
	}
}

func (r Range) validate() error {
	if r.After < 0 || r.UpTo < 0 || r.Limit < 0 || r.After > maxVersion || r.UpTo > maxVersion {
		return invalid("range", "after %d up to %d limit %d: has a bound that is not 0 … %d", r.After, r.UpTo, r.Limit, int64(maxVersion))
	}
	return nil
}

// Head returns the position of the last event, 0 for an empty log.
func (s *Store) Head(ctx context.Context) (head Position, err error) {
	for _, err := range s.Read(ctx, Query{}, Range{Through: &head}) {
		if err != nil {
			return 0, err
		}
	}
	return head, nil
}
