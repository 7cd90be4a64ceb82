package postgres

import (
	"context"
	"sync"
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
		now, good := b.known.since(seen)
		if good > 0 && now != seen {
			return now, nil
		}
		if good <= 0 || !b.news.heard.Load() {
			var err error
			now, err = b.look(ctx)
			if ctx.Err() != nil {
				return seen, nil //nolint:nilerr // the caller has gone, and a Waker returns without an error then
			}
			if err != nil || now != seen {
				return now, err
			}
			good = mostPause
		}
		if b.news.heard.Load() {
			pause = good
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

// look asks the server for the pulse.
func (b *Backend) look(ctx context.Context) (p eventstore.Pulse, err error) {
	began, changes := time.Now(), b.known.begin()
	if err = b.reserve.QueryRow(ctx, b.sql("SELECT "+pulseSQL)).Scan(&p.Head, &p.Roster, &p.Window); err == nil {
		b.known.saw(p, began, changes)
	}
	return p, classify(err)
}

// pulseSQL are the parts of a pulse.
const pulseSQL = `coalesce((SELECT max(position) FROM @events), 0),
	(SELECT max(beat) FROM @pulses WHERE name = 'roster'), (SELECT max(beat) FROM @pulses WHERE name = 'window')`

// moved wakes whoever waits, here and in other processes, to look.
func (b *Backend) moved() {
	b.known.changed()
	b.wake.Fire()
	b.news.announce()
}

// appended is moved where nothing but the head has, and it is known how far.
func (b *Backend) appended(head eventstore.Position) {
	b.known.reached(eventstore.Pulse{Head: head})
	b.wake.Fire()
	b.news.announce()
}

// known is what is known of the pulse, so that the server need not be asked whenever somebody wakes: what it said when it was
// last asked, what this process has committed since, and what others have announced.
type known struct {
	mu      sync.Mutex
	pulse   eventstore.Pulse
	asked   time.Time // when the server was last asked; zero: it has to be, for something has changed since
	changes int       // such changes
	reaches int       // of pulse
}

// begun is what had happened when the server was asked.
type begun struct{ changes, reaches int }

// since returns the pulse as far as it is beyond what was seen, and how long that is good for.
func (k *known) since(seen eventstore.Pulse) (eventstore.Pulse, time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return latest(seen, k.pulse), mostPause - time.Since(k.asked)
}

// changed has the server asked.
func (k *known) changed() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked = time.Time{}
	k.changes++
}

// reached says that the log has come so far at least.
func (k *known) reached(p eventstore.Pulse) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pulse = latest(k.pulse, p)
	k.reaches++
}

func (k *known) begin() begun {
	k.mu.Lock()
	defer k.mu.Unlock()
	return begun{k.changes, k.reaches}
}

// saw says what the server has answered, which may be less than was known before: a log can be restored.
func (k *known) saw(p eventstore.Pulse, at time.Time, then begun) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.reaches != then.reaches {
		p = latest(p, k.pulse)
	}
	k.pulse = p
	if k.changes == then.changes {
		k.asked = at
	}
}

func latest(a, b eventstore.Pulse) eventstore.Pulse {
	return eventstore.Pulse{Head: max(a.Head, b.Head), Roster: max(a.Roster, b.Roster), Window: max(a.Window, b.Window)}
}
