package postgres_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
	"github.com/necrostack/necrostack/migrations"
)

func TestOpenSaysWhatIsWrongAndNeverThePassword(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t).Database(t)
	for what, c := range map[string]struct {
		dsn  string
		cfg  postgres.Config
		says string
	}{
		"no DSN":            {"postgres://user:hunter2@[", postgres.Config{}, "open postgres"},
		"nobody there":      {"postgres://user:hunter2@127.0.0.1:1/x?connect_timeout=2", postgres.Config{}, "127.0.0.1:1"},
		"long schema":       {dsn, postgres.Config{Schema: strings.Repeat("x", 64)}, "63 bytes"},
		"schema with a NUL": {dsn, postgres.Config{Schema: "a\x00"}, "NUL"},
		"not migrated":      {dsn, postgres.Config{Schema: "empty", ManualMigration: true}, "of version 0, and this program needs "},
	} {
		st, err := postgres.Open(t.Context(), c.dsn, c.cfg)
		if err == nil {
			_ = st.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: error is %v, want one that says %s", what, err, c.says)
		}
	}
}

func TestSchemasAreLogsOfTheirOwnAndMayHaveAnyName(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t).Database(t)
	for _, schema := range []string{"necrostack", `odd "name`, "Tenant-2"} {
		for range 2 { // the second finds it migrated
			st, err := postgres.Open(t.Context(), dsn, postgres.Config{Schema: schema})
			if err != nil {
				t.Fatalf("%s: %v", schema, err)
			}
			r, err := st.Append(t.Context(), "s-1", eventstore.Any, happened{})
			if err != nil {
				t.Fatalf("%s: %v", schema, err)
			}
			if err := st.Close(); err != nil {
				t.Error(err)
			}
			if want := eventstore.Position(1); schema == "necrostack" && r.Position < want {
				t.Errorf("%s: position is %d", schema, r.Position)
			}
		}
	}
}

type happened struct{}

func (happened) EventType() string { return "happened" }

func TestNobodyChangesEvents(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t).Database(t)
	st, err := postgres.Open(t.Context(), dsn, postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Append(t.Context(), "s-1", eventstore.Any, happened{}); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
	p := pool(t, dsn)
	for _, change := range []string{"UPDATE necrostack.events SET type = 'x'", "DELETE FROM necrostack.events", "TRUNCATE necrostack.events"} {
		_, err := p.Exec(t.Context(), change)
		if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || !strings.Contains(pg.Message, "events never change") {
			t.Errorf("%s: %v, want a refusal", change, err)
		}
	}
}

func TestMigrationsGoDownAndUpAgain(t *testing.T) {
	t.Parallel()
	conn := pool(t, testenv.Postgres(t).Database(t)).Config().ConnConfig
	for range 2 {
		if err := migrations.Up(t.Context(), conn, "log"); err != nil {
			t.Fatal(err)
		}
		if v, dirty, err := migrations.Status(t.Context(), conn, "log"); v != migrations.Latest() || dirty || err != nil {
			t.Errorf("version %d, dirty %t, %v", v, dirty, err)
		}
		if err := migrations.Down(t.Context(), conn, "log"); err != nil {
			t.Fatal(err)
		}
	}
}
