package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/spine"
)

func (s *server) viewFigures() []figure {
	const rebuilt = "a view of 100,000 rows folded from 1 million events"
	heap := func(ours, _ measured) float64 { return megabytes(ours.heap.peak) }
	return []figure{
		{
			name: "view-rebuild", unit: "events/s", ours: s.rebuilding(1, "account", perAccount()),
			what: rebuilt + " by a Spine that does nothing else, until it has caught up with the head",
		},
		{
			name: "view-sql", unit: "events/s", ours: s.moved(1, (*log).group),
			what: "the same rows by INSERT … SELECT … GROUP BY from the events: SQL's own limit for view-rebuild",
		},
		{
			name: "view-rebuild-vs-upsert", unit: "x", ours: s.rebuilding(1, "account", perAccount()), theirs: s.moved(1, (*log).upsert),
			what: "view-rebuild over a loop by hand with an upsert for each event, 1,000 a transaction",
		},
		{
			name: "view-rebuild-5-vs-1", unit: "x", ours: s.rebuilding(1, "group", perGroup(5)...), theirs: s.rebuilding(1, "group", perGroup(1)...),
			what:  "time that five views of 1,000 rows take together, from the same events, over that of one alone",
			value: func(five, one measured) float64 { return one.rate / five.rate },
		},
		{
			name: "view-memory-1m", unit: "MB", ours: s.rebuilding(1, "account", perAccount()), value: heap, runs: 1,
			what: "the heap at its peak during view-rebuild, in one run",
		},
		{
			name: "view-memory-5m", unit: "MB", ours: s.rebuilding(5, "account", perAccount()), value: heap, runs: 1,
			what: "the same for as many rows from 5 million events",
		},
		{
			name: "visible-p50", unit: "ms", ours: s.with(visible), value: percentile(50),
			what: "from when an append was due until another process's view shows it, at 1,000 events/s: half of the events",
		},
		{
			name: "visible-p99", unit: "ms", ours: s.with(visible), value: percentile(99),
			what: "the same: 99 % of the events",
		},
	}
}

// moved measures on a log of movements, times as many as -folded says.
func (s *server) moved(times int, measure func(*log, context.Context, int) (measured, error)) side {
	events := times * s.folded
	return s.shared(fmt.Sprintf("moved-%d", times), s.moves(events), func(ctx context.Context, l *log) (measured, error) {
		return measure(l, ctx, events)
	})
}

// rebuilding measures views that begin with no rows and have one for each value of an event's key.
func (s *server) rebuilding(times int, key string, views ...projections.View[balance]) side {
	return s.moved(times, func(l *log, ctx context.Context, events int) (m measured, err error) {
		organs := make([]spine.Organ, len(views))
		for i, v := range views {
			organs[i] = v
			if err := l.store.Reset(ctx, consumer(v), 0); err != nil && !errors.Is(err, eventstore.ErrInvalid) { // never run
				return m, err
			}
		}
		if err := s.exec(ctx, "CHECKPOINT"); err != nil {
			return m, err
		}
		start := time.Now()
		err = running(ctx, l.store, organs, func(ctx context.Context, sp *spine.Spine) error {
			m.heap, err = watched(func() error { return l.catchUp(ctx, sp, views) })
			m.rate = float64(events) / time.Since(start).Seconds()
			return err
		})
		for i := 0; i < len(views) && err == nil; i++ {
			err = l.balanced(ctx, "view_"+consumer(views[i]), key, events)
		}
		return m, err
	})
}

func consumer(v projections.View[balance]) string { return v.Name + "_v1" }

// running runs organs meanwhile.
func running(ctx context.Context, store *eventstore.Store, organs []spine.Organ, meanwhile func(context.Context, *spine.Spine) error) error {
	sp, err := spine.New(store, spine.Config{Logger: slog.New(slog.DiscardHandler)}, organs...)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		defer stop()
		ended <- sp.Run(ctx)
	}()
	err = meanwhile(ctx, sp)
	stop()
	return errors.Join(err, <-ended)
}

// catchUp waits until views have done all that is in the log, and nothing is parked.
func (l *log) catchUp(ctx context.Context, sp *spine.Spine, views []projections.View[balance]) error {
	head, err := l.store.Head(ctx)
	for _, v := range views {
		if err == nil {
			err = sp.WaitFor(ctx, consumer(v), head)
		}
	}
	if err != nil {
		return err
	}
	for _, v := range views {
		s, err := l.store.Status(ctx, consumer(v))
		if err != nil || s.Lag != 0 || s.Parked != 0 {
			return fmt.Errorf("%s is %d behind, with %d parked: %w", consumer(v), s.Lag, s.Parked, err)
		}
	}
	return nil
}

// balanced checks that a table has the rows that the events up to a position come to, each of them, by SQL.
func (l *log) balanced(ctx context.Context, table, key string, through int) error {
	return l.server.connected(ctx, func(conn *pgx.Conn) error {
		var rows, wrong int
		err := conn.QueryRow(ctx, fmt.Sprintf(`SELECT count(r.key), count(*) FILTER (WHERE (r.cents, r.movements, r.last) IS DISTINCT FROM (e.cents, e.movements, e.last))
			FROM %s.%s r FULL JOIN (
				SELECT data ->> '%s' AS key, sum((data ->> 'cents')::bigint) AS cents, count(*) AS movements, max(time) AS last
				FROM %[1]s.events WHERE type = '%[4]s' AND position <= %[5]d GROUP BY 1) e USING (key)`,
			l.schema, table, key, movement{}.EventType(), through)).Scan(&rows, &wrong)
		if err == nil && (rows == 0 || wrong > 0) {
			err = fmt.Errorf("of %d rows of %s, %d are missing, wrong or too many", rows, table, wrong)
		}
		return err
	})
}
