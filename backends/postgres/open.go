package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/necrostack/necrostack/migrations"
)

const (
	// oldest is the oldest server that will do, as server_version_num counts.
	oldest = 150000
	// connectTimeout is how long one attempt to connect may take, unless the DSN says otherwise.
	connectTimeout = 10 * time.Second
	// attempts is how often Open tries a server that is starting up, full, or not there, with pauses that double from
	// firstPause: 3.1 s in all.
	attempts   = 6
	firstPause = 100 * time.Millisecond
	// patience is how long all of that may take, if ctx does not end before.
	patience = time.Minute
)

// prepare makes sure that the server and the schema are such as the log needs them.
func prepare(ctx context.Context, pool *pgxpool.Pool, cfg Config) error {
	switch mode := pool.Config().ConnConfig.DefaultQueryExecMode; mode {
	case pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec:
		return fmt.Errorf("default_query_exec_mode=%s does not tell the server's types, which the log needs: behind PgBouncer, "+
			"use cache_describe", mode)
	}
	s, err := reach(ctx, pool)
	if err != nil {
		return err
	}
	if err := s.fit(); err != nil {
		return err
	}
	for _, w := range s.warnings() {
		cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "a setting of the server endangers the log",
			slog.String("schema", cfg.Schema), slog.String("server", s.address), slog.String("setting", w))
	}
	conn := pool.Config().ConnConfig
	if before := pool.Config().BeforeConnect; before != nil { // it may know the password
		if err := before(ctx, conn); err != nil {
			return err
		}
	}
	if !cfg.ManualMigration {
		return migrations.Up(ctx, conn, cfg.Schema)
	}
	version, dirty, err := migrations.Status(ctx, conn, cfg.Schema)
	switch {
	case err != nil:
		return err
	case dirty:
		return fmt.Errorf("schema %q: migration %d %w", cfg.Schema, version, migrations.ErrDirty)
	case version < migrations.Latest():
		return fmt.Errorf("schema %q is of version %d, and this program needs %d: migrate it first", cfg.Schema, version, migrations.Latest())
	case version > migrations.Latest():
		return fmt.Errorf("schema %q is of version %d, and this program knows %d: %w", cfg.Schema, version, migrations.Latest(), migrations.ErrNewer)
	default:
		return nil
	}
}

// reach asks the server what it is, again if it may soon be there.
func reach(ctx context.Context, pool *pgxpool.Pool) (s server, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pause := firstPause
	for n := 1; ; n++ {
		s, err = ask(ctx, pool)
		switch {
		case err == nil:
			return s, nil
		case !soon(err):
			return s, discreet(err)
		case n == attempts:
			return s, fmt.Errorf("%d attempts: %w", n, err)
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return s, errors.Join(context.Cause(ctx), err)
		}
		pause *= 2
	}
}

// ask inspects the server on a connection of a pool.
func ask(ctx context.Context, pool *pgxpool.Pool) (server, error) {
	conn, err := acquire(ctx, pool)
	if err != nil {
		return server{}, err
	}
	defer conn.Release()
	return inspect(ctx, conn.Conn())
}

// soon reports whether a server that cannot be reached may be there in a moment.
func soon(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "57P03" || pg.Code == "53300" // it starts or ends; it has no connection to spare
	}
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET)
}

// acquire takes a connection from a pool. If ctx ends first, it says whether the pool had none, or who did not answer.
func acquire(ctx context.Context, pool *pgxpool.Pool) (*pgxpool.Conn, error) {
	conn, err := pool.Acquire(ctx)
	if err == nil || ctx.Err() == nil {
		return conn, err
	}
	if s := pool.Stat(); s.AcquiredConns() == s.MaxConns() {
		return nil, fmt.Errorf("all %d connections of the pool are in use: %w", s.MaxConns(), err)
	}
	cfg := pool.Config().ConnConfig
	_, address := pgconn.NetworkAddress(cfg.Host, cfg.Port)
	return nil, fmt.Errorf("no connection to %s in time: %w", address, err)
}

// server is what a server says of itself.
type server struct {
	address    string
	version    string
	number     int // the same as server_version_num counts
	recovery   bool
	readOnly   bool
	durability Durability
}

// inspect asks the server. The statement has no name, for the sake of PgBouncer.
func inspect(ctx context.Context, conn *pgx.Conn) (s server, err error) {
	s.address = conn.PgConn().Conn().RemoteAddr().String()
	const sql = `SELECT current_setting('server_version'), current_setting('server_version_num')::integer,
		pg_is_in_recovery(), current_setting('transaction_read_only') = 'on', current_setting('fsync') = 'on',
		current_setting('full_page_writes') = 'on', current_setting('synchronous_commit'), current_setting('synchronous_standby_names')`
	err = conn.QueryRow(ctx, sql, pgx.QueryExecModeExec).Scan(&s.version, &s.number, &s.recovery, &s.readOnly,
		&s.durability.Fsync, &s.durability.FullPageWrites, &s.durability.SynchronousCommit, &s.durability.SynchronousStandbyNames)
	return s, err
}

// fit refuses a server that is too old.
func (s server) fit() error {
	if s.number < oldest {
		return fmt.Errorf("the server at %s is PostgreSQL %s, and the log needs 15 or newer", s.address, s.version)
	}
	return nil
}

// warnings says which settings endanger the log, and how.
func (s server) warnings() (found []string) {
	warn := func(is bool, text string) {
		if is {
			found = append(found, text)
		}
	}
	warn(!s.durability.Fsync, "fsync=off: a crash of the machine may lose the whole database")
	warn(!s.durability.FullPageWrites, "full_page_writes=off: a crash of the machine may damage the database")
	warn(s.durability.SynchronousCommit == "off", "synchronous_commit=off: a crash of the server loses commits that were acknowledged")
	warn(s.recovery, "hot standby: it refuses every commit until it is promoted")
	warn(s.readOnly && !s.recovery, "default_transaction_read_only=on: it refuses every commit")
	return found
}
