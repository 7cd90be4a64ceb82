package postgres_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

// While an old snapshot is open, nothing is cleaned up that it could see: every former version of a row that is updated
// again and again stays. A commit must not have to step over all of them. How much it touches is counted in blocks, which
// no load of the machine changes.
func TestCommitsStayCheapWhileAnOldSnapshotIsOpen(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t).Database(t)
	p := pool(t, dsn)
	m := mover{T: t, dsn: dsn, watch: p}
	m.run(1, func(b *postgres.Backend) { m.leases = claim(t, b, 3) })
	m.run(200, nil)
	fresh, usual := m.run(200, nil)
	old, err := p.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Rollback(t.Context()) //nolint:errcheck // it has only read
	if _, err := old.Exec(t.Context(), "SELECT count(*) FROM necrostack.events"); err != nil {
		t.Fatal(err)
	}
	m.run(3000, nil)
	late, slow := m.run(200, nil)
	t.Logf("a commit with 3 checkpoints touches %d blocks, and %d after 3000 more with an old snapshot open; 200 took %v, and %v then",
		fresh, late, usual, slow)
	if most := 2 * fresh; late > most {
		t.Errorf("a commit touches %d blocks, want at most %d", late, most)
	}
}

// A mover moves all partitions by commit after commit.
type mover struct {
	*testing.T

	dsn    string
	watch  *pgxpool.Pool
	leases []eventstore.Lease
	at     eventstore.Position
}

// run commits n times, on connections of its own, and returns how many blocks of tables and indexes one commit has
// touched. A connection has said all that it has to say of that when it has ended.
func (m *mover) run(n int, prepare func(*postgres.Backend)) (blocks int, took time.Duration) {
	m.Helper()
	cfg, err := pgxpool.ParseConfig(m.dsn)
	if err != nil {
		m.Fatal(err)
	}
	cfg.ConnConfig.RuntimeParams["application_name"] = "mover"
	p, err := pgxpool.NewWithConfig(m.Context(), cfg)
	if err != nil {
		m.Fatal(err)
	}
	defer p.Close()
	b, err := postgres.New(m.Context(), p, postgres.Config{})
	if err != nil {
		m.Fatal(err)
	}
	if prepare != nil {
		prepare(b)
	}
	before, begin := m.touched(), time.Now()
	for range n {
		m.move(b)
	}
	took = time.Since(begin)
	if err := b.Close(); err != nil {
		m.Error(err)
	}
	p.Close()
	for gone := false; !gone; {
		if err := m.watch.QueryRow(m.Context(), "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'mover' AND datname = current_database()").
			Scan(&gone); err != nil {
			m.Fatal(err)
		}
	}
	return (m.touched() - before) / n, took
}

// move commits an event and all partitions' checkpoints.
func (m *mover) move(b *postgres.Backend) {
	m.Helper()
	c := eventstore.Commit{Appends: []eventstore.Append{{
		Stream: "s-1", Events: []eventstore.Event{{ID: uuid.Must(uuid.NewV7()), Type: "x", Data: []byte("1")}},
	}}}
	for _, l := range m.leases {
		c.Checkpoints = append(c.Checkpoints, eventstore.Checkpoint{
			Consumer: l.Consumer, Partition: l.Partition, Epoch: l.Epoch, From: m.at, To: m.at + 1,
		})
	}
	outcomes, err := b.Commit(m.Context(), []eventstore.Commit{c})
	if err != nil || outcomes[0].Err != nil {
		m.Fatal(err, outcomes)
	}
	m.at++
}

func (m *mover) touched() (blocks int) {
	m.Helper()
	const sql = `SELECT sum(heap_blks_hit + heap_blks_read + coalesce(idx_blks_hit + idx_blks_read, 0))::bigint
		FROM pg_statio_user_tables WHERE schemaname = 'necrostack'`
	if err := m.watch.QueryRow(m.Context(), sql).Scan(&blocks); err != nil {
		m.Fatal(err)
	}
	return blocks
}

// claim defines a consumer and takes its partitions.
func claim(t *testing.T, b *postgres.Backend, lanes int) []eventstore.Lease {
	t.Helper()
	known, err := b.Define(t.Context(), eventstore.Consumer{Name: "c", Partitions: lanes, Hash: "h", Listens: []string{"any"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Renew(t.Context(), eventstore.Member{ID: "m", Consumers: []string{"c"}}, time.Hour); err != nil {
		t.Fatal(err)
	}
	partitions := make([]int, lanes)
	for i := range partitions {
		partitions[i] = i
	}
	leases, err := b.Claim(t.Context(), "m", "c", known.Generation, partitions)
	if err != nil || len(leases) != lanes {
		t.Fatal(err, leases)
	}
	return leases
}
