package postgres_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

func TestACommitIsAnnouncedToOtherProcesses(t *testing.T) {
	t.Parallel()
	p := pool(t, testenv.Postgres(t).Database(t))
	b, err := postgres.New(t.Context(), p, postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	st := eventstore.New(b, eventstore.Config{})
	defer st.Close()
	conn, err := p.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	for _, text := range []string{
		"LISTEN " + pgx.Identifier{b.Channel()}.Sanitize(),
		"INSERT INTO necrostack.listeners VALUES ('" + uuid.NewString() + "', clock_timestamp() + interval '1 hour')",
	} {
		if _, err := conn.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := st.Append(t.Context(), "s-1", eventstore.Any, happened{}); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Conn().WaitForNotification(t.Context()); err != nil {
		t.Fatal(err)
	}
	if head, err := st.Head(t.Context()); err != nil || head != 1 {
		t.Errorf("what was announced is at %d, %v", head, err)
	}
}

func TestWhoWaitsListensUntilItsBackendIsClosed(t *testing.T) {
	t.Parallel()
	p := pool(t, testenv.Postgres(t).Database(t))
	b, err := postgres.New(t.Context(), p, postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	listeners := func(want int) {
		t.Helper()
		for n := -1; n != want; {
			if err := p.QueryRow(t.Context(), "SELECT count(*) FROM necrostack.listeners").Scan(&n); err != nil {
				t.Fatal(err)
			}
		}
	}
	listeners(0)
	if _, err := b.Wait(t.Context(), eventstore.Pulse{Head: -1}); err != nil {
		t.Fatal(err)
	}
	listeners(1)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	listeners(0)
}

// Whoever shares a pool with the log may hold all of it.
func TestWhoHoldsTheWholePoolCanStillReadAndCommit(t *testing.T) {
	t.Parallel()
	cfg, err := pgxpool.ParseConfig(testenv.Postgres(t).Database(t))
	if err != nil {
		t.Fatal(err)
	}
	cfg.MaxConns = 1
	p, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	st, err := postgres.OpenPool(t.Context(), p, postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	err = p.AcquireFunc(t.Context(), func(*pgxpool.Conn) error {
		for range 3 {
			if _, err := st.Append(t.Context(), "s-1", eventstore.Any, happened{}); err != nil {
				return err
			}
		}
		head, err := st.Head(t.Context())
		if head != 3 {
			t.Errorf("the head is %d", head)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	// A read that has an event in hand holds no connection.
	for _, err := range st.Read(t.Context(), eventstore.All(), eventstore.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		conn, err := p.Acquire(ctx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		conn.Release()
	}
}
