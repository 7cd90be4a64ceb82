package postgres_test

import (
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

// shop is a log beside a table of the caller's own.
type shop struct {
	store *eventstore.Store
	pool  *pgxpool.Pool
}

func openShop(t *testing.T) shop {
	t.Helper()
	p := pool(t, testenv.Postgres(t).Database(t))
	st, err := postgres.OpenPool(t.Context(), p, postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	if _, err := p.Exec(t.Context(), "CREATE TABLE orders (n integer)"); err != nil {
		t.Fatal(err)
	}
	return shop{st, p}
}

// order inserts a row and appends to order-1 in one transaction.
func (s shop) order(t *testing.T, level pgx.TxIsoLevel, expect eventstore.Expected, between func(tx pgx.Tx)) error {
	t.Helper()
	tx, err := s.pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: level})
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context()) //nolint:errcheck // it has been committed, or is of no use
	if _, err := tx.Exec(t.Context(), "INSERT INTO orders VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	if err := postgres.AppendTx(t.Context(), tx, s.store, "order-1", expect, happened{}); err != nil {
		t.Fatal(err)
	}
	if between != nil {
		between(tx)
	}
	if err := tx.Commit(t.Context()); err != nil {
		return postgres.Refusal(err)
	}
	return nil
}

// holds fails unless there are so many events and so many rows.
func (s shop) holds(t *testing.T, events, rows int) {
	t.Helper()
	head, err := s.store.Head(t.Context())
	if err != nil || head != eventstore.Position(events) {
		t.Errorf("the head is %d, %v, not %d", head, err, events)
	}
	var n, staged int
	if err := s.pool.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM necrostack.staged)").Scan(&n, &staged); err != nil {
		t.Fatal(err)
	}
	if n != rows || staged != 0 {
		t.Errorf("there are %d rows, not %d, and %d staged commits", n, rows, staged)
	}
}

var levels = []pgx.TxIsoLevel{pgx.ReadCommitted, pgx.RepeatableRead, pgx.Serializable}

func TestEventsAndRowsOfOneTransactionStandTogetherOrNotAtAll(t *testing.T) {
	t.Parallel()
	for _, level := range levels {
		t.Run(string(level), func(t *testing.T) {
			t.Parallel()
			s := openShop(t)
			if err := s.order(t, level, eventstore.NoStream, func(pgx.Tx) { s.holds(t, 0, 0) }); err != nil {
				t.Fatal(err)
			}
			s.holds(t, 1, 1)
			err := s.order(t, level, eventstore.NoStream, nil)
			if conflict, ok := errors.AsType[*eventstore.ConflictError](err); !ok || conflict.Stream != "order-1" || conflict.Actual != 1 {
				t.Errorf("the second is refused with %v, not a conflict at version 1", err)
			}
			s.holds(t, 1, 1)
			if err := s.order(t, level, eventstore.Exact(1), nil); err != nil {
				t.Error(err)
			}
			s.holds(t, 2, 2)
		})
	}
}

func TestAnOldSnapshotIsRetryableAndNoConflict(t *testing.T) {
	t.Parallel()
	for _, level := range levels {
		for what, stream := range map[string]eventstore.Stream{"another stream": "other-1", "the same stream": "order-1"} {
			t.Run(string(level)+"/"+what, func(t *testing.T) {
				t.Parallel()
				s := openShop(t)
				err := s.order(t, level, eventstore.Exact(0), func(pgx.Tx) {
					if _, err := s.store.Append(t.Context(), stream, eventstore.Any, happened{}); err != nil {
						t.Fatal(err)
					}
				})
				switch {
				case level != pgx.ReadCommitted:
					if !eventstore.IsRetryable(err) || errors.Is(err, eventstore.ErrConflict) {
						t.Errorf("%v, want what may be tried again", err)
					}
				case stream == "order-1":
					if !errors.Is(err, eventstore.ErrConflict) {
						t.Errorf("%v, want a conflict", err)
					}
				case err != nil:
					t.Error(err)
				}
			})
		}
	}
}

func TestTheLogIsFreeUntilTheTransactionCommits(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	err := s.order(t, pgx.ReadCommitted, eventstore.Any, func(tx pgx.Tx) {
		if err := postgres.AppendTx(t.Context(), tx, s.store, "order-2", eventstore.Any, happened{}); err != nil {
			t.Fatal(err)
		}
		for range 3 { // would wait for ever if the lock were held
			if _, err := s.store.Append(t.Context(), "free-1", eventstore.Any, happened{}); err != nil {
				t.Fatal(err)
			}
		}
		s.holds(t, 3, 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	s.holds(t, 5, 1)
}

func TestACommitOfATransactionIsRecognisedWhenItComesAgain(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	draft := eventstore.Draft{ID: uuid.Must(uuid.NewV7()), Payload: happened{}}
	again := func(stream eventstore.Stream) error {
		return pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
			return postgres.AppendTx(t.Context(), tx, s.store, stream, eventstore.NoStream, draft)
		})
	}
	for range 2 {
		if err := again("order-1"); err != nil {
			t.Fatal(err)
		}
	}
	s.holds(t, 1, 0)
	if err := postgres.Refusal(again("order-2")); !errors.Is(err, eventstore.ErrIDReused) {
		t.Errorf("%v, want a reused id", err)
	}
	s.holds(t, 1, 0)
}

func TestConditionsOfATransactionAreDecidedWhenItCommits(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	a, err := s.store.NewAppend("order-1", eventstore.Any, happened{})
	if err != nil {
		t.Fatal(err)
	}
	c := eventstore.Commit{Appends: []eventstore.Append{a}, Unless: []eventstore.Condition{{Query: eventstore.OfType("happened")}}}
	err = pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
		if err := postgres.CommitTx(t.Context(), tx, s.store, c); err != nil {
			t.Fatal(err)
		}
		_, err := s.store.Append(t.Context(), "order-2", eventstore.Any, happened{})
		return err
	})
	if broken, ok := errors.AsType[*eventstore.ConditionError](postgres.Refusal(err)); !ok || broken.Position != 1 {
		t.Errorf("%v, want a condition that the event at position 1 breaks", err)
	}
	s.holds(t, 1, 0)
}

func TestWhatBreaksALimitIsRefusedBeforeItReachesTheTransaction(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	err := pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
		if err := postgres.AppendTx(t.Context(), tx, s.store, " order", eventstore.Any, happened{}); !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("%v, want a refusal", err)
		}
		_, err := tx.Exec(t.Context(), "SELECT 1") // it is still usable
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
