package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/necrostack/necrostack/eventstore"
)

// The log that is read: long streams, then short ones.
const (
	readEvents = 500_000
	longEach   = 1000
	shortEach  = 10
)

func (s *server) readFigures() []figure {
	const over = ", over the same SELECT with pgx, scanned into the same types and nothing decoded"
	type reads func(n int) (q eventstore.Query, where string, arg string, events int)
	both := func(name, what string, r reads) figure {
		return figure{
			name: name, unit: "x", what: what + over,
			ours: s.shared("read", fillRead, func(ctx context.Context, l *log) (measured, error) {
				return reading(func(n int) (int, int, error) {
					q, _, _, want := r(n)
					got := 0
					for _, err := range l.store.Read(ctx, q, eventstore.Range{}) {
						if err != nil {
							return 0, 0, err
						}
						got++
					}
					return got, want, nil
				})
			}),
			theirs: s.shared("read", fillRead, func(ctx context.Context, l *log) (_ measured, err error) {
				conn, err := pgx.Connect(ctx, s.dsn)
				if err != nil {
					return measured{}, err
				}
				defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
				return reading(func(n int) (int, int, error) {
					_, where, arg, want := r(n)
					got, err := scan(ctx, conn, l, where, arg)
					return got, want, err
				})
			}),
		}
	}
	return []figure{
		both("pg-read-all", "the whole log, 500,000 events", func(int) (eventstore.Query, string, string, int) {
			return eventstore.All(), "ORDER BY position", "", readEvents
		}),
		both("pg-read-type", "one type in ten of that log", func(n int) (eventstore.Query, string, string, int) {
			kind := fmt.Sprint("order type ", n%10)
			return eventstore.OfType(kind), "WHERE type = $1 ORDER BY position", kind, readEvents / 10
		}),
		both("pg-load-10", "streams of 10 events, one after the other", func(n int) (eventstore.Query, string, string, int) {
			stream := fmt.Sprint("short-", n*7919%(readEvents/2/shortEach)+1)
			return eventstore.InStream(eventstore.Stream(stream)), "WHERE stream = $1 ORDER BY version", stream, shortEach
		}),
		both("pg-load-1000", "streams of 1,000 events, one after the other", func(n int) (eventstore.Query, string, string, int) {
			stream := fmt.Sprint("long-", n*7919%(readEvents/2/longEach)+1)
			return eventstore.InStream(eventstore.Stream(stream)), "WHERE stream = $1 ORDER BY version", stream, longEach
		}),
	}
}

// fillRead fills the log that is read: one event in five has two tags.
func fillRead(ctx context.Context, l *log) error {
	tags := "CASE i % 5 WHEN 0 THEN " + aboutBoth + " END"
	return errors.Join(
		l.fill(ctx, filling{stream: "long", events: readEvents / 2, each: longEach, tags: tags}),
		l.fill(ctx, filling{stream: "short", events: readEvents / 2, each: shortEach, tags: tags}),
	)
}

// reading measures reads, one after the other, each of which returns how many events it found and should have. The first
// opens the connection and prepares the statement.
func reading(read func(n int) (got, want int, err error)) (m measured, err error) {
	events, start := 0, time.Now()
	for n := 0; n <= 1 || time.Since(start) < lasting*2/3; n++ {
		before := time.Now()
		got, want, err := read(n)
		if err == nil && got != want {
			err = fmt.Errorf("read %d events, not %d", got, want)
		}
		if err != nil {
			return m, err
		}
		if n == 0 {
			start = time.Now()
			continue
		}
		events, m.took = events+got, append(m.took, time.Since(before))
	}
	m.rate = float64(events) / time.Since(start).Seconds()
	slices.Sort(m.took)
	return m, nil
}

// scan reads with pgx alone.
func scan(ctx context.Context, conn *pgx.Conn, l *log, where, arg string) (n int, err error) {
	var args []any
	if arg != "" {
		args = append(args, arg)
	}
	rows, err := conn.Query(ctx, "SELECT position, stream, version, id, type, tags, data, metadata, time FROM "+l.table()+" "+where, args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var position, version int64
		var stream, kind string
		var id uuid.UUID
		var tags, data, metadata []byte
		var at time.Time
		if err := rows.Scan(&position, &stream, &version, &id, &kind, &tags, &data, &metadata, &at); err != nil {
			return 0, err
		}
		n++
	}
	return n, rows.Err()
}
