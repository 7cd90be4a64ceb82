package migrations_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	migratedb "github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgx/v5"
	"github.com/necrostack/necrostack/migrations"
)

func TestManyMigrateAtOnceAndAllFindItDone(t *testing.T) {
	t.Parallel()
	cfg := database(t)
	failures := make(chan error, 32)
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() { failures <- migrations.Up(t.Context(), cfg, schema) })
	}
	for range 4 {
		command := exec.CommandContext(t.Context(), os.Args[0])
		command.Env = append(os.Environ(), asMigrator+"="+cfg.ConnString())
		all.Go(func() {
			said, err := command.CombinedOutput()
			if err != nil {
				err = errors.New(string(said))
			}
			failures <- err
		})
	}
	all.Wait()
	close(failures)
	for err := range failures {
		if err != nil {
			t.Error(err)
		}
	}
	stands(t, cfg, schema, migrations.Latest())
	leavesNothingOpen(t, cfg)
}

func TestAFailedMigrationChangesNothingAndIsTriedAgain(t *testing.T) {
	t.Parallel()
	cfg := database(t)
	conn := connect(t, cfg)
	run(t, conn, "CREATE SCHEMA log; CREATE TABLE log.events ()") // in the way
	err := migrations.Up(t.Context(), cfg, schema)
	for _, want := range []string{`migrate schema "log" up: migration to version 1`, `relation "events" already exists`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("error is %v, want one with %s", err, want)
		}
	}
	stands(t, cfg, schema, 0)
	if left := objects(t, conn); left != 1 {
		t.Errorf("%d objects are in the schema, want the one in the way", left)
	}
	leavesNothingOpen(t, cfg)
	run(t, conn, "DROP TABLE log.events")
	up(t, cfg, schema)
	stands(t, cfg, schema, migrations.Latest())
}

func TestAMigrationThatWaitsForALockEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for name, block := range map[string]func(*pgx.ConnConfig) string{
		"another migrator": func(cfg *pgx.ConnConfig) string {
			id, _ := migratedb.GenerateAdvisoryLockId(cfg.Database, schema, "schema_migrations")
			return "SELECT pg_advisory_lock(" + id + ")"
		},
		"a table": func(*pgx.ConnConfig) string { return "CREATE TABLE log.events ()" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := database(t)
			conn := connect(t, cfg)
			run(t, conn, "CREATE SCHEMA log; BEGIN")
			run(t, conn, block(cfg))

			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- migrations.Up(ctx, cfg, schema) }()
			watcher := connect(t, cfg)
			await(t, watcher, "it waits", "SELECT count(*) = 1 FROM pg_stat_activity WHERE "+migrator+" AND wait_event_type = 'Lock'")
			cancel()
			select {
			case err := <-done:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("error is %v, want the context's", err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("it still waits")
			}
			leavesNothingOpen(t, cfg)
			run(t, conn, "ROLLBACK; SELECT pg_advisory_unlock_all()")
			stands(t, cfg, schema, 0)
			up(t, cfg, schema)
		})
	}
}

func TestARoleThatOwnsTheSchemaMigratesIt(t *testing.T) {
	t.Parallel()
	cfg := database(t)
	conn := connect(t, cfg)
	owner := role(t, conn, cfg)
	err := migrations.Up(t.Context(), owner, schema)
	if err == nil || !strings.Contains(err.Error(), "permission denied for database") {
		t.Fatalf("error is %v, want that it may not create a schema", err)
	}
	run(t, conn, "CREATE SCHEMA log AUTHORIZATION "+pgx.Identifier{owner.User}.Sanitize())
	up(t, owner, schema)
	stands(t, owner, schema, migrations.Latest())
	if err := migrations.Down(t.Context(), owner, schema); err != nil {
		t.Error(err)
	}
}

func TestASchemaMayHaveAnyNameOfUpTo63Bytes(t *testing.T) {
	t.Parallel()
	cfg := database(t)
	for _, name := range []string{`My "Log"`, "weiß", "a.b", "it's", `back\slash`, "$users", "日本語", "select", strings.Repeat("x", 63)} {
		up(t, cfg, name)
		stands(t, cfg, name, migrations.Latest())
	}
	var public int
	const sql = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
	if err := connect(t, cfg).QueryRow(t.Context(), sql).Scan(&public); err != nil || public != 0 {
		t.Errorf("%d objects went into another schema, %v", public, err)
	}
}

func TestANameThatIsNoneIsRefusedBeforeAnyIO(t *testing.T) {
	t.Parallel()
	nowhere, err := pgx.ParseConfig("host=127.0.0.1 port=1")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"": "no name", strings.Repeat("x", 64): "longer than 63 bytes", "ä" + strings.Repeat("x", 62): "longer than 63 bytes",
		"a\x00b": "NUL", "a\xffb": "UTF-8", "$user": "the user's name", "pg_log": "PostgreSQL keeps",
	} {
		if err := migrations.Up(t.Context(), nowhere, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error is %v, want %s", name, err, want)
		}
	}
}

func TestASchemaThatIsUpToDateTakesNoMoreThanTheRightToReadItsVersion(t *testing.T) {
	t.Parallel()
	cfg := database(t)
	up(t, cfg, schema)
	conn := connect(t, cfg)
	reader := role(t, conn, cfg)
	name := pgx.Identifier{reader.User}.Sanitize()
	run(t, conn, "GRANT USAGE ON SCHEMA log TO "+name+"; GRANT SELECT ON log.schema_migrations TO "+name)
	up(t, reader, schema)
}

// leavesNothingOpen checks that the migrator has left no connection and no lock.
func leavesNothingOpen(t *testing.T, cfg *pgx.ConnConfig) {
	t.Helper()
	await(t, connect(t, cfg), "the migrator's connections are gone", "SELECT count(*) = 0 FROM pg_stat_activity WHERE "+migrator)
}

// migrator selects the connections of database's configurations.
const migrator = "datname = current_database() AND application_name = 'migrator'"

// await waits until a question is answered with true. Nothing announces it.
func await(t *testing.T, conn *pgx.Conn, what, sql string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var so bool
		if err := conn.QueryRow(t.Context(), sql).Scan(&so); err != nil {
			t.Fatal(err)
		}
		if so {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not so: %s", what)
		}
	}
}
