package main

import (
	"context"
	"fmt"

	"github.com/necrostack/necrostack/eventstore"
)

func (s *server) appendFigures() []figure {
	const inserts = "plain single-row INSERT transactions, unordered, on as many connections, same row and indexes"
	const copies = "COPY of 1,000 rows each on one connection, same row and indexes"
	return []figure{
		{
			name: "pg-append-1", unit: "x", ours: s.appending(1, 1), theirs: s.inserting(1),
			what: "1 writer, 1 event a commit, over " + inserts,
		},
		{
			name: "pg-append-8", unit: "x", ours: s.appending(8, 1), theirs: s.inserting(8),
			what: "8 writers, 1 event a commit, over " + inserts,
		},
		{
			name: "pg-append-64", unit: "x", ours: s.appending(64, 1), theirs: s.inserting(64),
			what: "64 writers, 1 event a commit, over " + inserts,
		},
		{
			name: "pg-append-256", unit: "x", ours: s.appending(256, 1), theirs: s.copying(),
			what: "256 writers, 1 event a commit, over " + copies,
		},
		{
			name: "pg-append-1024", unit: "x", ours: s.appending(1024, 1), theirs: s.copying(),
			what: "1,024 writers, 1 event a commit, over " + copies,
		},
		{
			name: "pg-append-64x10", unit: "x", ours: s.appending(64, 10), theirs: s.copying(),
			what: "64 writers, 10 events a commit, over " + copies,
		},
		{
			name: "pg-append-4proc", unit: "x", ours: s.with(appendingProcesses), theirs: s.inserting(64),
			what: "4 processes of 16 writers, 1 event a commit, over " + inserts + ", in one process",
		},
	}
}

// appending measures appends to an empty log.
func (s *server) appending(n, events int) side {
	return s.with(func(ctx context.Context, l *log) (measured, error) { return l.append(ctx, n, events) })
}

// append measures n writers, each to streams of its own, whose versions it knows and expects.
func (l *log) append(ctx context.Context, n, events int) (measured, error) {
	before, err := l.store.Head(ctx)
	if err != nil {
		return measured{}, err
	}
	l.runs++
	s, commits, err := appenders(l.store, fmt.Sprint("o", l.runs), n, events).measure(ctx)
	if err != nil {
		return s, err
	}
	return s, l.server.count(ctx, l.table(), int(before)+commits*events)
}

// appenders are writers that append to streams whose names begin with category.
func appenders(store *eventstore.Store, category string, n, events int) writers {
	payloads := make([]eventstore.Payload, events)
	for i := range payloads {
		payloads[i] = wide
	}
	return writers{n: n, events: events, write: func(ctx context.Context, w, k int) error {
		stream, version := place(category, w, k*events)
		_, err := store.Append(ctx, eventstore.Stream(stream), eventstore.Exact(eventstore.Version(version)), payloads...)
		return err
	}}
}

// place is where a writer's event n goes: a stream, and its version before.
func place(category string, w, n int) (stream string, version int) {
	return fmt.Sprintf("%s-%d.%d", category, w, n/perStream), n % perStream
}
