package postgres_test

import (
	"context"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

// asRole opens a log whose tables belong to somebody else, with a role that has just the rights that
// docs/postgres-operations.md lists. It returns pools of the role and of the owner.
func asRole(t *testing.T) (role, owner *pgxpool.Pool) {
	t.Helper()
	doc, err := os.ReadFile("../../docs/postgres-operations.md")
	if err != nil {
		t.Fatal(err)
	}
	snippet := regexp.MustCompile("(?s)```sql\n(.*?)```").FindStringSubmatch(string(doc))
	if snippet == nil {
		t.Fatal("docs/postgres-operations.md shows no rights")
	}
	dsn := testenv.Postgres(t).Database(t)
	owner = pool(t, dsn)
	b, err := postgres.New(t.Context(), owner, postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	name := "app_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	quoted := pgx.Identifier{name}.Sanitize()
	grant(t, owner, "CREATE ROLE "+quoted)
	t.Cleanup(func() {
		grant(t, owner, "DROP OWNED BY "+quoted)
		grant(t, owner, "DROP ROLE "+quoted)
	})
	grant(t, owner, strings.ReplaceAll(snippet[1], "necro_app", quoted))
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.ConnConfig.RuntimeParams["role"] = name
	role, err = pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(role.Close)
	return role, owner
}

func grant(t *testing.T, p *pgxpool.Pool, text string) {
	t.Helper()
	if _, err := p.Exec(context.WithoutCancel(t.Context()), text); err != nil { // also when the test has ended
		t.Fatalf("%s: %v", text, err)
	}
}

func TestARoleWithTheDocumentedRightsDoesAllWork(t *testing.T) {
	t.Parallel()
	role, owner := asRole(t)
	st, err := postgres.OpenPool(t.Context(), role, postgres.Config{ManualMigration: true})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := st.Wait(t.Context(), eventstore.Pulse{}); err != nil {
		t.Fatal(err)
	}
	awaitState(t, func() bool {
		var listens bool
		err := owner.QueryRow(t.Context(), "SELECT EXISTS (SELECT 1 FROM necrostack.listeners)").Scan(&listens)
		return err == nil && listens
	}, "it is listed as a listener")
	if err := doAllWork(t.Context(), role, "all"); err != nil {
		t.Error(err)
	}
}

// Without any one of the rights, some work is refused. What listeners lack they do without, and nobody hears of it.
func TestEachOfTheDocumentedRightsIsNeeded(t *testing.T) {
	t.Parallel()
	role, owner := asRole(t)
	rows, err := owner.Query(t.Context(), `SELECT privilege_type || ' ON necrostack.' || table_name FROM information_schema.role_table_grants
		WHERE table_schema = 'necrostack' AND table_name <> 'listeners' AND grantee = $1 ORDER BY 1`, role.Config().ConnConfig.RuntimeParams["role"])
	if err != nil {
		t.Fatal(err)
	}
	rights, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(rights) < 20 {
		t.Fatalf("%d rights: %v", len(rights), err)
	}
	name := pgx.Identifier{role.Config().ConnConfig.RuntimeParams["role"]}.Sanitize()
	for _, right := range rights {
		grant(t, owner, "REVOKE "+right+" FROM "+name)
		lacks(t, doAllWork(t.Context(), role, right), "to work without "+right)
		grant(t, owner, "GRANT "+right+" TO "+name)
	}
}

// lacks checks that the server has refused something for want of a right.
func lacks(t *testing.T, err error, what string) {
	t.Helper()
	if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != "42501" {
		t.Errorf("%s: %v, want SQLSTATE 42501", what, err)
	}
}

func TestARoleWithTheDocumentedRightsCannotHarmTheLog(t *testing.T) {
	t.Parallel()
	role, owner := asRole(t)
	changes := []string{
		"UPDATE necrostack.events SET type = 'x'", "DELETE FROM necrostack.events", "TRUNCATE necrostack.events",
		"UPDATE necrostack.event_tags SET tag = 'x'", "DELETE FROM necrostack.event_tags", "TRUNCATE necrostack.event_tags",
	}
	for _, text := range append([]string{
		"ALTER TABLE necrostack.events DISABLE TRIGGER immutable", "DROP TRIGGER immutable ON necrostack.events",
		"SET session_replication_role = replica", "DROP TABLE necrostack.events", "DROP SCHEMA necrostack CASCADE",
		"ALTER SCHEMA necrostack RENAME TO other", "CREATE TABLE necrostack.mine (n integer)",
		"DELETE FROM necrostack.consumers", "DELETE FROM necrostack.schedules", "DELETE FROM necrostack.snapshots",
		"UPDATE necrostack.reserved SET id = gen_random_uuid()", "UPDATE necrostack.staged SET s_stream = '{}'",
		"INSERT INTO necrostack.pulses VALUES ('x', 0)", "DELETE FROM necrostack.pulses",
		"INSERT INTO necrostack.pulse_locks VALUES ('x')", "DELETE FROM necrostack.pulse_locks",
		"TRUNCATE necrostack.checkpoints", "TRUNCATE necrostack.reserved", "TRUNCATE necrostack.schedules",
		"UPDATE necrostack.schema_migrations SET version = 99", "DELETE FROM necrostack.schema_migrations",
		"INSERT INTO necrostack.schema_migrations VALUES (99, false)",
		"DROP FUNCTION necrostack.lock_log", "CREATE OR REPLACE FUNCTION necrostack.lock_log() RETURNS void LANGUAGE sql AS ''",
	}, changes...) {
		_, err := role.Exec(t.Context(), text)
		lacks(t, err, text)
	}
	// What it may do by mistake, the trigger refuses.
	grant(t, owner, "GRANT ALL ON necrostack.events, necrostack.event_tags TO "+pgx.Identifier{role.Config().ConnConfig.RuntimeParams["role"]}.Sanitize())
	for _, text := range changes {
		_, err := role.Exec(t.Context(), text)
		if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != "23001" {
			t.Errorf("%s, with the right to: %v, want SQLSTATE 23001", text, err)
		}
	}
}

// Temporary tables come first in the search for a name, unless pg_temp is said to be last.
func TestATemporaryTableIsNotTakenForTheLogs(t *testing.T) {
	t.Parallel()
	p := pool(t, testenv.Postgres(t).Database(t))
	st, err := postgres.OpenPool(t.Context(), p, postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	err = pgx.BeginFunc(t.Context(), p, func(tx pgx.Tx) error {
		for _, name := range []string{"events", "event_tags", "reserved", "checkpoints", "partitions"} {
			if _, err := tx.Exec(t.Context(), "CREATE TEMPORARY TABLE "+name+" (LIKE necrostack."+name+") ON COMMIT DROP"); err != nil {
				return err
			}
		}
		return postgres.AppendTx(t.Context(), tx, st, "s-1", eventstore.NoStream, happened{})
	})
	if err != nil {
		t.Fatal(err)
	}
	if head, err := st.Head(t.Context()); err != nil || head != 1 {
		t.Errorf("the head is %d, %v", head, err)
	}
}
