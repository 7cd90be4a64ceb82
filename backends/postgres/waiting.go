package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/necrostack/necrostack/eventstore"
)

// Fire implements eventstore.Scheduler.
func (b *Backend) Fire(ctx context.Context, limit int) (fired int, next time.Time, err error) {
	var due *time.Time
	if err := b.call(ctx, fire, []any{limit}, &fired, &due); err != nil {
		return 0, next, classify(err)
	}
	if fired > 0 {
		b.moved()
	}
	if due != nil {
		next = due.UTC()
	}
	return fired, next, nil
}

// Scheduled implements eventstore.Scheduler.
func (b *Backend) Scheduled(ctx context.Context) iter.Seq2[eventstore.Schedule, error] {
	return each(ctx, b, `SELECT id, due, stream, events FROM @schedules WHERE due IS NOT NULL ORDER BY due, made`, nil,
		func(rows pgx.Rows) (s eventstore.Schedule, err error) {
			var data []byte
			if err := rows.Scan(&s.ID, &s.Due, &s.Append.Stream, &data); err != nil {
				return s, err
			}
			var events []event
			if err := json.Unmarshal(data, &events); err != nil {
				return s, err
			}
			s.Due = s.Due.UTC()
			for _, e := range events {
				s.Append.Events = append(s.Append.Events, eventstore.Event{
					ID: e.ID, Type: e.Type, Stream: s.Append.Stream, Tags: e.Tags, Data: json.RawMessage(e.Data), Metadata: eventstore.Metadata(e.Metadata),
				})
			}
			return s, nil
		})
}

// Parked implements eventstore.Parker.
func (b *Backend) Parked(ctx context.Context, f eventstore.ParkedFilter) iter.Seq2[eventstore.Parked, error] {
	all := each(ctx, b, `SELECT id, consumer, partition, key, position, event, attempts, failures, due, redriven, at FROM @parked
		WHERE ($1 = '' OR consumer = $1) AND ($2 = '' OR key = $2) AND ($3::uuid[] IS NULL OR id = ANY ($3))
		ORDER BY position, key, consumer, id`, []any{f.Consumer, f.Key, f.IDs},
		func(rows pgx.Rows) (p eventstore.Parked, err error) {
			var failures []byte
			var due *time.Time
			if err := rows.Scan(&p.ID, &p.Consumer, &p.Partition, &p.Key, &p.Position, &p.Event, &p.Attempts, &failures, &due, &p.Redriven, &p.At); err != nil {
				return p, err
			}
			if due != nil {
				p.Due = due.UTC()
			}
			p.At = p.At.UTC()
			p.Failures, err = decodeFailures(failures)
			return p, err
		})
	return func(yield func(eventstore.Parked, error) bool) {
		for p, err := range all {
			if (err != nil || f.Matches(&p)) && !yield(p, err) {
				return
			}
		}
	}
}

// each yields what a statement returns. It reads all of it before it yields anything, so that no connection is held
// meanwhile: what waits is not much.
func each[T any](ctx context.Context, b *Backend, text string, args []any, scan func(pgx.Rows) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		rows, err := b.reserve.Query(ctx, b.sql(text), args...)
		var all []T
		if err == nil {
			all, err = pgx.CollectRows(rows, func(pgx.CollectableRow) (T, error) { return scan(rows) })
		}
		if err != nil {
			var none T
			yield(none, classify(err))
			return
		}
		for _, x := range all {
			if !yield(x, nil) {
				return
			}
		}
	}
}

// Take implements eventstore.Deliverer.
func (b *Backend) Take(ctx context.Context, consumer string, t eventstore.Taking) (taken []eventstore.Delivery, err error) {
	for d, err := range each(ctx, b, `WITH again AS MATERIALIZED (
			SELECT id FROM @deliveries WHERE consumer = $1 AND attempt > 0 AND due <= clock_timestamp()
			ORDER BY position, id LIMIT $2 FOR UPDATE SKIP LOCKED
		), free AS (
			SELECT id FROM @deliveries WHERE consumer = $1 AND due <= clock_timestamp()
				AND (attempt = 0 OR id IN (SELECT id FROM again))
				AND EXISTS (SELECT 1 FROM @consumers WHERE name = $1 AND NOT paused AND ($5::bigint = 0 OR generation = $5::bigint))
			ORDER BY position, id LIMIT $2::bigint + $3::bigint FOR UPDATE SKIP LOCKED
		), taken AS (
			UPDATE @deliveries d SET attempt = attempt + 1, held = true, due = clock_timestamp() + $4 FROM free
			WHERE d.consumer = $1 AND d.id = free.id
			RETURNING d.id, d.position, d.event, d.attempt, d.failures
		) SELECT * FROM taken ORDER BY position, id`, []any{consumer, t.Limit, t.Ahead, t.Visibility, t.Generation},
		func(rows pgx.Rows) (d eventstore.Delivery, err error) {
			var failures []byte
			d.Consumer = consumer
			if err := rows.Scan(&d.ID, &d.Position, &d.Event, &d.Attempt, &failures); err != nil {
				return d, err
			}
			d.Failures, err = decodeFailures(failures)
			return d, err
		}) {
		if err != nil {
			return nil, err
		}
		taken = append(taken, d)
	}
	return taken, nil
}

// Window implements eventstore.Deliverer.
func (b *Backend) Window(ctx context.Context, consumer string) (outstanding int, next time.Time, err error) {
	var due *time.Time
	err = b.reserve.QueryRow(ctx, b.sql(`SELECT count(*), min(due) FROM @deliveries WHERE consumer = $1`), consumer).Scan(&outstanding, &due)
	if due != nil {
		next = due.UTC()
	}
	return outstanding, next, classify(err)
}

// Save implements eventstore.Snapshotter.
func (b *Backend) Save(ctx context.Context, s eventstore.Snapshot) error {
	_, err := b.reserve.Exec(ctx, b.sql(`INSERT INTO @snapshots AS old (fold, stream, version, data) VALUES ($1, $2, $3, $4::text::json)
		ON CONFLICT (fold, stream) DO UPDATE SET version = excluded.version, data = excluded.data WHERE old.version < excluded.version`),
		s.Fold, string(s.Stream), int64(s.Version), string(s.Data))
	return classify(err)
}

// Snapshot implements eventstore.Snapshotter.
func (b *Backend) Snapshot(ctx context.Context, fold string, stream eventstore.Stream) (s eventstore.Snapshot, err error) {
	var data []byte
	err = b.reserve.QueryRow(ctx, b.sql(`SELECT fold, stream, version, data FROM @snapshots WHERE fold = $1 AND stream = $2`), fold, string(stream)).
		Scan(&s.Fold, &s.Stream, &s.Version, &data)
	if errors.Is(err, pgx.ErrNoRows) {
		return eventstore.Snapshot{}, nil
	}
	s.Data = data
	return s, classify(err)
}
