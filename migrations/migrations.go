// Package migrations creates and upgrades the schema of a log in PostgreSQL.
//
// The SQL is embedded, numbered, and only ever added to. Up runs it with golang-migrate, under its lock, in a schema
// of the caller's choice; whoever has a migrator of their own takes the files from FS.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	pgxdriver "github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

//go:embed sql/*.sql
var files embed.FS

// Latest is the newest version.
const Latest = 8

// table keeps the version, in the schema itself.
const table = "schema_migrations"

// FS returns the SQL files, named NUMBER_NAME.up.sql and .down.sql. They expect the schema to be first in the search
// path.
func FS() fs.FS {
	sub, err := fs.Sub(files, "sql")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return sub
}

// Up creates the schema if need be and brings it to Latest. Any number of processes may call it at once.
func Up(ctx context.Context, cfg *pgxdriver.ConnConfig, schema string) error {
	return run(ctx, cfg, schema, "up", (*migrate.Migrate).Up)
}

// Down removes everything from the schema, with all data.
func Down(ctx context.Context, cfg *pgxdriver.ConnConfig, schema string) error {
	return run(ctx, cfg, schema, "down", (*migrate.Migrate).Down)
}

// Status returns the schema's version, 0 for none, and whether a migration has failed half-way. It changes nothing.
func Status(ctx context.Context, cfg *pgxdriver.ConnConfig, schema string) (version uint, dirty bool, err error) {
	conn, err := pgxdriver.ConnectConfig(ctx, cfg)
	if err != nil {
		return 0, false, fmt.Errorf("migrate schema %q status: %w", schema, err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	name := pgxdriver.Identifier{schema, table}.Sanitize()
	var known bool
	if err := conn.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", name).Scan(&known); err != nil || !known {
		return 0, false, err
	}
	err = conn.QueryRow(ctx, "SELECT version, dirty FROM "+name).Scan(&version, &dirty)
	if errors.Is(err, pgxdriver.ErrNoRows) {
		return 0, false, nil // nothing was migrated yet, or all was taken down
	}
	return version, dirty, err
}

func run(ctx context.Context, cfg *pgxdriver.ConnConfig, schema, what string, act func(*migrate.Migrate) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("migrate schema %q %s: %w", schema, what, err)
		}
	}()
	cfg = cfg.Copy()
	quoted := pgxdriver.Identifier{schema}.Sanitize()
	if cfg.RuntimeParams == nil {
		cfg.RuntimeParams = map[string]string{}
	}
	cfg.RuntimeParams["search_path"] = quoted + ", pg_temp"
	db := stdlib.OpenDB(*cfg)
	defer func() { err = errors.Join(err, closed(db)) }()
	if what == "up" {
		if _, err := db.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+quoted); err != nil && !exists(err) {
			return err
		}
	}
	driver, err := pgx.WithInstance(db, &pgx.Config{MigrationsTable: table, SchemaName: schema})
	if err != nil {
		return err
	}
	source, err := iofs.New(FS(), ".")
	if err != nil {
		return err
	}
	m, err := migrate.NewWithInstance("iofs", source, "pgx", driver)
	if err != nil {
		return err
	}
	if err := act(m); err != nil && !errors.Is(err, migrate.ErrNoChange) {
		return err
	}
	return nil
}

// closed closes a database that the driver may have closed already.
func closed(db *sql.DB) error {
	if err := db.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
		return err
	}
	return nil
}
