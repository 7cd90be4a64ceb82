package postgres_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
	"github.com/necrostack/necrostack/projections/viewtest"
	"github.com/necrostack/necrostack/spine"
)

// TestKill has two processes run five views, and kills one or both of them by SIGKILL again and again, at moments that
// depend on how far they are and on chance. Each row is to be what folding the log by plain means comes to.
func TestKill(t *testing.T) {
	t.Parallel()
	const kills, share, seed = 100, 100, 7
	b := openBank(t, testenv.Postgres(t).Database(t))
	f := b.feed(seed)
	defer f.stop()
	config := workerConfig{Lease: time.Second, Views: true}
	workers := []*worker{b.start(config), b.start(config)}
	random := rand.New(rand.NewPCG(seed, seed))
	var pids []int
	var starts []time.Duration
	begin := time.Now()
	for len(pids) < kills {
		f.most.Add(share)
		b.goOn(1 + random.IntN(10*share))
		victims := []int{random.IntN(len(workers))}
		if random.IntN(8) == 0 {
			victims = []int{0, 1}
		}
		for _, i := range victims {
			starts = append(starts, workers[i].isUp(b))
		}
		time.Sleep(time.Duration(random.IntN(50)) * time.Millisecond) // any moment will do
		for _, i := range victims {
			workers[i].crash()
			pids = append(pids, workers[i].pid())
			workers[i] = b.start(config)
		}
	}
	took := time.Since(begin)
	f.stop()
	poison := b.redrivePoison(b.viewsAreDone)
	slices.Sort(starts)
	t.Logf("seed %d: %d times SIGKILL within %v, to the processes %v; half of them were up within %v; %d times an event counted as poison and was redriven; %v",
		seed, len(pids), took.Round(time.Second), pids, starts[len(starts)/2].Round(time.Millisecond), poison, b.compareViews())
	for _, w := range workers {
		w.stop()
	}
}

// No event is to blame for a server that is away: none is set aside, and no attempt counts as failed.
func TestViewsOutliveTheServer(t *testing.T) {
	t.Parallel()
	const away, share, seed = 4, 300, 8
	server := testenv.OwnPostgres(t)
	b := openBank(t, server.Database(t))
	f := b.feed(seed)
	defer f.stop()
	config := workerConfig{Lease: 2 * time.Second, Views: true}
	workers := []*worker{b.start(config), b.start(config)}
	random := rand.New(rand.NewPCG(seed, seed))
	for n := range away {
		f.most.Add(share)
		b.goOn(1 + random.IntN(10*share))
		if n%2 == 0 {
			server.Stop(t)
		} else {
			server.Kill(t)
		}
		if n == 2 {
			time.Sleep(config.Lease + config.Lease/3) // of which only a clock tells
		}
		server.Start(t)
	}
	b.until("the views have all that was written", func() bool { return f.written.Load() >= f.most.Load() && b.viewsAreDone() })
	f.stop()
	for p, err := range b.store.Parked(b.ctx, eventstore.ParkedFilter{}) {
		t.Errorf("parked: %+v, %v", p, err)
	}
	met := 0
	for _, w := range workers {
		w.stop()
		met += w.blamesNobody()
	}
	t.Logf("seed %d: the server was away %d times, which %d attempts met; %v", seed, away, met, b.compareViews())
}

// blamesNobody checks that a worker has counted nothing as the fault of an event, and returns how many attempts have met
// a server that was away.
func (w *worker) blamesNobody() (met int) {
	w.tb.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.said {
		switch {
		case r.Step == spine.HandlerFailed && strings.Contains(r.Error, eventstore.ErrUnavailable.Error()):
			met++
		case r.Step == spine.HandlerFailed, r.Step == spine.EventParked:
			w.tb.Errorf("process %d: %s: %s", w.pid(), r.Step, r.Error)
		}
	}
	if w.failed > 0 {
		w.tb.Errorf("process %d counts %d attempts as failed", w.pid(), w.failed)
	}
	return met
}

// isUp waits until a worker runs, and returns how long that took since it was started.
func (w *worker) isUp(b *bank) time.Duration {
	b.Helper()
	b.until("the process runs", func() bool {
		_, up := w.reported(func(r workerReport) bool { return r.Up })
		return up
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.upAfter
}

// A feeder appends events, by several writers.
type feeder struct {
	most, written, last atomic.Int64 // events: how many are allowed so far, how many are there, and the last one's number
	stop                func()
}

// feed makes the handlers' tables, and begins to append events for views to fold.
func (b *bank) feed(seed uint64) *feeder {
	b.Helper()
	if _, err := b.pool.Exec(b.ctx, killTables); err != nil {
		b.Fatal(err)
	}
	const writers, accounts = 4, 60
	f := &feeder{}
	ended := make(chan struct{})
	var all sync.WaitGroup
	for n := range uint64(writers) {
		random := rand.New(rand.NewPCG(seed, n))
		all.Go(func() {
			tick := time.NewTicker(4 * time.Millisecond) // so that workers are at work while they are killed
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
				case <-ended:
					return
				case <-b.ctx.Done():
					return
				}
				if f.written.Load() < f.most.Load() {
					stream, payload := viewtest.Event(random, accounts, int(f.last.Add(1)))
					if _, err := b.store.Append(b.ctx, stream, eventstore.Any, payload); err == nil {
						f.written.Add(1)
					} else if !eventstore.IsRetryable(err) && !errors.Is(err, b.ctx.Err()) {
						b.Errorf("append: %v", err)
					}
				}
			}
		})
	}
	f.stop = sync.OnceFunc(func() {
		close(ended)
		all.Wait()
	})
	return f
}

// goOn waits until the partitions of the views have moved by n positions, together.
func (b *bank) goOn(n int) {
	b.Helper()
	var before eventstore.Position
	b.until("the server answers", func() (known bool) {
		before, known = b.moved()
		return known
	})
	b.until("the views have gone on", func() bool {
		now, known := b.moved()
		return known && now >= before+eventstore.Position(n)
	})
}

// moved is how far the partitions of all views are, together, if that can be told just now.
func (b *bank) moved() (sum eventstore.Position, known bool) {
	for _, c := range viewConsumers() {
		r, err := b.store.Roster(b.ctx, c)
		if err != nil {
			return 0, false
		}
		for _, p := range r.Partitions {
			sum += p.Position
		}
	}
	return sum, true
}

// viewsAreDone reports whether all views are at the head of the log.
func (b *bank) viewsAreDone() bool {
	return !slices.ContainsFunc(viewConsumers(), func(c string) bool { return !b.at(c) })
}
