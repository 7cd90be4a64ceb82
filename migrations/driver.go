package migrations

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// driver is a database as golang-migrate sees one, on a connection of pgx. It is the same in lock and table as
// golang-migrate's own driver for pgx, and each sees what the other has done. But there, a lock belongs to a session,
// the version is written beside the migration and not with it, and no call ends with a context: so it leaves a lock
// behind in PgBouncer, a schema that is dirty when a migration fails or its process dies, and a program that hangs.
// Here, a migration is a transaction, from Lock to Unlock.
type driver struct {
	ctx    context.Context //nolint:containedctx // golang-migrate's port has none; a driver lives for one call
	conn   *pgx.Conn
	schema string
	create bool // the schema and its table, if they are missing

	tx     pgx.Tx
	target int   // the version that the migration leads to
	fault  error // of the transaction
}

var _ database.Driver = (*driver)(nil)

// Lock begins the transaction. What comes after the lock sees whatever was committed before it.
func (d *driver) Lock() (err error) {
	d.fault = nil
	d.tx, err = d.conn.BeginTx(d.ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite})
	if err != nil {
		return err
	}
	if err := d.begin(); err != nil {
		d.rollback()
		return err
	}
	return nil
}

func (d *driver) begin() error {
	var name string
	if err := d.tx.QueryRow(d.ctx, "SELECT current_database()").Scan(&name); err != nil {
		return err
	}
	id, err := database.GenerateAdvisoryLockId(name, d.schema, table)
	if err != nil {
		return err
	}
	if _, err := d.tx.Exec(d.ctx, "SELECT pg_advisory_xact_lock($1::text::bigint)", id); err != nil {
		return err
	}
	quoted := pgx.Identifier{d.schema}.Sanitize()
	var there bool
	if err := d.tx.QueryRow(d.ctx, "SELECT to_regnamespace($1) IS NOT NULL", quoted).Scan(&there); err != nil {
		return err
	}
	if !there && d.create { // IF NOT EXISTS would ask for the right to create it even if it exists
		if _, err := d.tx.Exec(d.ctx, "CREATE SCHEMA "+quoted); err != nil {
			return err
		}
	}
	_, err = d.tx.Exec(d.ctx, "SET LOCAL search_path = "+quoted+", pg_temp")
	return err
}

// Unlock ends the transaction: what a migration has done counts from now on, or if it has failed, never.
func (d *driver) Unlock() error {
	if d.fault != nil {
		d.rollback()
		return nil //nolint:nilerr // golang-migrate has the fault
	}
	return d.tx.Commit(d.ctx)
}

// rollback needs no answer: without one, the connection has ended, and the transaction with it.
func (d *driver) rollback() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.ctx), closing)
	defer cancel()
	d.tx.Rollback(ctx) //nolint:errcheck // see above
}

// Version implements database.Driver.
func (d *driver) Version() (version int, dirty bool, err error) {
	at, err := read(d.ctx, d.conn, d.schema)
	if at.version == 0 {
		return database.NilVersion, at.dirty, err
	}
	return int(at.version), at.dirty, err
}

// Run runs a migration, which it reads to its end whatever happens: someone is writing it.
func (d *driver) Run(migration io.Reader) error {
	text, err := io.ReadAll(migration)
	if err != nil {
		return d.failed(err)
	}
	_, err = d.tx.Exec(d.ctx, string(text))
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Position > 0 {
		runes := []rune(string(text))
		before := string(runes[:min(int(pg.Position), len(runes))])
		err = fmt.Errorf("line %d: %w", strings.Count(before, "\n")+1, err)
	}
	if err != nil {
		err = fmt.Errorf("migration to version %d: %w", max(d.target, 0), err)
	}
	return d.failed(err)
}

// SetVersion writes the version once the migration has run; the mark before it would only be seen by this transaction.
func (d *driver) SetVersion(version int, dirty bool) error {
	if dirty {
		d.target = version
		return nil
	}
	name := pgx.Identifier{d.schema, table}.Sanitize()
	if version == database.NilVersion {
		_, err := d.tx.Exec(d.ctx, "DROP TABLE "+name)
		return d.failed(err)
	}
	_, err := d.tx.Exec(d.ctx, "CREATE TABLE IF NOT EXISTS "+name+" (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL)")
	if err == nil {
		_, err = d.tx.Exec(d.ctx, "DELETE FROM "+name)
	}
	if err == nil {
		_, err = d.tx.Exec(d.ctx, "INSERT INTO "+name+" VALUES ($1, false)", version)
	}
	return d.failed(err)
}

// failed has the transaction undone if there is an error.
func (d *driver) failed(err error) error {
	if err != nil {
		d.fault = err
	}
	return err
}

// Open is for those who name a driver by a URL; nobody names this one.
func (d *driver) Open(string) (database.Driver, error) { return nil, errors.ErrUnsupported }

// Drop is not for logs: Down is.
func (d *driver) Drop() error { return errors.ErrUnsupported }

// Close leaves the connection to whoever made it.
func (d *driver) Close() error { return nil }
