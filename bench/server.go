package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/necrostack/necrostack/internal/testenv/launch"
)

// settings are those of a server that waits for the disk, as in production. Both sides of every figure have them:
// they keep checkpoints out of the short time that a run takes, and let 1,024 clients in.
var settings = []string{
	"fsync=on", "synchronous_commit=on", "full_page_writes=on", "shared_buffers=1GB", "max_wal_size=4GB",
	"checkpoint_timeout=30min", "max_connections=1200",
}

// A server is the PostgreSQL server that is measured on. It starts when the first figure needs it.
type server struct {
	grownBy int // events of the grown log
	folded  int // events of the log that views are folded from

	launched *launch.Server
	dsn      string // of a database of its own
	database string
	made     int // schemas, and databases of peers
	kept     map[string]*log
}

func (s *server) figures() []figure {
	return slices.Concat(s.appendFigures(), s.conditionFigures(), s.readFigures(), s.viewFigures(), s.sagaFigures())
}

// start starts the server, unless NECROSTACK_BENCH_POSTGRES names one, and prints what it is.
func (s *server) start(ctx context.Context) error {
	if s.launched != nil {
		return nil
	}
	product := launch.Postgres(settings...)
	product.Variable = "NECROSTACK_BENCH_POSTGRES"
	launched, err := launchServer(ctx, product)
	if err != nil {
		return err
	}
	s.launched, s.kept = launched, map[string]*log{}
	s.database = "necrostack_bench_" + strings.ToLower(rand.Text())
	if s.dsn, err = product.Create(ctx, launched.DSN, s.database); err != nil {
		return err
	}
	return s.describe(ctx)
}

// launchServer prefers the programs of this machine: Docker puts a proxy between a server and its clients.
func launchServer(ctx context.Context, product launch.Product) (*launch.Server, error) {
	if os.Getenv(product.Variable) != "" || os.Getenv("NECROSTACK_TESTENV") != "" {
		return launch.Shared(ctx, product, report)
	}
	return launch.Start(ctx, product, report, launch.Local, launch.Docker)
}

func report(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }

func (s *server) close(ctx context.Context) error {
	if s.launched == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var faults []error
	for _, l := range s.kept {
		faults = append(faults, l.store.Close())
	}
	if s.dsn != "" {
		faults = append(faults, s.launched.Product.Drop(ctx, s.launched.DSN, s.database))
	}
	return errors.Join(append(faults, s.launched.Close(ctx))...)
}

// describe prints what the figures depend on, and refuses a server that does not wait for the disk.
func (s *server) describe(ctx context.Context) error {
	return s.connected(ctx, func(conn *pgx.Conn) error {
		var version string
		if err := conn.QueryRow(ctx, "SELECT version()").Scan(&version); err != nil {
			return err
		}
		fmt.Printf("# server: %s, from %s\n", version, cmp.Or(string(s.launched.From), "the environment"))
		for _, name := range []string{
			"fsync", "synchronous_commit", "full_page_writes", "wal_level", "wal_sync_method", "wal_compression", "wal_buffers",
			"max_wal_size", "checkpoint_timeout", "commit_delay", "shared_buffers", "max_connections", "autovacuum",
		} {
			var value string
			if err := conn.QueryRow(ctx, "SELECT current_setting($1)", name).Scan(&value); err != nil {
				return err
			}
			fmt.Printf("# server: %s = %s\n", name, value)
			if (name == "fsync" || name == "synchronous_commit") && value != "on" {
				return fmt.Errorf("the server has %s = %s: figures are of servers that have it on", name, value)
			}
		}
		fmt.Printf("# machine: %d CPUs, %s\n", runtime.NumCPU(), load())
		return nil
	})
}

// load says what else the machine is doing.
func load() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "load average unknown"
	}
	return "load average " + strings.Join(strings.Fields(string(data))[:3], " ")
}

// connected lends a connection.
func (s *server) connected(ctx context.Context, use func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, s.dsn)
	if err != nil {
		return err
	}
	return errors.Join(use(conn), conn.Close(context.WithoutCancel(ctx)))
}

// exec runs statements, one after the other.
func (s *server) exec(ctx context.Context, statements ...string) error {
	return s.connected(ctx, func(conn *pgx.Conn) error {
		for _, statement := range statements {
			if _, err := conn.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	})
}

// count checks that a table holds so many rows.
func (s *server) count(ctx context.Context, table string, want int) error {
	return s.connected(ctx, func(conn *pgx.Conn) error {
		var rows int
		if err := conn.QueryRow(ctx, "SELECT count(*) FROM "+table).Scan(&rows); err != nil {
			return err
		}
		if rows != want {
			return fmt.Errorf("%s holds %d rows, not %d", table, rows, want)
		}
		return nil
	})
}

// schema returns a name that no other schema has.
func (s *server) schema(kind string) string { return fmt.Sprintf("%s_%d", kind, s.next()) }

func (s *server) next() int {
	s.made++
	return s.made
}
