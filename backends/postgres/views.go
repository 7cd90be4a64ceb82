package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/necrostack/necrostack/eventstore"
)

// The rows of a version of a view are a table of the log's schema, view_NAME_vVERSION, with a column for each of theirs.
// view_NAME is a view, in the sense of SQL, of those of the version that serves: for whoever names none, in Go or in SQL.

// rowTable is a set's table, or of version 0 the view.
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
			if err = b.lockViews(ctx, tx); err == nil {
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

// lockViews keeps others from changing which versions there are. Whoever has it waits for nobody's table for long.
func (b *Backend) lockViews(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `SELECT set_config('lock_timeout', '1s', true),
		pg_advisory_xact_lock(1313166926, $1::text::regclass::oid::bigint::bit(32)::integer)`, b.sql("@views"))
	return err
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
	var serves bool
	err := tx.QueryRow(ctx, b.sql(`INSERT INTO @views (name, version, serves)
		VALUES ($1, $2, NOT EXISTS (SELECT 1 FROM @views WHERE name = $1 AND serves)) ON CONFLICT (name, version) DO UPDATE SET complete = false
		RETURNING serves`), set.Name, set.Version).Scan(&serves)
	if err == nil && serves {
		err = b.show(ctx, tx, set)
	}
	if err != nil {
		return err
	}
	if _, err = b.consumer(ctx, tx, set.Table(), "FOR UPDATE"); errors.Is(err, eventstore.ErrInvalid) {
		return nil // nobody has run it
	}
	if err == nil {
		err = b.reset(ctx, tx, set.Table(), 0)
	}
	return err
}

// show has the view that is read in the name of version 0 show a set.
func (b *Backend) show(ctx context.Context, tx pgx.Tx, set eventstore.RowSet) error {
	name := b.rowTable(eventstore.RowSet{Name: set.Name})
	create := fmt.Sprintf("VIEW %s AS SELECT * FROM %s", name, b.rowTable(set))
	err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "CREATE OR REPLACE "+create)
		return err
	})
	if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != "42P16" { // else it has other columns
		return err
	}
	rows, err := tx.Query(ctx, `SELECT format('GRANT %s ON %s TO %s', g.privilege_type, $1::text,
			CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END)
		FROM pg_class c CROSS JOIN aclexplode(c.relacl) g WHERE c.oid = $1::text::regclass AND g.grantee <> c.relowner`, name)
	if err != nil {
		return err
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, s := range append([]string{"DROP VIEW " + name, "CREATE " + create}, statements...) {
		if _, err := tx.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// ServeRows implements eventstore.RowKeeper. If somebody reads the view for long, or other views in the database depend on
// it and its columns change, it fails.
func (b *Backend) ServeRows(ctx context.Context, set eventstore.RowSet) error {
	return b.tx(ctx, func(tx pgx.Tx) error {
		if err := b.lockViews(ctx, tx); err != nil {
			return err
		}
		var serves, behind bool
		err := tx.QueryRow(ctx, b.sql(`SELECT v.serves, EXISTS (SELECT 1 FROM @consumers c JOIN @checkpoints k ON k.consumer = c.name
				WHERE c.name = $3 AND k.position < c.history
					AND k.moved = (SELECT max(m.moved) FROM @checkpoints m WHERE m.consumer = k.consumer AND m.partition = k.partition))
			FROM @views v WHERE v.name = $1 AND v.version = $2`), set.Name, set.Version, set.Table()).Scan(&serves, &behind)
		if errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("rows of %s: %w", set.Table(), eventstore.ErrNoRows)
		}
		if err != nil {
			return err
		}
		if behind {
			return &eventstore.InvalidError{Field: "version", Reason: fmt.Sprintf("%d of view %s is still being folded", set.Version, set.Name)}
		}
		if !serves {
			if _, err := tx.Exec(ctx, b.sql("UPDATE @views SET serves = false WHERE name = $1 AND serves"), set.Name); err != nil {
				return err
			}
			if err := b.show(ctx, tx, set); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, b.sql("UPDATE @views SET serves = true, complete = true WHERE name = $1 AND version = $2"), set.Name, set.Version)
		return err
	})
}

// RowVersions implements eventstore.RowKeeper.
func (b *Backend) RowVersions(ctx context.Context, view string) ([]eventstore.RowVersion, error) {
	rows, err := b.reserve.Query(ctx, b.sql("SELECT version, serves, complete FROM @views WHERE name = $1 ORDER BY version"), view)
	if err != nil {
		return nil, classify(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[eventstore.RowVersion])
	return all, classify(err)
}

// emptyRows removes the rows of a consumer that begins anew, if it has any. Whoever is committing some comes to an end
// first.
func (b *Backend) emptyRows(ctx context.Context, tx pgx.Tx, consumer string, to eventstore.Position) error {
	var set eventstore.RowSet
	err := tx.QueryRow(ctx, b.sql("SELECT name, version FROM @views WHERE format('%s_v%s', name, version) = $1"), consumer).Scan(&set.Name, &set.Version)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if to != 0 {
		return &eventstore.InvalidError{Field: "position", Reason: fmt.Sprintf("%d: rows of a view begin anew at 0", to)}
	}
	if err := b.lockViews(ctx, tx); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "TRUNCATE "+b.rowTable(set)); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, b.sql("UPDATE @views SET complete = false WHERE name = $1 AND version = $2"), set.Name, set.Version)
	return err
}

