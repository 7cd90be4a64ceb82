package postgres

import (
	"context"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// How often Wait looks for what other processes have done: ever less often while nothing happens. Where they announce
// it, it looks only in case that an announcement was lost.
const (
	leastPause = 5 * time.Millisecond
	mostPause  = 100 * time.Millisecond
)

// Wait implements eventstore.Waker: at once for what this process does, and for what others do as soon as they have
// announced it, or it looks again.
func (b *Backend) Wait(ctx context.Context, seen eventstore.Pulse) (eventstore.Pulse, error) {
	b.news.listen()
	for pause := leastPause; ; pause = min(pause*2, mostPause) {
		woken := b.wake.Wait()
		now, err := b.pulse(ctx)
		if ctx.Err() != nil {
			return seen, nil //nolint:nilerr // the caller has gone, and a Waker returns without an error then
		}
		if err != nil || now != seen {
			return now, err
		}
		if b.news.heard.Load() {
			pause = mostPause
		}
		t := time.NewTimer(pause)
		select {
		case <-woken:
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return now, nil
		}
		t.Stop()
	}
}

func (b *Backend) pulse(ctx context.Context) (p eventstore.Pulse, err error) {
	err = b.reserve.QueryRow(ctx, b.sql(`SELECT coalesce((SELECT max(position) FROM @events), 0),
		(SELECT max(beat) FROM @pulses WHERE name = 'roster'), (SELECT max(beat) FROM @pulses WHERE name = 'window')`)).
		Scan(&p.Head, &p.Roster, &p.Window)
	return p, classify(err)
}

// moved wakes whoever waits, here and in other processes.
func (b *Backend) moved() {
	b.wake.Fire()
	b.news.announce()
}
