package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/spine"
)

type (
	paidIn  struct{ Cents int64 }
	paidOut struct{ Cents int64 }
)

func (paidIn) EventType() string  { return "paid in" }
func (paidOut) EventType() string { return "paid out" }

const statementTables = `
	CREATE TABLE statement (account text, line bigint, cents bigint, PRIMARY KEY (account, line));
	CREATE TABLE totals (account text PRIMARY KEY, cents bigint, lines bigint)`

// statement has a line for each movement, and a total for each account, which tells if one counts twice.
func statement() projections.Handlers {
	add := func(ctx context.Context, tx postgres.Tx, account string, cents int64) error {
		_, err := tx.Exec(ctx, `INSERT INTO totals VALUES ($1, $2, 1)
			ON CONFLICT (account) DO UPDATE SET cents = totals.cents + excluded.cents, lines = totals.lines + 1`, account, cents)
		return err
	}
	return projections.Handlers{
		Name: "statement",
		To: postgres.Handlers{
			postgres.On(func(ctx context.Context, tx postgres.Tx, e eventstore.Recorded[paidIn]) error {
				if _, err := tx.Exec(ctx, "INSERT INTO statement VALUES ($1, $2, 100 / $3::bigint * $3)", e.Stream.ID(), e.Version, e.Payload.Cents); err != nil {
					return err // nought cannot be divided by
				}
				return add(ctx, tx, e.Stream.ID(), e.Payload.Cents)
			}),
			postgres.OnBatch(func(ctx context.Context, tx postgres.Tx, es []eventstore.Recorded[paidOut]) error {
				_, err := tx.CopyFrom(ctx, pgx.Identifier{"statement"}, []string{"account", "line", "cents"},
					pgx.CopyFromSlice(len(es), func(i int) ([]any, error) {
						return []any{es[i].Stream.ID(), es[i].Version, -es[i].Payload.Cents}, nil
					}))
				for i := 0; err == nil && i < len(es); i++ {
					err = add(ctx, tx, es[i].Stream.ID(), -es[i].Payload.Cents)
				}
				return err
			}),
		},
	}
}

// totals reads what the handlers have written, as text.
func totals(t *testing.T, p *pgxpool.Pool) (text string) {
	t.Helper()
	rows, err := p.Query(t.Context(), `SELECT t.account, t.cents, t.lines, (SELECT count(*) FROM statement s WHERE s.account = t.account) FROM totals t ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	var account string
	var cents, lines, listed int64
	if _, err := pgx.ForEachRow(rows, []any{&account, &cents, &lines, &listed}, func() error {
		text += fmt.Sprintf("%s: %d in %d, %d\n", account, cents, lines, listed)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return text
}

func openStatement(t *testing.T) (dsn string, p *pgxpool.Pool, store *eventstore.Store) {
	t.Helper()
	dsn = testenv.Postgres(t).Database(t)
	p, store = pool(t, dsn), openStore(t, dsn)
	if _, err := p.Exec(t.Context(), statementTables); err != nil {
		t.Fatal(err)
	}
	return dsn, p, store
}

func handlersSpine(t *testing.T, store *eventstore.Store, h projections.Handlers) *spine.Spine {
	t.Helper()
	sp, err := spine.New(store, spine.Config{Lease: 3 * time.Second, MaxSteps: -1, Logger: slog.New(slog.DiscardHandler)}, h)
	if err != nil {
		t.Fatal(err)
	}
	return sp
}

func TestHandlersInSQLCountEachEventOnceWhileTheirConnectionsAreCut(t *testing.T) {
	t.Parallel()
	dsn, p, store := openStatement(t)
	sp := handlersSpine(t, openStore(t, dsn+"&application_name=handlers"), statement())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var both sync.WaitGroup
	run, stop := context.WithCancel(ctx)
	both.Go(func() {
		if err := sp.Run(run); err != nil {
			t.Error(err)
		}
	})
	defer both.Wait()
	defer stop()
	want := map[string][2]int64{}
	var last eventstore.Position
	killed, random := 0, rand.New(rand.NewPCG(4, 4))
	for n := range int64(600) {
		account := fmt.Sprint("a", random.IntN(7))
		var e eventstore.Payload = paidIn{n + 1}
		cents := n + 1
		if random.IntN(2) == 0 {
			e, cents = paidOut{n + 1}, -n-1
		}
		r, err := store.Append(ctx, eventstore.StreamOf("account", account), eventstore.Any, e)
		if err != nil {
			t.Fatal(err)
		}
		last = r.Position
		want[account] = [2]int64{want[account][0] + cents, want[account][1] + 1}
		if n == 0 { // to begin with, a log that cannot be read is an error
			if err := sp.WaitFor(ctx, "statement_v1", last); err != nil {
				t.Fatal(err)
			}
		}
		if n%12 != 0 {
			continue
		}
		var k int
		if err := p.QueryRow(ctx, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'handlers' AND (state <> 'idle' OR random() < 0.2)`).Scan(&k); err != nil {
			t.Fatal(err)
		}
		killed += k
	}
	if err := store.WaitFor(ctx, "statement_v1", last); err != nil {
		t.Fatal(err)
	}
	expected := ""
	for i := range 7 {
		a := fmt.Sprint("a", i)
		expected += fmt.Sprintf("%s: %d in %d, %d\n", a, want[a][0], want[a][1], want[a][1])
	}
	if got := totals(t, p); got != expected {
		t.Errorf("there is\n%swant\n%s", got, expected)
	}
	t.Logf("%d connections were terminated", killed)
	if killed == 0 {
		t.Error("nothing was disturbed")
	}
}

func TestAHandlerInSQLThatFailsParksItsKeyAndWhatCameBeforeIsCommitted(t *testing.T) {
	t.Parallel()
	_, p, store := openStatement(t)
	h := statement()
	h.Key, h.Policy.Retry = eventstore.ByStream, spine.Retry{Attempts: 2, Base: time.Millisecond}
	for n := range int64(6) {
		for _, account := range []string{"a", "b"} {
			cents := n + 1
			if account == "a" && n == 3 {
				cents = 0
			}
			if _, err := store.Append(t.Context(), eventstore.StreamOf("account", account), eventstore.Any, paidIn{cents}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := handlersSpine(t, store, h).Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := totals(t, p), "a: 6 in 3, 3\nb: 21 in 6, 6\n"; got != want {
		t.Errorf("there is\n%swant\n%s", got, want)
	}
	for e, err := range store.Parked(t.Context(), eventstore.ParkedFilter{}) {
		if err != nil || e.Key != "account-a" {
			t.Errorf("parked: %+v, %v", e, err)
		}
		if len(e.Failures) > 0 && !strings.Contains(e.Failures[0].Error, "division by zero") {
			t.Errorf("parked for %q", e.Failures[0].Error)
		}
	}
}

func TestHandlersSayAllThatIsWrongWithThem(t *testing.T) {
	t.Parallel()
	h := projections.Handlers{Name: "State ment", To: postgres.Handlers{{}, postgres.On[paidIn](nil)}, Policy: spine.Policy{Partitions: 3}}
	_, err := spine.New(memory.Open(memory.Config{}), spine.Config{}, h)
	if err == nil {
		t.Fatal("taken")
	}
	for _, part := range []string{`"State ment"`, "handler 1 is empty", "handler of paid in is nil", "kept by *memory.Backend", "there is no Key"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error lacks %q:\n%v", part, err)
		}
	}
}
