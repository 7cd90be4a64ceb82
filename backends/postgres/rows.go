package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/necrostack/necrostack/eventstore"
)

// The rows of a view are a table of the log's schema, view_NAME_vVERSION, with a column for each of theirs: plain SQL for
// whoever wants to read it.

// rowTable is a set's table.
func (b *Backend) rowTable(set eventstore.RowSet) string {
	return b.schema + pgx.Identifier{"view_" + set.Table()}.Sanitize()
}

var columnTypes = map[eventstore.Kind]string{
	eventstore.Text: `text COLLATE "C"`, eventstore.Int: "bigint", eventstore.Float: "double precision", eventstore.Bool: "boolean",
	eventstore.Time: "timestamptz", eventstore.Bytes: "bytea", eventstore.UUID: "uuid", eventstore.JSON: "json",
}

// DefineRows implements eventstore.RowKeeper. The role needs the right to create tables in the schema, unless the table is
// there.
func (b *Backend) DefineRows(ctx context.Context, set eventstore.RowSet) error {
	if err := set.Validate(); err != nil {
		return err
	}
	return b.tx(ctx, func(tx pgx.Tx) error {
		kept, known, err := b.columns(ctx, tx, set)
		if err == nil && !known {
			// Whoever comes second finds what the first has made.
			if _, err = tx.Exec(ctx, "SELECT pg_advisory_xact_lock(1313166926, $1::text::regclass::oid::bigint::bit(32)::integer)", b.sql("@events")); err == nil {
				kept, known, err = b.columns(ctx, tx, set)
			}
		}
		if err != nil {
			return err
		}
		if !known {
			return b.createRows(ctx, tx, set)
		}
		if diff := set.Difference(kept); len(diff) > 0 {
			return &eventstore.RowsChangedError{Set: set.Table(), Differences: diff}
		}
		return nil
	})
}

