package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/necrostack/necrostack/eventstore"
)

// plain is a table with the columns and indexes of ours, without its triggers. Positions come from a sequence.
type plain struct {
	server *server
	schema string
	data   string // ready made: what encoding costs is on our side alone
}

func (p plain) table() string { return p.schema + ".events" }

// metadata has the length of what our events have.
const metadata = `{"correlation":"0190a6b2-7c3d-7e4f-8a9b-0c1d2e3f4a5b"}`

var plainColumns = []string{"stream", "version", "id", "type", "tags", "data", "metadata", "time", "first"}

// withPlain measures on a fresh table, and removes it.
func (s *server) withPlain(measure func(context.Context, plain) (measured, error)) side {
	return func(ctx context.Context) (_ measured, err error) {
		l, err := s.fresh(ctx)
		if err != nil {
			return measured{}, err
		}
		defer func() { err = errors.Join(err, l.drop(context.WithoutCancel(ctx))) }()
		e, err := eventstore.Encode(wide)
		if err != nil {
			return measured{}, err
		}
		p := plain{server: s, schema: s.schema("plain"), data: string(e.Data)}
		err = s.exec(
			ctx, "CREATE SCHEMA "+p.schema,
			fmt.Sprintf("CREATE TABLE %s.events (LIKE %s.events INCLUDING ALL)", p.schema, l.schema),
			fmt.Sprintf("CREATE SEQUENCE %s.positions", p.schema),
			fmt.Sprintf("ALTER TABLE %s.events ALTER position SET DEFAULT nextval('%s.positions')", p.schema, p.schema), "CHECKPOINT",
		)
		if err != nil {
			return measured{}, err
		}
		defer func() { err = errors.Join(err, s.exec(context.WithoutCancel(ctx), "DROP SCHEMA "+p.schema+" CASCADE")) }()
		return measure(ctx, p)
	}
}

// inserting measures single-row INSERTs, each a transaction of one round trip, on a connection for each writer.
func (s *server) inserting(n int) side {
	return s.withPlain(func(ctx context.Context, p plain) (_ measured, err error) {
		conns := make([]*pgx.Conn, n)
		defer func() { err = errors.Join(err, closeAll(context.WithoutCancel(ctx), conns)) }()
		for w := range conns {
			if conns[w], err = pgx.Connect(ctx, s.dsn); err != nil {
				return measured{}, err
			}
			if _, err := conns[w].Prepare(ctx, "insert", `INSERT INTO `+p.table()+
				` (stream, version, id, type, data, metadata, time, first) VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp(), $7)`); err != nil {
				return measured{}, err
			}
		}
		x := writers{n: n, events: 1, write: func(ctx context.Context, w, k int) error {
			id, err := uuid.NewV7()
			if err != nil {
				return err
			}
			stream, version := place("o1", w, k)
			_, err = conns[w].Exec(ctx, "insert", stream, version+1, id, wide.EventType(), p.data, metadata, k)
			return err
		}}
		m, commits, err := x.measure(ctx)
		if err != nil {
			return m, err
		}
		return m, s.count(ctx, p.table(), commits)
	})
}

func closeAll(ctx context.Context, conns []*pgx.Conn) (err error) {
	for _, conn := range conns {
		if conn != nil {
			err = errors.Join(err, conn.Close(ctx))
		}
	}
	return err
}

// copying measures COPY of 1,000 rows, each a transaction.
func (s *server) copying() side {
	const rows = 1000
	return s.withPlain(func(ctx context.Context, p plain) (_ measured, err error) {
		conn, err := pgx.Connect(ctx, s.dsn)
		if err != nil {
			return measured{}, err
		}
		defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
		x := writers{n: 1, events: rows, write: func(ctx context.Context, _, k int) error {
			n := k * rows
			row := make([]any, len(plainColumns))
			next := func() ([]any, error) {
				if n == (k+1)*rows {
					return nil, nil
				}
				id, err := uuid.NewV7()
				stream, version := place("o1", 0, n)
				row[0], row[1], row[2], row[3], row[4], row[5] = stream, version+1, id, wide.EventType(), nil, p.data
				row[6], row[7], row[8] = metadata, time.Now(), n
				n++
				return row, err
			}
			_, err := conn.CopyFrom(ctx, pgx.Identifier{p.schema, "events"}, plainColumns, pgx.CopyFromFunc(next))
			return err
		}}
		m, commits, err := x.measure(ctx)
		if err != nil {
			return m, err
		}
		return m, s.count(ctx, p.table(), commits*rows)
	})
}
