package migrations_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/necrostack/necrostack/internal/testenv"
	"github.com/necrostack/necrostack/migrations"
	"go.uber.org/goleak"
)

// asMigrator in the environment makes this test binary a program that migrates the database it names.
const asMigrator = "MIGRATE_DSN"

func TestMain(m *testing.M) {
	if dsn := os.Getenv(asMigrator); dsn != "" {
		if err := migrateDSN(context.Background(), dsn); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(testenv.Main(m))
}

func migrateDSN(ctx context.Context, dsn string) error {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return err
	}
	return migrations.Up(ctx, cfg, schema)
}

// schema is the log's in these tests, unless they are about its name.
const schema = "log"

// database makes an empty database and returns how to connect to it. What connects so can be told by its name.
func database(tb testing.TB) *pgx.ConnConfig {
	tb.Helper()
	cfg, err := pgx.ParseConfig(testenv.Postgres(tb).Database(tb))
	if err != nil {
		tb.Fatal(err)
	}
	cfg.RuntimeParams["application_name"] = "migrator"
	return cfg
}

// connect connects as another program than the migrator.
func connect(tb testing.TB, cfg *pgx.ConnConfig) *pgx.Conn {
	tb.Helper()
	cfg = cfg.Copy()
	cfg.RuntimeParams["application_name"] = "test"
	conn, err := pgx.ConnectConfig(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close(context.WithoutCancel(tb.Context())) })
	return conn
}

// run runs SQL of any number of statements.
func run(tb testing.TB, conn *pgx.Conn, sql string) {
	tb.Helper()
	if _, err := conn.Exec(tb.Context(), sql); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
}

func up(tb testing.TB, cfg *pgx.ConnConfig, name string) {
	tb.Helper()
	if err := migrations.Up(tb.Context(), cfg, name); err != nil {
		tb.Fatal(err)
	}
}

// stands checks where a schema stands.
func stands(tb testing.TB, cfg *pgx.ConnConfig, name string, want uint) {
	tb.Helper()
	if at, dirty, err := migrations.Status(tb.Context(), cfg, name); at != want || dirty || err != nil {
		tb.Errorf("%q is of version %d, dirty %t, %v; want version %d", name, at, dirty, err, want)
	}
}

// role makes a role that may log in and nothing else, and returns how it connects. It goes with the test.
func role(tb testing.TB, conn *pgx.Conn, cfg *pgx.ConnConfig) *pgx.ConnConfig {
	tb.Helper()
	cfg = cfg.Copy()
	cfg.User, cfg.Password = "role_"+strings.ToLower(rand.Text()), rand.Text()
	name := pgx.Identifier{cfg.User}.Sanitize()
	run(tb, conn, "CREATE ROLE "+name+" LOGIN PASSWORD '"+cfg.Password+"'")
	tb.Cleanup(func() {
		ctx := context.WithoutCancel(tb.Context())
		if _, err := conn.Exec(ctx, "DROP OWNED BY "+name+" CASCADE; DROP ROLE "+name); err != nil {
			tb.Error(err)
		}
	})
	return cfg
}

// objects counts what is in the schema.
func objects(tb testing.TB, conn *pgx.Conn) (n int) {
	tb.Helper()
	const sql = `SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = 'log'::regnamespace) +
		(SELECT count(*) FROM pg_proc WHERE pronamespace = 'log'::regnamespace)`
	if err := conn.QueryRow(tb.Context(), sql).Scan(&n); err != nil {
		tb.Fatal(err)
	}
	return n
}
