package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
)

// wide is an event whose columns come to 350 bytes: 225 of data, 54 of metadata, 15 of type, 8 each of position,
// version, time and first, 16 of id, and a stream's name of 8 to 17.
var wide = order{
	Order: "order-123456", Trader: "trader-98765", Symbol: "AAPL", Quantity: 100, Price: 18553,
	Note: "good until filled: route to the primary exchange display a tenth of the quantity, and report each fill to the desk at once",
}

// perStream is how many events the streams get that are appended to; then another one begins.
const perStream = 50

// A log is one of ours, through the public API, with the pool that postgres.Open makes.
type log struct {
	server *server
	schema string
	store  *eventstore.Store
	runs   int // that have appended to it, so that each has streams of its own
}

// fresh opens an empty log.
func (s *server) fresh(ctx context.Context) (*log, error) {
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	l := &log{server: s, schema: s.schema("ours")}
	var err error
	if l.store, err = postgres.Open(ctx, s.dsn, postgres.Config{Schema: l.schema}); err != nil {
		return nil, err
	}
	return l, s.exec(ctx, "CHECKPOINT")
}

// table is the log's events.
func (l *log) table() string { return l.schema + ".events" }

// drop removes the log.
func (l *log) drop(ctx context.Context) error {
	return errors.Join(l.store.Close(), l.server.exec(ctx, "DROP SCHEMA "+l.schema+" CASCADE"))
}

// with measures on a fresh log, and removes it.
func (s *server) with(measure func(context.Context, *log) (measured, error)) side {
	return func(ctx context.Context) (_ measured, err error) {
		l, err := s.fresh(ctx)
		if err != nil {
			return measured{}, err
		}
		defer func() { err = errors.Join(err, l.drop(context.WithoutCancel(ctx))) }()
		return measure(ctx, l)
	}
}

// shared measures on a log that is filled when the first figure needs it, and kept.
func (s *server) shared(name string, fill func(context.Context, *log) error, measure func(context.Context, *log) (measured, error)) side {
	return func(ctx context.Context) (measured, error) {
		l := s.kept[name]
		if l == nil {
			var err error
			if l, err = s.fresh(ctx); err != nil {
				return measured{}, err
			}
			s.kept[name] = l
			start := time.Now()
			if err := fill(ctx, l); err != nil {
				return measured{}, fmt.Errorf("filling the %s log: %w", name, err)
			}
			if err := s.exec(ctx, "VACUUM (ANALYZE) "+l.schema+".events", "VACUUM (ANALYZE) "+l.schema+".event_tags", "CHECKPOINT"); err != nil {
				return measured{}, err
			}
			fmt.Printf("# log %s: filled in %.0f s, %s\n", name, time.Since(start).Seconds(), load())
		}
		return measure(ctx, l)
	}
}

// filling is what a log is filled with: whole streams, ten types in turn.
type filling struct {
	stream string // streams are named STREAM-1, STREAM-2, …
	events int
	each   int    // events of a stream, which stand one behind the other
	tags   string // SQL: the JSON array of event i's tags, or NULL
}

// fill appends to the tables themselves, in commits of 1,000 events: what a log of this size would hold. Its ids are as
// orderly as UUIDv7s. Afterwards the log itself has to agree that it is whole.
func (l *log) fill(ctx context.Context, f filling) error {
	const chunk = 100_000
	e, err := eventstore.Encode(wide)
	if err != nil {
		return err
	}
	before, err := l.store.Head(ctx)
	if err != nil {
		return err
	}
	var statements []string
	for from := 0; from < f.events; from += chunk {
		events := fmt.Sprintf(`INSERT INTO %s.events (position, stream, version, id, type, tags, data, metadata, time, first)
			SELECT %d + i + 1, '%s-' || i / %d + 1, i %% %d + 1, ('018f0000-' || lpad(to_hex((%[2]d + i) >> 16), 4, '0') || '-7000-8000-' || lpad(to_hex(%[2]d + i), 12, '0'))::uuid,
				'order type ' || i %% 10, %[6]s, '%[7]s', '%[8]s', clock_timestamp(), %[2]d + i - i %% 1000 + 1
			FROM generate_series(%[9]d, %[10]d) i`,
			l.schema, before, f.stream, f.each, f.each, f.tags, e.Data, metadata, from, min(from+chunk, f.events)-1)
		tags := fmt.Sprintf(`INSERT INTO %s.event_tags (tag, position, type)
			SELECT t.tag, e.position, e.type FROM %[1]s.events e, json_array_elements_text(e.tags) t (tag)
			WHERE e.position > %[2]d AND e.position <= %[3]d AND e.tags IS NOT NULL`,
			l.schema, int(before)+from, int(before)+min(from+chunk, f.events))
		statements = append(statements, events, tags)
	}
	if err := l.server.exec(ctx, statements...); err != nil {
		return err
	}
	if head, err := l.store.Head(ctx); err != nil || int(head-before) != f.events {
		return fmt.Errorf("the head is %d, not %d: %w", head, int(before)+f.events, err)
	}
	return nil
}
