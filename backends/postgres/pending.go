package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
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

// joined is how many rows are written together at most.
const joined = 10_000

// Join implements eventstore.Joiner.
func (p *pendingRows) Join(other eventstore.Pending) (eventstore.Pending, bool) {
	o, ok := other.(*pendingRows)
	if !ok || o.b != p.b || o.set.Table() != p.set.Table() || len(p.rows)+len(o.rows) > joined {
		return nil, false
	}
	return &pendingRows{p.b, p.set, slices.Concat(p.rows, o.rows)}, true
}

// Commit implements eventstore.Pending: in a transaction of its own, rows first, so that the log's lock, if the commit
// needs it, comes last. The rows' values say all that there is to say, so writing them again does no harm; and whoever may
// not commit has the transaction fail as a whole.
func (p *pendingRows) Commit(ctx context.Context, c eventstore.Commit) (r eventstore.Result, err error) {
	b := p.b
	conn, err := b.pool.Acquire(ctx) // the reserve is for leases and commits of one call
	if err != nil {
		return r, classify(err)
	}
	defer conn.Release()
	if onlyMoves(&c) {
		return r, p.move(ctx, conn, c.Checkpoints)
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: beginQuery})
	if err != nil {
		return r, classify(err)
	}
	sql, args := p.statement()
	if _, err = tx.Exec(ctx, sql, args...); err != nil {
		err = rowsError(p.set, err)
	} else {
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

// move writes rows and checkpoints, as most commits do. Both go out in one round trip, and what stands between two messages
// that end a transaction is one: the server commits when it has come to the end, or undoes all of it at the first failure.
// So at no time does a transaction wait for its client, but for what is on its way already.
func (p *pendingRows) move(ctx context.Context, conn *pgxpool.Conn, moves []eventstore.Checkpoint) error {
	consumers, partitions, numbers := make([]string, len(moves)), make([]int, len(moves)), [3][]int64{}
	for i, m := range moves {
		consumers[i], partitions[i] = m.Consumer, m.Partition
		numbers[0], numbers[1], numbers[2] = append(numbers[0], m.Epoch), append(numbers[1], int64(m.From)), append(numbers[2], int64(m.To))
	}
	batch := &pgx.Batch{}
	sql, args := p.statement()
	batch.Queue(sql, args...)
	batch.Queue(p.b.moveSQL, p.b.log, consumers, partitions, numbers[0], numbers[1], numbers[2])
	results := conn.SendBatch(ctx, batch)
	_, rows := results.Exec()
	if err := results.Close(); err != nil { // the first failure of all, also of the commit itself
		if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || gone(pg) {
			return outcome(err)
		}
		if rows != nil {
			return rowsError(p.set, err)
		}
		return Refusal(err)
	}
	return nil
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
