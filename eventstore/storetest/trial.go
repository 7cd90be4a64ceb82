package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// trial is one check at work: a testing.TB with a log to try.
type trial struct {
	testing.TB
	h       Harness
	ctx     context.Context // ends when the check has run out of patience
	promise string
	says    string
	connect func() eventstore.Backend
	store   *eventstore.Store // the first connection

	mu        sync.Mutex
	consumers []string // those that the check has defined
}

// each tries cases one after the other on one log. A failure names the case.
func each[C any](t *trial, cases []C, name func(C) string, try func(C)) {
	t.Helper()
	says := t.says
	for _, c := range cases {
		t.says = says + ": " + name(c)
		try(c)
	}
	t.says = says
}

// broken reports evidence against the promise. It may be called from any goroutine.
func (t *trial) broken(format string, args ...any) {
	t.Helper()
	t.Errorf("broken promise: %s\n\tnot true: %s\n\tevidence: %s", t.promise, t.says, fmt.Sprintf(format, args...))
}

// brokenNow is broken for when there is no sense in going on.
func (t *trial) brokenNow(format string, args ...any) {
	t.Helper()
	t.broken(format, args...)
	t.FailNow()
}

// need ends the check if something failed that it is only built on.
func (t *trial) need(err error, format string, args ...any) {
	t.Helper()
	if err != nil {
		t.Fatalf("could not try whether %s: %s: %v", t.says, fmt.Sprintf(format, args...), err)
	}
}

// another connects to the log once more.
func (t *trial) another() *eventstore.Store {
	return t.wrapped(eventstore.Config{}, func(b eventstore.Backend) eventstore.Backend { return b })
}

// wrapped connects to the log through something that stands before the backend.
func (t *trial) wrapped(cfg eventstore.Config, wrap func(eventstore.Backend) eventstore.Backend) *eventstore.Store {
	t.Helper()
	s := eventstore.New(wrap(t.connect()), cfg)
	t.need(s.Fault(), "open a store")
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close a store: %v", err)
		}
	})
	return s
}

// pair is the first connection and another one.
func (t *trial) pair() []*eventstore.Store { return []*eventstore.Store{t.store, t.another()} }

// has reports whether the backend implements an optional interface.
func (t *trial) has(c Capability) bool { return c.of(t.store.Backend()) }

// commit writes what nothing speaks against.
func (t *trial) commit(s *eventstore.Store, c eventstore.Commit) eventstore.Result {
	t.Helper()
	r, err := s.Commit(t.ctx, c)
	t.need(err, "commit %s, which nothing speaks against", showCommit(c))
	return r
}

// add writes events to a stream that may be at any version.
func (t *trial) add(s *eventstore.Store, stream eventstore.Stream, events ...eventstore.Event) eventstore.Result {
	t.Helper()
	return t.commit(s, appends(to(stream, events...)))
}

// refused commits what must fail with the target, and change nothing.
func (t *trial) refused(s *eventstore.Store, c eventstore.Commit, target error) {
	t.Helper()
	_ = t.refusal(s, c, target)
}

// refusal is refused, and returns the error.
func (t *trial) refusal(s *eventstore.Store, c eventstore.Commit, target error) error {
	t.Helper()
	before := t.dump(s)
	r, err := s.Commit(t.ctx, c)
	switch {
	case err == nil:
		t.broken("the commit %s was accepted with result %+v; it must be refused: %v", showCommit(c), r, target)
	case !errors.Is(err, target):
		t.broken("the commit %s failed with %q; it must fail with %q", showCommit(c), err, target)
	}
	if after := t.dump(s); after != before {
		t.broken("the commit %s was refused, and yet it changed something:\n%s", showCommit(c), difference(before, after))
	}
	return err
}

// read collects what a read yields, and its Through.
func (t *trial) read(s *eventstore.Store, q eventstore.Query, r eventstore.Range) (got []eventstore.Event, through eventstore.Position) {
	t.Helper()
	through = -1
	r.Through = &through
	for e, err := range s.Read(t.ctx, q, r) {
		t.need(err, "read %s", showRange(r))
		got = append(got, e)
	}
	return got, through
}

// all is the whole log.
func (t *trial) all(s *eventstore.Store) []eventstore.Event {
	t.Helper()
	got, _ := t.read(s, eventstore.All(), eventstore.Range{})
	return got
}

// until looks again and again, until what it waits for is there.
func (t *trial) until(what string, there func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !there() {
		select {
		case <-tick.C:
		case <-t.ctx.Done():
			t.brokenNow("waited in vain until %s", what)
		}
	}
}

// event makes an event of a type, with a new id.
func event(typ string, tags ...string) eventstore.Event {
	return eventstore.Event{ID: newID(), Type: typ, Tags: tags, Data: []byte(`{"n": 1}`)}
}

// eventsOf makes n events of a type.
func eventsOf(n int, typ string, tags ...string) []eventstore.Event {
	events := make([]eventstore.Event, n)
	for i := range events {
		events[i] = event(typ, slices.Clone(tags)...)
	}
	return events
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// to appends events to a stream at any version.
func to(s eventstore.Stream, events ...eventstore.Event) eventstore.Append {
	return eventstore.Append{Stream: s, Events: events}
}

// expecting appends events to a stream at an expected version.
func expecting(x eventstore.Expected, s eventstore.Stream, events ...eventstore.Event) eventstore.Append {
	return eventstore.Append{Stream: s, Expect: x, Events: events}
}

func appends(a ...eventstore.Append) eventstore.Commit { return eventstore.Commit{Appends: a} }

// unless adds a condition to a commit.
func unless(c eventstore.Commit, q eventstore.Query, after eventstore.Position) eventstore.Commit {
	c.Unless = append(slices.Clone(c.Unless), eventstore.Condition{Query: q, After: after})
	return c
}

// later is a schedule of an append.
func later(due time.Time, s eventstore.Stream, events ...eventstore.Event) eventstore.Schedule {
	return eventstore.Schedule{ID: newID(), Due: due, Append: to(s, events...)}
}

// Times that are past and future by any clock.
func past(n int) time.Time   { return time.Date(2001, 1, 1, 0, 0, n, 0, time.UTC) }
func future(n int) time.Time { return time.Date(2901, 1, 1, 0, 0, n, 0, time.UTC) }
