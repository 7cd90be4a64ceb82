package migrations

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
)

// ErrDirty says that another migrator has begun a migration and not finished it: nobody but its user can tell how far
// it came. Whoever has looked, and completed or undone it by hand, says so by Mark. Up and Down never leave this behind.
var ErrDirty = errors.New("has failed half-way in another migrator: complete or undo it by hand, then call migrations.Mark")

// ErrNewer says that the schema was migrated by a newer program than this one.
var ErrNewer = errors.New("the schema is newer than this program: upgrade the program")

// Up brings the schema to Latest, and creates it if need be. A schema that is there already is only looked at, so this
// takes no more than the right to read its version; to create objects takes the right to do that in the schema, and
// in the database only if the schema itself is missing.
//
// Each migration that came to its end stays, whatever becomes of the next. Up ends when ctx does, also while it waits
// for a lock. Its connection is its own, made as cfg says, and is closed on return.
func Up(ctx context.Context, cfg *pgx.ConnConfig, schema string) error {
	return run(ctx, cfg, schema, "up", func(conn *pgx.Conn) error {
		at, err := read(ctx, conn, schema)
		if err == nil {
			err = at.fit()
		}
		if err != nil || at.version == Latest() {
			return err
		}
		return steps(&driver{ctx: ctx, conn: conn, schema: schema, create: true}, 1)
	})
}

// Down removes everything from the schema, with all data, but not the schema itself. It is for tests and for those who
// mean it.
func Down(ctx context.Context, cfg *pgx.ConnConfig, schema string) error {
	return run(ctx, cfg, schema, "down", func(conn *pgx.Conn) error {
		at, err := read(ctx, conn, schema)
		if err == nil {
			err = at.fit()
		}
		if err != nil || at.version == 0 {
			return err
		}
		return steps(&driver{ctx: ctx, conn: conn, schema: schema}, -1)
	})
}

// Status returns the schema's version, 0 for none, and whether a migration of it has failed half-way, which only other
// migrators leave behind. It changes nothing, and takes the right to read schema_migrations.
func Status(ctx context.Context, cfg *pgx.ConnConfig, schema string) (version uint, dirty bool, err error) {
	err = run(ctx, cfg, schema, "status", func(conn *pgx.Conn) error {
		at, err := read(ctx, conn, schema)
		version, dirty = at.version, at.dirty
		return err
	})
	return version, dirty, err
}

// Mark writes down that the schema is of a version, 1 … Latest, and whole. It is for other migrators, after they have
// run the SQL files up to that one, and for those who have repaired what such a migrator left half-way. It runs none of
// them itself.
func Mark(ctx context.Context, cfg *pgx.ConnConfig, schema string, version uint) error {
	return run(ctx, cfg, schema, "mark", func(conn *pgx.Conn) error {
		if version < 1 || version > Latest() {
			return fmt.Errorf("there is no version %d, only 1 to %d", version, Latest())
		}
		d := &driver{ctx: ctx, conn: conn, schema: schema}
		if err := d.Lock(); err != nil { //nolint:contextcheck // golang-migrate's port has none: the driver holds it
			return err
		}
		return errors.Join(d.SetVersion(int(version), false), d.Unlock()) //nolint:contextcheck // see Lock
	})
}

// run calls act with a connection, which it closes, and says which schema an error is about.
func run(ctx context.Context, cfg *pgx.ConnConfig, schema, what string, act func(*pgx.Conn) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("migrate schema %q %s: %w", schema, what, err)
		}
	}()
	if err := checkSchema(schema); err != nil {
		return err
	}
	cfg = cfg.Copy()
	// Statements without names: PgBouncer hands the next one to another connection of the server.
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	cfg.StatementCacheCapacity, cfg.DescriptionCacheCapacity = 0, 0
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
		defer cancel()
		conn.Close(ctx) //nolint:errcheck // what was to be done is known by now
		select {        // a call that was broken off has its statement cancelled first
		case <-conn.PgConn().CleanupDone():
		case <-ctx.Done():
		}
	}()
	return act(conn)
}

// closing is how long a connection may take to say goodbye.
const closing = 5 * time.Second

// steps takes one migration after the other, up (1) or down (-1), until there are no more. Several in one go would leave
// a goroutine of golang-migrate behind for each that comes after one that fails.
func steps(d *driver, step int) error {
	files, err := iofs.New(FS(), ".")
	if err != nil {
		return err
	}
	m, err := migrate.NewWithInstance("iofs", files, "pgx", d)
	if err != nil {
		return err
	}
	m.LockTimeout = math.MaxInt64 // ctx says how long
	for {
		err := m.Steps(step)
		switch dirty, unfinished := errors.AsType[migrate.ErrDirty](err); {
		case unfinished:
			return position{uint(dirty.Version), true}.fit() //nolint:gosec // a version that was read is no less than 0
		case errors.Is(err, fs.ErrNotExist): // there are no more
			at, err := read(d.ctx, d.conn, d.schema)
			if err != nil {
				return err
			}
			return at.fit()
		case err != nil:
			return err
		}
	}
}
