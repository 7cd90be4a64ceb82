package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// plainRows makes an empty table like that of perAccount, and a checkpoint, in place of those that an earlier run made.
func (l *log) plainRows(ctx context.Context) error {
	var statements []string
	for _, statement := range []string{
		"DROP TABLE IF EXISTS @.plain_rows, @.plain_checkpoint",
		`CREATE TABLE @.plain_rows (key text COLLATE "C" PRIMARY KEY, cents bigint NOT NULL, movements bigint NOT NULL, last timestamptz NOT NULL)
			WITH (fillfactor = 80)`,
		"CREATE INDEX ON @.plain_rows (cents, key)",
		"CREATE TABLE @.plain_checkpoint AS SELECT 0::bigint AS position",
		"CHECKPOINT",
	} {
		statements = append(statements, strings.ReplaceAll(statement, "@", l.schema))
	}
	return l.server.exec(ctx, statements...)
}

// group measures one statement that makes all rows.
func (l *log) group(ctx context.Context, events int) (m measured, err error) {
	if err := l.plainRows(ctx); err != nil {
		return m, err
	}
	start := time.Now()
	err = l.server.exec(ctx, fmt.Sprintf(`INSERT INTO %s.plain_rows
		SELECT data ->> 'account', sum((data ->> 'cents')::bigint), count(*), max(time) FROM %[1]s.events WHERE type = '%[2]s' GROUP BY 1`,
		l.schema, movement{}.EventType()))
	m.rate = float64(events) / time.Since(start).Seconds()
	if err != nil {
		return m, err
	}
	return m, l.balanced(ctx, "plain_rows", "account", events)
}

// upsert measures a loop by hand over the first tenth of the log.
func (l *log) upsert(ctx context.Context, events int) (m measured, err error) {
	if err := l.plainRows(ctx); err != nil {
		return m, err
	}
	events /= 10
	err = l.server.connected(ctx, func(conn *pgx.Conn) error {
		start := time.Now()
		for done := 0; done < events; {
			n, err := l.upsertChunk(ctx, conn, done, min(events, done+1000))
			if err != nil {
				return err
			}
			done += n
		}
		m.rate = float64(events) / time.Since(start).Seconds()
		return nil
	})
	if err != nil {
		return m, err
	}
	return m, l.balanced(ctx, "plain_rows", "account", events)
}

// upsertChunk reads the events behind one position through another, and writes them row by row, in one transaction with
// the checkpoint. pgx prepares the statements when they first come.
func (l *log) upsertChunk(ctx context.Context, conn *pgx.Conn, after, through int) (int, error) {
	type event struct {
		Data []byte
		Time time.Time
	}
	rows, err := conn.Query(ctx, "SELECT data, time FROM "+l.table()+" WHERE type = $1 AND position > $2 AND position <= $3 ORDER BY position",
		movement{}.EventType(), after, through)
	if err != nil {
		return 0, err
	}
	chunk, err := pgx.CollectRows(rows, pgx.RowToStructByPos[event])
	if err != nil || len(chunk) != through-after {
		return 0, fmt.Errorf("read %d events, not %d: %w", len(chunk), through-after, err)
	}
	return len(chunk), pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, e := range chunk {
			var moved movement
			if err := json.Unmarshal(e.Data, &moved); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `INSERT INTO `+l.schema+`.plain_rows AS r VALUES ($1, $2, 1, $3) ON CONFLICT (key)
				DO UPDATE SET cents = r.cents + excluded.cents, movements = r.movements + 1, last = excluded.last`,
				moved.Account, moved.Cents, e.Time); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, "UPDATE "+l.schema+".plain_checkpoint SET position = $1", through)
		return err
	})
}
