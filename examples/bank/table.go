package main

import (
	"context"
	_ "embed"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
)

//go:embed statement.sql
var createTable string

// table keeps the lines in a table of the bank's own, in the database of the log.
type table struct{ pool *pgxpool.Pool }

// openTable creates the table if it is not there.
func openTable(ctx context.Context, dsn string) (*table, error) {
	_, rest, _ := strings.Cut(dsn, ":")
	pool, err := pgxpool.New(ctx, "postgres:"+rest)
	if err != nil {
		return nil, fmt.Errorf("open the statement: %w", err)
	}
	if _, err := pool.Exec(ctx, createTable); err != nil {
		pool.Close()
		return nil, fmt.Errorf("create the statement's table: %w", err)
	}
	return &table{pool}, nil
}

func (t *table) close() { t.pool.Close() }

// projection writes the lines. Each is a row of its own, so several partitions can work at once.
func (t *table) projection() projections.Projection {
	return projections.Handlers{
		Name: "statement",
		Key:  eventstore.ByStream,
		To: postgres.Handlers{
			enter(func(e eventstore.Recorded[Deposited]) []Line {
				return []Line{line(e.Stream.ID(), e.Event, e.Payload.Cents)}
			}),
			enter(func(e eventstore.Recorded[Withdrawn]) []Line {
				return []Line{line(e.Stream.ID(), e.Event, -e.Payload.Cents)}
			}),
			enter(func(e eventstore.Recorded[Transferred]) []Line {
				return []Line{line(e.Payload.From, e.Event, -e.Payload.Cents), line(e.Payload.To, e.Event, e.Payload.Cents)}
			}),
			postgres.OnReset(func(ctx context.Context, tx postgres.Tx) error {
				_, err := tx.Exec(ctx, "TRUNCATE bank_statement")
				return err
			}),
		},
	}
}

// enter enters the lines of as many events as there are at once. Types alternate, so these are few, and one statement is faster
// than COPY, which takes several messages to and fro.
func enter[E eventstore.Payload](lines func(eventstore.Recorded[E]) []Line) postgres.Handler {
	return postgres.OnBatch(func(ctx context.Context, tx postgres.Tx, es []eventstore.Recorded[E]) error {
		var c columns
		for _, e := range es {
			for _, l := range lines(e) {
				c.add(l)
			}
		}
		_, err := tx.Exec(ctx, "INSERT INTO bank_statement SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::timestamptz[])",
			c.accounts, c.positions, c.whats, c.cents, c.times)
		return err
	})
}

// columns are lines as PostgreSQL takes many of them in one statement.
type columns struct {
	accounts, whats  []string
	positions, cents []int64
	times            []time.Time
}

func (c *columns) add(l Line) {
	c.accounts, c.whats = append(c.accounts, l.Account), append(c.whats, l.What)
	c.positions, c.cents = append(c.positions, l.Position), append(c.cents, l.Cents)
	c.times = append(c.times, l.Time)
}

func (t *table) lines(ctx context.Context, account string, limit int) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		rows, err := t.pool.Query(ctx, `SELECT account, position, what, cents, time FROM bank_statement
			WHERE $1 IN ('', account) ORDER BY account DESC, position DESC LIMIT nullif($2::bigint, 0)`, account, limit)
		if err != nil {
			yield(Line{}, fmt.Errorf("read the statement: %w", err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			l, err := pgx.RowToStructByPos[Line](rows)
			if !yield(l, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(Line{}, fmt.Errorf("read the statement: %w", err))
		}
	}
}
