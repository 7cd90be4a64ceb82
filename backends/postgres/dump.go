package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/necrostack/necrostack/eventstore"
)

// dumpQuery begins a transaction all of whose queries see the same moment.
const dumpQuery = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL idle_in_transaction_session_timeout = '2s'"

// DumpRows implements eventstore.RowKeeper. It reads the whole table, in one transaction; whoever would empty or drop it
// meanwhile is refused, or waits.
func (b *Backend) DumpRows(ctx context.Context, set eventstore.RowSet, keep func(key string) bool) (d eventstore.RowDump, err error) {
	if err := set.Validate(); err != nil {
		return d, err
	}
	conn, err := b.acquire(ctx)
	if err != nil {
		return d, classify(err)
	}
	defer conn.Release()
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{BeginQuery: dumpQuery}, func(tx pgx.Tx) error {
		// Before the moment is fixed, which the first query does: a table that is truncated after it shows as empty.
		if _, err := tx.Exec(ctx, "LOCK TABLE "+b.rowTable(set)+" IN ACCESS SHARE MODE"); err != nil {
			return err
		}
		if err := b.dumpProgress(ctx, tx, set.Table(), &d); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, "SELECT "+strings.Join(names(set), ", ")+" FROM "+b.rowTable(set))
		if err == nil {
			d.Rows, err = scanRows(set, rows, keep)
		}
		return err
	})
	return d, rowsError(set, err)
}

// dumpProgress reads where a consumer's partitions stand, and what is parked.
func (b *Backend) dumpProgress(ctx context.Context, tx pgx.Tx, consumer string, d *eventstore.RowDump) error {
	rows, err := tx.Query(ctx, b.sql(`SELECT k.position FROM @partitions p CROSS JOIN LATERAL (SELECT k.position FROM @checkpoints k
			WHERE k.consumer = p.consumer AND k.partition = p.partition ORDER BY k.moved DESC LIMIT 1) k
		WHERE p.consumer = $1 ORDER BY p.partition`), consumer)
	if err != nil {
		return err
	}
	if d.Partitions, err = pgx.CollectRows(rows, pgx.RowTo[eventstore.Position]); err != nil {
		return err
	}
	d.Parked = map[string]eventstore.Position{}
	rows, err = tx.Query(ctx, b.sql("SELECT key, min(position) FROM @parked WHERE consumer = $1 GROUP BY key"), consumer)
	if err != nil {
		return err
	}
	var key string
	var first eventstore.Position
	_, err = pgx.ForEachRow(rows, []any{&key, &first}, func() error {
		d.Parked[key] = first
		return nil
	})
	return err
}