func (b *Backend) createRows(ctx context.Context, tx pgx.Tx, set eventstore.RowSet) error {
	table := b.rowTable(set)
	text, indexes := []string{`key text COLLATE "C" PRIMARY KEY`}, []string{}
	for _, c := range set.Columns {
		line := column(c) + " " + columnTypes[c.Kind]
		if !c.Null {
			line += " NOT NULL"
		}
		text = append(text, line)
		if c.Index {
			indexes = append(indexes, fmt.Sprintf("CREATE INDEX ON %s (%s, key)", table, column(c)))
		}
	}
	// A row that changes finds room on its page, and needs no new entries in the indexes.
	create := fmt.Sprintf("CREATE TABLE %s (%s) WITH (fillfactor = 80)", table, strings.Join(text, ", "))
	for _, statement := range append([]string{create}, indexes...) {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func column(c eventstore.Column) string { return pgx.Identifier{c.Name}.Sanitize() }

// columns reads what a set's table looks like.
func (b *Backend) columns(ctx context.Context, tx pgx.Tx, set eventstore.RowSet) (kept []eventstore.Column, known bool, err error) {
	rows, err := tx.Query(ctx, `SELECT a.attname, format_type(a.atttypid, NULL), NOT a.attnotnull,
			EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indkey[0] = a.attnum)
		FROM pg_attribute a WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`, b.rowTable(set))
	if err != nil {
		return nil, false, err
	}
	var name, typ string
	var null, index bool
	_, err = pgx.ForEachRow(rows, []any{&name, &typ, &null, &index}, func() error {
		known = true
		if name == "key" {
			return nil
		}
		c := eventstore.Column{Name: name, Kind: eventstore.Kind(typ), Null: null, Index: index}
		for kind, sql := range columnTypes {
			if is, _, _ := strings.Cut(sql, " COLLATE"); is == typ || typ == "timestamp with time zone" && kind == eventstore.Time {
				c.Kind = kind
			}
		}
		kept = append(kept, c)
		return nil
	})
	return kept, known, err
}

// noRows says of a missing table what it means.
func noRows(set eventstore.RowSet, err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "42P01" {
		return fmt.Errorf("rows of %s: %w", set.Table(), eventstore.ErrNoRows)
	}
	return classify(err)
}

// names are a set's columns, the key first.
func names(set eventstore.RowSet) []string {
	list := []string{"key"}
	for _, c := range set.Columns {
		list = append(list, column(c))
	}
	return list
}

// LoadRows implements eventstore.RowKeeper.
func (b *Backend) LoadRows(ctx context.Context, set eventstore.RowSet, keys []string) ([]eventstore.Row, error) {
	return b.rows(ctx, set, "SELECT "+strings.Join(names(set), ", ")+" FROM "+b.rowTable(set)+" WHERE key = ANY ($1)", keys)
}

// rows reads whole rows.
func (b *Backend) rows(ctx context.Context, set eventstore.RowSet, sql string, args ...any) (list []eventstore.Row, err error) {
	conn, err := b.acquire(ctx)
	if err != nil {
		return nil, classify(err)
	}
	defer conn.Release()
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, noRows(set, err)
	}
	defer rows.Close()
	var key string
	cells := []any{&key}
	for _, c := range set.Columns {
		cells = append(cells, cell(c.Kind))
	}
	for rows.Next() {
		if err := rows.Scan(cells...); err != nil {
			return nil, err
		}
		r := eventstore.Row{Key: key, Values: make([]any, len(set.Columns))}
		for i := range r.Values {
			r.Values[i] = value(cells[i+1])
		}
		list = append(list, r)
	}
	return list, noRows(set, rows.Err())
}

// cell is where a value of a kind is read to.
func cell(k eventstore.Kind) any {
	switch k {
	case eventstore.Int:
		return new(*int64)
	case eventstore.Float:
		return new(*float64)
	case eventstore.Bool:
		return new(*bool)
	case eventstore.Time:
		return new(*time.Time)
	case eventstore.UUID:
		return new(*uuid.UUID)
	case eventstore.Bytes:
		return new([]byte)
	case eventstore.JSON:
		return new(json.RawMessage)
	default:
		return new(*string)
	}
}

// value is what a cell holds.
func value(c any) any {
	switch c := c.(type) {
	case **int64:
		return deref(*c)
	case **float64:
		return deref(*c)
	case **bool:
		return deref(*c)
	case **time.Time:
		if *c != nil {
			return (*c).UTC()
		}
	case **uuid.UUID:
		return deref(*c)
	case *[]byte:
		if *c != nil {
			return append([]byte{}, *c...)
		}
	case *json.RawMessage:
		if *c != nil {
			return append(json.RawMessage{}, *c...)
		}
	case **string:
		return deref(*c)
	}
	return nil
}

func deref[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

// listed is how many rows one statement lists, so that no connection is held while they are yielded.
const listed = 1000

// ListRows implements eventstore.RowKeeper.
func (b *Backend) ListRows(ctx context.Context, set eventstore.RowSet, q eventstore.RowQuery) iter.Seq2[eventstore.Row, error] {
	return func(yield func(eventstore.Row, error) bool) {
		if err := set.Check(q); err != nil {
			yield(eventstore.Row{}, err)
			return
		}
		at := -1
		if q.OrderBy != "" {
			at, _ = set.Find(q.OrderBy) // it was checked
		}
		for left := q.Limit; ; {
			limit := listed
			if q.Limit > 0 {
				limit = min(limit, left)
			}
			sql, args := b.list(set, q, at, limit)
			rows, err := b.rows(ctx, set, sql, args...)
			if err != nil {
				yield(eventstore.Row{}, err)
				return
			}
			for _, r := range rows {
				if !yield(r, nil) {
					return
				}
			}
			if left -= len(rows); len(rows) < limit || q.Limit > 0 && left == 0 {
				return
			}
			last := rows[len(rows)-1]
			q.After = &eventstore.RowPlace{Key: last.Key}
			if at >= 0 {
				q.After.Value = last.Values[at]
			}
		}
	}
}

// list is the SQL of a page. Null is greater than any value, as it is in PostgreSQL's indexes.
func (b *Backend) list(set eventstore.RowSet, q eventstore.RowQuery, at, limit int) (sql string, args []any) {
	where, args := conditions(set, q.Where)
	beyond, direction := ">", "ASC"
	if q.Desc {
		beyond, direction = "<", "DESC"
	}
	order, by := "key "+direction, ""
	if at >= 0 {
		by = column(set.Columns[at])
		order = by + " " + direction + ", " + order
	}
	if p := q.After; p != nil {
		args = append(args, p.Key)
		key := fmt.Sprintf("key %s $%d", beyond, len(args))
		switch {
		case at < 0:
			where = append(where, key)
		case p.Value == nil && q.Desc:
			where = append(where, fmt.Sprintf("(%s IS NOT NULL OR %s IS NULL AND %s)", by, by, key))
		case p.Value == nil:
			where = append(where, fmt.Sprintf("%s IS NULL AND %s", by, key))
		default:
			args = append(args, p.Value)
			place := fmt.Sprintf("(%s, key) %s ($%d, $%d)", by, beyond, len(args), len(args)-1)
			if set.Columns[at].Null && !q.Desc {
				place = "(" + place + " OR " + by + " IS NULL)"
			}
			where = append(where, place)
		}
	}
	sql = "SELECT " + strings.Join(names(set), ", ") + " FROM " + b.rowTable(set)
	if len(where) > 0 {
		sql += " WHERE " + strings.Join(where, " AND ")
	}
	return fmt.Sprintf("%s ORDER BY %s LIMIT %d", sql, order, limit), args
}

// conditions is the SQL of filters that were checked.
func conditions(set eventstore.RowSet, filters []eventstore.RowFilter) (where []string, args []any) {
	for _, f := range filters {
		name := "key"
		if at, _ := set.Find(f.Column); at >= 0 {
			name = column(set.Columns[at])
		}
		if f.Value == nil {
			where = append(where, name+" IS NULL")
			continue
		}
		args = append(args, f.Value)
		where = append(where, fmt.Sprintf("%s %s $%d", name, f.Op, len(args)))
	}
	return where, args
}

// CountRows implements eventstore.RowKeeper.
func (b *Backend) CountRows(ctx context.Context, set eventstore.RowSet, filters []eventstore.RowFilter) (n int64, err error) {
	if err := set.Check(eventstore.RowQuery{Where: filters}); err != nil {
		return 0, err
	}
	where, args := conditions(set, filters)
	sql := "SELECT count(*) FROM " + b.rowTable(set)
	if len(where) > 0 {
		sql += " WHERE " + strings.Join(where, " AND ")
	}
	conn, err := b.acquire(ctx)
	if err != nil {
		return 0, classify(err)
	}
	defer conn.Release()
	err = conn.QueryRow(ctx, sql, args...).Scan(&n)
	return n, noRows(set, err)
}

// DropRows implements eventstore.RowKeeper.
func (b *Backend) DropRows(ctx context.Context, set eventstore.RowSet) error {
	if err := set.Validate(); err != nil {
		return err
	}
	return b.tx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "DROP TABLE IF EXISTS "+b.rowTable(set))
		return err
	})
}