// DropRows implements eventstore.RowKeeper.
func (b *Backend) DropRows(ctx context.Context, set eventstore.RowSet) error {
	if err := set.Validate(); err != nil {
		return err
	}
	name := set.Table()
	return b.tx(ctx, func(tx pgx.Tx) error {
		if err := b.lockViews(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, b.sql("SELECT 1 FROM @consumers WHERE name = $1 FOR UPDATE"), name); err != nil { // before its partitions
			return err
		}
		var serves bool
		var members int
		if err := tx.QueryRow(ctx, b.sql(`SELECT EXISTS (SELECT 1 FROM @views WHERE name = $1 AND version = $2 AND serves),
			(SELECT count(*) FROM @members WHERE $3 = ANY (consumers) AND expires > clock_timestamp())`), set.Name, set.Version, name).Scan(&serves, &members); err != nil {
			return err
		}
		switch {
		case serves:
			return fmt.Errorf("rows of %s: %w: they serve", name, eventstore.ErrInUse)
		case members > 0:
			return fmt.Errorf("rows of %s: %w: %d processes fold them", name, eventstore.ErrInUse, members)
		}
		if _, err := tx.Exec(ctx, "DROP TABLE IF EXISTS "+b.rowTable(set)); err != nil {
			return err
		}
		batch := &pgx.Batch{}
		batch.Queue(b.sql("DELETE FROM @views WHERE name = $1 AND version = $2"), set.Name, set.Version)
		for _, table := range []string{"partitions", "checkpoints", "parked"} {
			batch.Queue(b.sql("DELETE FROM @"+table+" WHERE consumer = $1"), name)
		}
		batch.Queue(b.sql("DELETE FROM @consumers WHERE name = $1"), name)
		batch.Queue(b.sql("SELECT @beat('roster')"))
		return tx.SendBatch(ctx, batch).Close()
	})
}

func column(c eventstore.Column) string { return pgx.Identifier{c.Name}.Sanitize() }

// columns reads what a set's table looks like. It finds the table by a query, as of now: what to_regclass remembers to be
// missing, it may go on to miss in the same transaction, even though another has made it meanwhile.
func (b *Backend) columns(ctx context.Context, tx pgx.Tx, set eventstore.RowSet) (kept []eventstore.Column, known bool, err error) {
	rows, err := tx.Query(ctx, `SELECT a.attname, format_type(a.atttypid, NULL), NOT a.attnotnull,
			EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indkey[0] = a.attnum)
		FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
		WHERE c.relname = $1 AND c.relnamespace = (SELECT e.relnamespace FROM pg_class e WHERE e.oid = $2::text::regclass)
			AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`, "view_"+set.Table(), b.sql("@events"))
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
