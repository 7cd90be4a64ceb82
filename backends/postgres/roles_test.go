package postgres_test

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
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
	role, _ := asRole(t)
	b, err := postgres.New(t.Context(), role, postgres.Config{ManualMigration: true})
	if err != nil {
		t.Fatal(err)
	}
	st := eventstore.New(b, eventstore.Config{})
	defer st.Close()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	_, err = st.Append(ctx, "s-1", eventstore.NoStream, happened{})
	must(err)
	_, err = b.Define(ctx, eventstore.Consumer{Name: "c", Partitions: 1, Hash: "h"})
	must(err)
	_, err = b.Renew(ctx, eventstore.Member{ID: "m", Consumers: []string{"c"}}, time.Minute)
	must(err)
	leases, err := b.Claim(ctx, "m", "c", 1, []int{0})
	must(err)
	if len(leases) != 1 {
		t.Fatalf("claimed %v", leases)
	}
	a, err := st.NewAppend("s-2", eventstore.Any, happened{}, happened{})
	must(err)
	a.Events[0].Tags = []string{"tag"}
	later, err := st.NewAppend("s-3", eventstore.Any, happened{})
	must(err)
	entry, delivery := uuid.New(), uuid.New()
	_, err = st.Commit(ctx, eventstore.Commit{
		Appends: []eventstore.Append{a}, Unless: []eventstore.Condition{{Query: eventstore.WithTags("tag")}},
		Checkpoints: []eventstore.Checkpoint{{Consumer: "c", Epoch: leases[0].Epoch, To: 1}},
		Parks:       []eventstore.Parked{{ID: entry, Consumer: "c", Key: "k", Position: 1, Event: uuid.New()}},
		Deliveries:  []eventstore.Delivery{{ID: delivery, Consumer: "c", Position: 1, Event: uuid.New()}},
		Schedules:   []eventstore.Schedule{{ID: uuid.New(), Due: time.Unix(0, 0), Append: later}},
	})
	must(err)
	fired, _, err := b.Fire(ctx, 10)
	must(err)
	taken, err := b.Take(ctx, "c", 10, time.Minute)
	must(err)
	if fired != 1 || len(taken) != 1 {
		t.Errorf("fired %d, took %v", fired, taken)
	}
	_, err = st.Redrive(ctx, eventstore.ParkedFilter{})
	must(err)
	_, err = st.Discard(ctx, eventstore.ParkedFilter{})
	must(err)
	must(b.Save(ctx, eventstore.Snapshot{Fold: "f", Stream: "s-1", Version: 1, Data: []byte("{}")}))
	must(st.Pause(ctx, "c"))
	must(st.Resume(ctx, "c"))
	must(st.Reset(ctx, "c", 0))
	must(b.Leave(ctx, "m"))
	must(pgx.BeginFunc(ctx, role, func(tx pgx.Tx) error {
		return postgres.AppendTx(ctx, tx, st, "s-1", eventstore.Exact(1), happened{})
	}))
	if _, err := postgres.CheckHealth(ctx, st); err != nil {
		t.Error(err)
	}
	head, err := st.Head(ctx)
	must(err)
	if head != 5 {
		t.Errorf("the head is %d, not 5", head)
	}
}

func TestARoleWithTheDocumentedRightsCannotHarmTheLog(t *testing.T) {
	t.Parallel()
	role, _ := asRole(t)
	for _, text := range []string{
		"UPDATE necrostack.events SET type = 'x'", "DELETE FROM necrostack.events", "TRUNCATE necrostack.events",
		"DELETE FROM necrostack.event_tags", "ALTER TABLE necrostack.events DISABLE TRIGGER immutable",
		"DROP TABLE necrostack.events", "CREATE TABLE necrostack.mine (n integer)",
		"UPDATE necrostack.schema_migrations SET version = 99", "DROP FUNCTION necrostack.lock_log",
		"CREATE OR REPLACE FUNCTION necrostack.lock_log() RETURNS void LANGUAGE sql AS ''",
	} {
		if _, err := role.Exec(t.Context(), text); err == nil {
			t.Errorf("it may %s", text)
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
