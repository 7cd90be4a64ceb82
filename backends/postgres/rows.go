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
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/necrostack/necrostack/eventstore"
)

// rowsError says of errors about a table what they mean: it is not there, or has other columns.
func rowsError(set eventstore.RowSet, err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pg.Code {
		case "42P01":
			return fmt.Errorf("rows of %s: %w", set.Table(), eventstore.ErrNoRows)
		case "42703", "42883": // no such column, or no such comparison of it
			return &eventstore.RowsChangedError{Set: set.Table(), Differences: []string{pg.Message}}
		}
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

// LoadRows implements eventstore.RowReader.
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
		return nil, rowsError(set, err)
	}
	return scanRows(set, rows, func(string) bool { return true })
}

// scanRows reads what a query of the columns of a set returns: the rows whose keys are to be kept.
func scanRows(set eventstore.RowSet, rows pgx.Rows, keep func(key string) bool) (list []eventstore.Row, err error) {
	defer rows.Close()
	if err := fits(set, rows.FieldDescriptions()); err != nil {
		return nil, err
	}
	var key string
	cells := []any{&key}
	for _, c := range set.Columns {
		cells = append(cells, cell(c.Kind))
	}
	for rows.Next() {
		if err := rows.Scan(cells...); err != nil {
			return nil, err
		}
		if !keep(key) {
			continue
		}
		r := eventstore.Row{Key: key, Values: make([]any, len(set.Columns))}
		for i := range r.Values {
			r.Values[i] = value(cells[i+1])
		}
		list = append(list, r)
	}
	return list, rowsError(set, rows.Err())
}

var columnOIDs = map[eventstore.Kind]uint32{
	eventstore.Text: pgtype.TextOID, eventstore.Int: pgtype.Int8OID, eventstore.Float: pgtype.Float8OID, eventstore.Bool: pgtype.BoolOID,
	eventstore.Time: pgtype.TimestamptzOID, eventstore.Bytes: pgtype.ByteaOID, eventstore.UUID: pgtype.UUIDOID, eventstore.JSON: pgtype.JSONOID,
}

// fits returns what of the columns that were read is not of the kind that the set says.
func fits(set eventstore.RowSet, fields []pgconn.FieldDescription) error {
	var list []string
	for i, c := range set.Columns {
		if i+1 < len(fields) && fields[i+1].DataTypeOID != columnOIDs[c.Kind] {
			list = append(list, fmt.Sprintf("column %s is not %s", c.Name, c.Kind))
		}
	}
	if len(list) > 0 {
		return &eventstore.RowsChangedError{Set: set.Table(), Differences: list}
	}
	return nil
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

// ListRows implements eventstore.RowReader.
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

// CountRows implements eventstore.RowReader.
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
	return n, rowsError(set, err)
}
