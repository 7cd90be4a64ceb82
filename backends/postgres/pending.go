package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/necrostack/necrostack/eventstore"
)

// WriteRows implements eventstore.RowKeeper.
func (b *Backend) WriteRows(set eventstore.RowSet, rows []eventstore.Row) eventstore.Pending {
	return &pendingRows{b, set, rows}
}

type pendingRows struct {
	b    *Backend
	set  eventstore.RowSet
	rows []eventstore.Row
}

// Commit implements eventstore.Pending: in a transaction of its own, rows first, so that the log's lock, if the commit
// needs it, comes last. The rows' values say all that there is to say, so writing them again does no harm; and whoever may
// not commit has the transaction fail as a whole.
func (p *pendingRows) Commit(ctx context.Context, c eventstore.Commit) (eventstore.Result, error) {
	sql, args := p.statement()
	return p.b.commitWith(ctx, c, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sql, args...)
		return noRows(p.set, err)
	})
}

// commitWith has a function write what it will in a transaction, and then a commit.
func (b *Backend) commitWith(ctx context.Context, c eventstore.Commit, act func(tx pgx.Tx) error) (r eventstore.Result, err error) {
	conn, err := b.pool.Acquire(ctx) // the reserve is for leases and commits of one call
	if err != nil {
		return r, classify(err)
	}
	defer conn.Release()
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: beginQuery})
	if err != nil {
		return r, classify(err)
	}
	if err = act(tx); err == nil {
		err = b.stage(ctx, tx, c)
	}
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollback)
		defer cancel()
		_ = tx.Rollback(ctx) // if that fails, the connection is closed
		return r, err
	}
	return r, b.finish(ctx, tx)
}

// rollback is how long a server may take to end a transaction, before its connection is closed.
const rollback = 5 * time.Second

// stage has a transaction write a commit when it ends.
func (b *Backend) stage(ctx context.Context, tx pgx.Tx, c eventstore.Commit) error {
	batch, err := newBatch([]eventstore.Commit{c})
	if err != nil {
		return err
	}
	args, err := batch.args()
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, b.stageSQL, args...)
	return classify(err)
}

// finish commits a transaction with what was staged in it.
func (b *Backend) finish(ctx context.Context, tx pgx.Tx) error {
	err := tx.Commit(ctx)
	if err == nil {
		b.moved()
		return nil
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "NS001" {
		return Refusal(err)
	}
	return outcome(err)
}

// beginQuery begins a transaction of several calls. A client that stops in the middle does not stop others for long.
const beginQuery = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '2s'"

// statement puts rows into their places, and removes those without values.
func (p *pendingRows) statement() (sql string, args []any) {
	var put []eventstore.Row
	var keys, gone []string
	for _, r := range p.rows {
		if r.Values == nil {
			gone = append(gone, r.Key)
		} else {
			put, keys = append(put, r), append(keys, r.Key)
		}
	}
	table, list := p.b.rowTable(p.set), names(p.set)
	sources, sets := []string{"$1::text[]"}, make([]string, 0, len(list))
	args = []any{keys}
	for i, c := range p.set.Columns {
		typ, _, _ := strings.Cut(columnTypes[c.Kind], " COLLATE")
		args = append(args, array(c.Kind, put, i))
		sources = append(sources, fmt.Sprintf("$%d::%s[]", len(args), typ))
		sets = append(sets, fmt.Sprintf("%s = excluded.%s", list[i+1], list[i+1]))
	}
	sql = fmt.Sprintf("INSERT INTO %s (%s) SELECT * FROM unnest(%s) ON CONFLICT (key) DO UPDATE SET %s",
		table, strings.Join(list, ", "), strings.Join(sources, ", "), strings.Join(sets, ", "))
	if len(gone) > 0 {
		args = append(args, gone)
		sql = fmt.Sprintf("WITH gone AS (DELETE FROM %s WHERE key = ANY ($%d)) %s", table, len(args), sql)
	}
	return sql, args
}

// array is a column of rows.
func array(k eventstore.Kind, rows []eventstore.Row, i int) any {
	switch k {
	case eventstore.Int:
		return pointers[int64](rows, i)
	case eventstore.Float:
		return pointers[float64](rows, i)
	case eventstore.Bool:
		return pointers[bool](rows, i)
	case eventstore.Time:
		return pointers[time.Time](rows, i)
	case eventstore.UUID:
		return pointers[uuid.UUID](rows, i)
	case eventstore.Bytes:
		all := make([][]byte, len(rows))
		for n, r := range rows {
			all[n], _ = r.Values[i].([]byte)
		}
		return all
	case eventstore.JSON:
		all := make([]*string, len(rows))
		for n, r := range rows {
			if v, ok := r.Values[i].(json.RawMessage); ok {
				all[n] = new(string(v))
			}
		}
		return all
	default:
		return pointers[string](rows, i)
	}
}

// pointers are the values of a column, nil for null.
func pointers[T any](rows []eventstore.Row, i int) []*T {
	all := make([]*T, len(rows))
	for n, r := range rows {
		if v, ok := r.Values[i].(T); ok {
			all[n] = &v
		}
	}
	return all
}
