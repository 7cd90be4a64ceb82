package postgres_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/necrostack/necrostack/internal/testenv"
)

func TestProcessesShareAllPartitionsEvenlyAndOutputsAreExactlyOnceWhileTheyComeAndGo(t *testing.T) {
	t.Parallel()
	b := openBank(t, testenv.Postgres(t).Database(t))
	config := workerConfig{DSN: b.dsn, Lease: 20 * time.Second}
	stop := b.posting()
	defer stop()
	var workers []*worker
	for range 4 {
		workers = append(workers, b.start(config))
		b.share(workers...)
	}
	for range 2 {
		workers[0].stop()
		workers = workers[1:]
		b.share(workers...)
		workers = append(workers, b.start(config))
		b.share(workers...)
	}
	for len(workers) > 1 {
		workers[0].stop()
		workers = workers[1:]
		b.share(workers...)
	}
	stop()
	b.settle()
	t.Logf("%d commands, while 6 processes came and 5 went", len(b.deposits))
}

func TestAKilledProcessIsTakenOverWithinItsLease(t *testing.T) {
	t.Parallel()
	b := openBank(t, testenv.Postgres(t).Database(t))
	config := workerConfig{Lease: 3 * time.Second}
	stop := b.posting()
	defer stop()
	victim, heir := b.start(config), b.start(config)
	b.share(victim, heir)
	victim.crash()
	begin := time.Now()
	b.share(heir)
	took := time.Since(begin)
	t.Logf("SIGKILL to process %d; process %d has all its partitions after %v, and the lease is %v", victim.pid(), heir.pid(), took, config.Lease)
	// Others look at the leases at every third of one.
	if most := config.Lease + config.Lease/3 + time.Second; took > most {
		t.Errorf("that took more than %v", most)
	}
	stop()
	b.settle()
}

func TestAProcessThatIsToldToEndHandsItsPartitionsOverAtOnce(t *testing.T) {
	t.Parallel()
	b := openBank(t, testenv.Postgres(t).Database(t))
	config := workerConfig{Lease: time.Minute}
	stop := b.posting()
	defer stop()
	first, heir := b.start(config), b.start(config)
	b.share(first, heir)
	first.signal(syscall.SIGTERM)
	begin := time.Now()
	b.share(heir)
	took := time.Since(begin)
	first.leave()
	t.Logf("SIGTERM to process %d; process %d has all its partitions after %v, and the lease is %v", first.pid(), heir.pid(), took, config.Lease)
	if took > config.Lease/6 {
		t.Error("it waited for the lease")
	}
	stop()
	b.settle()
}

func TestProcessesOutliveTheServer(t *testing.T) {
	t.Parallel()
	server := testenv.OwnPostgres(t)
	b := openBank(t, server.Database(t))
	config := workerConfig{Lease: 4 * time.Second}
	workers := []*worker{b.start(config), b.start(config), b.start(config)}
	b.share(workers...)
	stop := b.posting()
	defer stop()
	for range 2 {
		b.until("they work", func() bool { return b.count("noted") > 50 })
		server.Kill(t)
		server.Start(t)
		noted := b.count("noted")
		b.until("they work again", func() bool { return b.count("noted") > noted+50 })
	}
	stop()
	b.settle()
	b.share(workers...) // the same processes
	for _, w := range workers {
		w.stop()
	}
}

func TestOldAndNewDefinitionsInDifferentProcessesSkipAndDoubleNothing(t *testing.T) {
	t.Parallel()
	b := openBank(t, testenv.Postgres(t).Database(t))
	old := workerConfig{Lease: 4 * time.Second, shape: shape{Partitions: 4}}
	next := workerConfig{Lease: old.Lease, shape: shape{Partitions: 7, Keys: 1}}
	stop := b.posting()
	defer stop()
	a, c := b.start(old), b.start(old)
	b.share(a, c)
	d := b.start(next)
	b.share(d)
	c.crash()
	t.Logf("SIGKILL to process %d, which has the old definition", c.pid())
	c = b.start(old) // as if it were restarted before its turn has come
	e := b.start(next)
	b.share(d, e)
	d.crash()
	t.Logf("SIGKILL to process %d, which has the new definition", d.pid())
	b.share(e)
	noted := b.count("noted")
	b.until("all go on together", func() bool { return b.count("noted") > noted+100 })
	for _, w := range []*worker{a, c} {
		if w.works("account")+w.works("clerk") > 0 {
			t.Errorf("process %d still works by the old definition", w.pid())
		}
		w.stop()
	}
	stop()
	b.settle()
}
