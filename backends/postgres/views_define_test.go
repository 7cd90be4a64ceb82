package postgres_test

import (
	"sync"
	"testing"

	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

// All of them have seen that there is no table, before the first one makes it.
func TestProcessesThatDefineTheSameRowsAtOnceAllFindThem(t *testing.T) {
	t.Parallel()
	b := openBank(t, testenv.Postgres(t).Database(t))
	set := eventstore.RowSet{Name: "sums", Version: 1, Columns: []eventstore.Column{{Name: "n", Kind: eventstore.Int}}}
	tx, err := b.pool.Begin(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(b.ctx) //nolint:errcheck // it is over by then
	const lock = "SELECT pg_advisory_xact_lock(1313166926, 'necrostack.views'::regclass::oid::bigint::bit(32)::integer)"
	if _, err := tx.Exec(b.ctx, lock); err != nil {
		t.Fatal(err)
	}
	var others [4]*postgres.Backend
	for i := range others {
		if others[i], err = postgres.New(b.ctx, pool(t, b.dsn), postgres.Config{}); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	defer all.Wait()
	for _, other := range others { // all are open by then: a lock is waited for with patience, but not for ever
		all.Go(func() {
			if err := other.DefineRows(b.ctx, set); err != nil {
				t.Error(err)
			}
			if err := other.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	b.until("all of them wait for who is to make the table", func() bool {
		var n int
		err := b.pool.QueryRow(b.ctx, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1313166926 AND NOT granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&n)
		return err == nil && n == len(others)
	})
	if err := tx.Commit(b.ctx); err != nil {
		t.Fatal(err)
	}
}
