package migrations_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/golang-migrate/migrate/v4"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/necrostack/necrostack/migrations"
)

func TestAnyMigratorMayRunTheFilesAndMarkTheVersion(t *testing.T) {
	t.Parallel()
	cfg := database(t)
	conn := connect(t, cfg)
	byHand(t, conn, schema)
	stands(t, cfg, schema, 0)
	if err := migrations.Mark(t.Context(), cfg, schema, migrations.Latest()); err != nil {
		t.Fatal(err)
	}
	stands(t, cfg, schema, migrations.Latest())
	up(t, cfg, "other")
	if diff := cmp.Diff(catalogue(t, conn, "other"), catalogue(t, conn, schema)); diff != "" {
		t.Errorf("(-Up +by hand):\n%s", diff)
	}
}

// byHand does what the documentation tells users of other migrators.
func byHand(t *testing.T, conn *pgx.Conn, name string) {
	t.Helper()
	quoted := pgx.Identifier{name}.Sanitize()
	run(t, conn, "CREATE SCHEMA "+quoted)
	names, err := fs.Glob(migrations.FS(), "*.up.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range names {
		text, err := fs.ReadFile(migrations.FS(), file)
		if err != nil {
			t.Fatal(err)
		}
		run(t, conn, "BEGIN; SET LOCAL search_path = "+quoted+", pg_temp;\n"+string(text)+"\n;COMMIT")
	}
}

func TestGolangMigrateItselfAndUpSeeWhatTheOtherHasDone(t *testing.T) {
	t.Parallel()
	cfg := database(t)
	conn := connect(t, cfg)
	run(t, conn, "CREATE SCHEMA log")
	if err := golangMigrate(t, cfg, schema).Up(); err != nil {
		t.Fatal(err)
	}
	stands(t, cfg, schema, migrations.Latest())
	up(t, cfg, schema)
	up(t, cfg, "other")
	if diff := cmp.Diff(catalogue(t, conn, "other"), catalogue(t, conn, schema)); diff != "" {
		t.Errorf("(-Up +golang-migrate):\n%s", diff)
	}
	if err := golangMigrate(t, cfg, "other").Up(); !errors.Is(err, migrate.ErrNoChange) {
		t.Errorf("golang-migrate after Up: %v, want no change", err)
	}
}

// golangMigrate is golang-migrate with its own driver, as its users set it up.
func golangMigrate(t *testing.T, cfg *pgx.ConnConfig, name string) *migrate.Migrate {
	t.Helper()
	cfg = cfg.Copy()
	cfg.RuntimeParams["search_path"] = pgx.Identifier{name}.Sanitize() + ", pg_temp"
	driver, err := migratepgx.WithInstance(stdlib.OpenDB(*cfg), &migratepgx.Config{SchemaName: name})
	if err != nil {
		t.Fatal(err)
	}
	files, err := iofs.New(migrations.FS(), ".")
	if err != nil {
		t.Fatal(err)
	}
	m, err := migrate.NewWithInstance("iofs", files, "pgx", driver)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func TestASchemaThatAnotherMigratorLeftHalfWayIsLeftAloneUntilMarked(t *testing.T) {
	t.Parallel()
	cfg := database(t)
	up(t, cfg, schema)
	conn := connect(t, cfg)
	run(t, conn, "UPDATE log.schema_migrations SET dirty = true")
	before := catalogue(t, conn, schema)
	for what, err := range map[string]error{
		"up": migrations.Up(t.Context(), cfg, schema), "down": migrations.Down(t.Context(), cfg, schema),
	} {
		if !errors.Is(err, migrations.ErrDirty) || !strings.Contains(err.Error(), "call migrations.Mark") {
			t.Errorf("%s: error is %v, want what to do", what, err)
		}
	}
	if _, dirty, err := migrations.Status(t.Context(), cfg, schema); !dirty || err != nil {
		t.Errorf("dirty is %t, %v", dirty, err)
	}
	if diff := cmp.Diff(before, catalogue(t, conn, schema)); diff != "" {
		t.Errorf("something has changed:\n%s", diff)
	}
	if err := migrations.Mark(t.Context(), cfg, schema, migrations.Latest()); err != nil {
		t.Fatal(err)
	}
	up(t, cfg, schema)
}

func TestASchemaFromTheFutureIsLeftAlone(t *testing.T) {
	t.Parallel()
	cfg := database(t)
	up(t, cfg, schema)
	conn := connect(t, cfg)
	run(t, conn, "UPDATE log.schema_migrations SET version = version + 1")
	for what, err := range map[string]error{
		"up": migrations.Up(t.Context(), cfg, schema), "down": migrations.Down(t.Context(), cfg, schema),
	} {
		if !errors.Is(err, migrations.ErrNewer) {
			t.Errorf("%s: error is %v, want that the program is too old", what, err)
		}
	}
}

func TestOnlyAVersionThatThereIsCanBeMarked(t *testing.T) {
	t.Parallel()
	cfg := database(t)
	for _, version := range []uint{0, migrations.Latest() + 1} {
		if err := migrations.Mark(t.Context(), cfg, schema, version); err == nil || !strings.Contains(err.Error(), "there is no version") {
			t.Errorf("version %d: error is %v", version, err)
		}
	}
}
