package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/spine"
)

const (
	counters  = 100 // keys, and streams
	perSecond = 1000
	unseen    = perSecond      // ticks of the first second: not measured
	ticks     = 11 * perSecond // in all
	appending = 20             // goroutines, each of which has keys of its own
	patience  = time.Minute    // until every tick must be visible
	looking   = time.Millisecond
)

// ticked is an event of the log whose view is watched.
type ticked struct {
	N int `json:"n"` // counts all of them; -1: before the first
}

func (ticked) EventType() string { return "ticked" }

// counter is a row: the last event of its key.
type counter struct{ N int }

var countersView = projections.View[counter]{Name: "counters", On: projections.Folds[counter]{
	projections.On(func(c *counter, e ticked) { c.N = e.N }),
}}

// project runs the view in a process of its own, until its input is closed.
func project(ctx context.Context, store *eventstore.Store) error {
	return running(ctx, store, []spine.Organ{countersView}, func(ctx context.Context, sp *spine.Spine) error {
		head, err := store.Head(ctx)
		if err == nil {
			err = sp.WaitFor(ctx, "counters_v1", head)
		}
		if err != nil {
			return err
		}
		_ = ready() // that there is no more input is what is waited for
		return nil
	})
}

func percentile(p int) func(ours, theirs measured) float64 {
	return func(ours, _ measured) float64 { return ours.percentile(p).Seconds() * 1000 }
}

// visible measures how long it takes from when an event is due to be appended, until a process that reads the rows every
// looking has got it, which another one has folded. A writer that is late does not move what is due next.
func visible(ctx context.Context, l *log) (m measured, err error) {
	for key := range counters {
		if _, err := l.store.Append(ctx, counterStream(key), eventstore.Any, ticked{N: -1}); err != nil {
			return m, err
		}
	}
	p, err := l.begin(ctx, job{DSN: l.server.dsn, Schema: l.schema, Projects: true})
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, p.end()) }()
	if err := p.warm(); err != nil {
		return m, err
	}
	ctx, stop := context.WithTimeout(ctx, ticks/perSecond*time.Second+patience)
	defer stop()
	start := time.Now().Add(time.Second / 10)
	seen := make([]time.Time, ticks)
	var appended time.Time
	err = together(2, func(w int) (err error) {
		if w == 0 {
			err = l.watch(ctx, seen)
		} else {
			err = l.tick(ctx, start)
			appended = time.Now()
		}
		if err != nil {
			stop()
		}
		return err
	})
	if err != nil {
		return m, err
	}
	for n := unseen; n < ticks; n++ {
		m.took = append(m.took, seen[n].Sub(due(start, n)))
	}
	slices.Sort(m.took)
	m.rate = ticks / appended.Sub(start).Seconds()
	return m, l.server.count(ctx, l.table(), counters+ticks)
}

func counterStream(key int) eventstore.Stream {
	return eventstore.StreamOf("counter", fmt.Sprint(key))
}

// due is when tick n is to be appended.
func due(start time.Time, n int) time.Time {
	return start.Add(time.Duration(n) * time.Second / perSecond)
}

// tick appends the ticks, each when it is due or, if the writer is late, at once.
func (l *log) tick(ctx context.Context, start time.Time) error {
	return together(appending, func(w int) error {
		for n := w; n < ticks; n += appending {
			select {
			case <-time.After(time.Until(due(start, n))):
			case <-ctx.Done():
				return ctx.Err()
			}
			if _, err := l.store.Append(ctx, counterStream(n%counters), eventstore.Any, ticked{N: n}); err != nil {
				return err
			}
		}
		return nil
	})
}

// watch reads what it has not seen every looking, or as soon as the read before is done, and notes when a read that shows a
// tick has returned. So what is measured is never less than it took, and up to looking more. Reads without a pause, or of rows
// that are known, would take the client's and the server's time from what is measured.
func (l *log) watch(ctx context.Context, seen []time.Time) error {
	return l.server.connected(ctx, func(conn *pgx.Conn) error {
		next := make(map[string]int, counters) // tick of each key that has not been seen
		for key := range counters {
			next[fmt.Sprint(key)] = key
		}
		tick := time.NewTicker(looking)
		defer tick.Stop()
		for left := len(seen); left > 0; {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
			first := slices.Min(slices.Collect(maps.Values(next))) // of what has not been seen
			rows, err := conn.Query(ctx, "SELECT key, n FROM "+l.schema+".view_counters WHERE n >= $1", first)
			if err != nil {
				return err
			}
			shown := make(map[string]int, counters)
			var key string
			var n int
			if _, err = pgx.ForEachRow(rows, []any{&key, &n}, func() error { shown[key] = n; return nil }); err != nil {
				return err
			}
			now := time.Now()
			for key, n := range shown {
				for ; next[key] <= n; next[key] += counters {
					seen[next[key]] = now
					left--
				}
			}
		}
		return nil
	})
}
