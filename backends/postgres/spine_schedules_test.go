package postgres_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

// Four processes look after the schedules. In the end they are all gone for a while, and one comes back.
func TestSchedulesFireOnceAndNeverEarlyInManyProcessesAndAfterDowntime(t *testing.T) {
	t.Parallel()
	b := openBank(t, testenv.Postgres(t).Database(t))
	config := workerConfig{Lease: 10 * time.Second}
	var workers []*worker
	for range 4 {
		workers = append(workers, b.start(config))
	}
	b.share(workers...)
	const timers = 200
	var now time.Time
	if err := b.pool.QueryRow(b.ctx, "SELECT clock_timestamp()").Scan(&now); err != nil {
		t.Fatal(err)
	}
	due := map[int]time.Time{}
	var commit eventstore.Commit
	for n := range timers {
		due[n] = now.Add(time.Duration(n) * 10 * time.Millisecond).Truncate(time.Microsecond)
		commit.Schedules = append(commit.Schedules, scheduled(t, b.store, n, due[n]))
	}
	if _, err := b.store.Commit(b.ctx, commit); err != nil {
		t.Fatal(err)
	}
	b.until("all have fired", func() bool { return b.count("alarm") >= timers })
	for _, w := range workers {
		w.stop()
	}
	due[timers] = time.Now().Add(50 * time.Millisecond).Truncate(time.Microsecond)
	late := eventstore.Commit{Schedules: []eventstore.Schedule{scheduled(t, b.store, timers, due[timers])}}
	if _, err := b.store.Commit(b.ctx, late); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(due[timers].Add(50 * time.Millisecond))) // nobody is there to see it
	if n := b.count("alarm"); n != timers {
		t.Errorf("%d have fired, want %d before anybody is there", n, timers)
	}
	workers = []*worker{b.start(config), b.start(config)}
	b.until("the late one has fired", func() bool { return b.count("alarm") > timers })
	b.share(workers...)
	fired := map[int]int{}
	for e, err := range b.store.Read(b.ctx, eventstore.OfType("alarm"), eventstore.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		a, err := eventstore.Decode[alarm](e)
		if err != nil {
			t.Fatal(err)
		}
		if fired[a.N]++; fired[a.N] > 1 {
			t.Errorf("timer %d has fired %d times", a.N, fired[a.N])
		}
		if e.Time.Before(due[a.N]) {
			t.Errorf("timer %d, due at %v, has fired at %v", a.N, due[a.N], e.Time)
		}
	}
	if len(fired) != timers+1 {
		t.Errorf("%d timers have fired, want %d", len(fired), timers+1)
	}
}

// scheduled is a timer.
func scheduled(t *testing.T, store *eventstore.Store, n int, due time.Time) eventstore.Schedule {
	t.Helper()
	e, err := store.Encode(alarm{n})
	if err != nil {
		t.Fatal(err)
	}
	return eventstore.Schedule{ID: uuid.New(), Due: due, Append: eventstore.Append{Stream: "alarm-1", Events: []eventstore.Event{e}}}
}
