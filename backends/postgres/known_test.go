package postgres_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

// asked counts how often a server was asked for the pulse.
type asked struct{ atomic.Int64 }

func (a *asked) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if strings.HasPrefix(q.SQL, "SELECT coalesce((SELECT max(position)") {
		a.Add(1)
	}
	return ctx
}

func (*asked) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// listening returns a backend that hears announcements, what counts its questions, and its pulse.
func listening(t *testing.T, dsn string) (*postgres.Backend, *asked, eventstore.Pulse) {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	a := new(asked)
	cfg.ConnConfig.Tracer = a
	p, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	b, err := postgres.New(t.Context(), p, postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	seen := wait(t, b, eventstore.Pulse{Head: -1})
	for !b.Hears() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_, err := b.Wait(ctx, seen)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
	}
	return b, a, seen
}

func wait(t *testing.T, b *postgres.Backend, seen eventstore.Pulse) eventstore.Pulse {
	t.Helper()
	p, err := b.Wait(t.Context(), seen)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWhoIsToldHowFarTheLogIsDoesNotAsk(t *testing.T) {
	t.Parallel()
	const commits, look = 100, 100 * time.Millisecond
	dsn := testenv.Postgres(t).Database(t)
	b, a, seen := listening(t, dsn)
	other, err := postgres.Open(t.Context(), dsn, postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	own := eventstore.New(b, eventstore.Config{})
	began := time.Now()
	a.Store(0)
	for n := range eventstore.Position(commits) {
		by := own
		if n%2 == 0 {
			by = other
		}
		if _, err := by.Append(t.Context(), "s-1", eventstore.Any, happened{}); err != nil {
			t.Fatal(err)
		}
		for seen.Head <= n {
			seen = wait(t, b, seen)
		}
		if seen.Head != n+1 {
			t.Fatalf("after commit %d, the head is %d", n+1, seen.Head)
		}
	}
	// One look each time that an announcement might have been lost, and the one that is under way when something comes.
	if most := 2*int64(time.Since(began)/look) + 2; a.Load() > most && most < commits {
		t.Errorf("of %d commits, it took %d questions to learn, within %v", commits, a.Load(), time.Since(began))
	}
}

func TestAnAnnouncementThatIsNotTrueIsFoundOut(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{"99 0 0", "99 9223372036854775807 0"} {
		t.Run(payload, func(t *testing.T) {
			t.Parallel()
			dsn := testenv.Postgres(t).Database(t)
			b, _, truth := listening(t, dsn)
			announce(t, dsn, b, payload)
			if p := wait(t, b, truth); p.Head != 99 {
				t.Fatalf("who was told of 99 says %d", p.Head)
			}
			for wait(t, b, eventstore.Pulse{Head: -1}) != truth { // it is the same as long as it is believed
				if t.Context().Err() != nil {
					t.Fatal("it is still believed")
				}
			}
		})
	}
}

func TestAnAnnouncementThatSaysNothingMakesOneLook(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{"", "1", "one two three", "99999999999999999999 0 0", "; DROP TABLE events", strings.Repeat("9 ", 3000)} {
		dsn := testenv.Postgres(t).Database(t)
		b, a, seen := listening(t, dsn)
		a.Store(0)
		announce(t, dsn, b, payload)
		if wait(t, b, eventstore.Pulse{Head: -1}) != seen {
			t.Errorf("%.20q: who was told nothing says so", payload)
		}
		for a.Load() == 0 { // until it is heard
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			_, err := b.Wait(ctx, seen)
			cancel()
			if err != nil || t.Context().Err() != nil {
				t.Fatalf("%.20q: nobody has looked: %v", payload, err)
			}
		}
	}
}

func announce(t *testing.T, dsn string, b *postgres.Backend, payload string) {
	t.Helper()
	if _, err := connection(t, dsn).Exec(t.Context(), "SELECT pg_notify($1, $2)", b.Channel(), payload); err != nil {
		t.Fatal(err)
	}
}

// What a commit writes that has nothing but checkpoints can be had again. Nothing else of its connection may be that careless.
func TestMovingCheckpointsDoesNotWaitForTheDisk(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t).Database(t)
	st, err := postgres.Open(t.Context(), dsn, postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	conn := connection(t, dsn)
	for _, c := range []struct{ set, during string }{{"on", "off"}, {"local", "off"}, {"off", "off"}, {"remote_apply", "remote_apply"}} {
		if _, err := conn.Exec(t.Context(), "SELECT set_config('synchronous_commit', $1, false)", c.set); err != nil {
			t.Fatal(err)
		}
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		setting := func(q interface {
			QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
		},
		) (s string) {
			if err := q.QueryRow(t.Context(), "SELECT current_setting('synchronous_commit')").Scan(&s); err != nil {
				t.Fatal(err)
			}
			return s
		}
		if _, err := tx.Exec(t.Context(), "SELECT necrostack.move_checkpoints('necrostack', '{}', '{}', '{}', '{}', '{}')"); err != nil {
			t.Fatal(err)
		}
		if got := setting(tx); got != c.during {
			t.Errorf("with %s, it commits with %s, want %s", c.set, got, c.during)
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := setting(conn); got != c.set {
			t.Errorf("%s was left as %s", c.set, got)
		}
	}
}
