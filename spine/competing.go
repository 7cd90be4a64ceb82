package spine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// A competing consumer has one lane, the feeder. It handles nothing, but moves events from the log into the
// consumer's window, as fast as they are done; writers pay nothing for it, and history can be delivered. The
// workers of all processes take them from there.

// feedBatch is how many deliveries go into one commit.
const feedBatch = chunkEvents / 2

// feedTime is how long the feeder waits for room for a batch, when there is room for less.
const feedTime = 5 * time.Millisecond

// feed puts events into the window. It reports false when the lane is over.
func (l *lane) feed(ctx, work context.Context, in []Input, through eventstore.Position) bool {
	var next sync.WaitGroup
	defer next.Wait()
	l.readAhead(ctx, &next)
	for len(in) > 0 {
		room, err := l.room(ctx, len(in))
		if err != nil {
			if !l.pauseAfter(ctx, work, err) {
				return false
			}
			continue
		}
		var c eventstore.Commit
		n := 0
		for n < len(in) && len(c.Deliveries) < room {
			c.Deliveries = append(c.Deliveries, l.delivery(in[n].Position, in[n].ID))
			n += whole(in[n:])
		}
		to := through
		if n < len(in) {
			to = in[n-1].Position
		}
		if _, err := l.send(work, c, to, nil); err != nil {
			return false
		}
		l.engine.window.Fire()
		in = in[n:]
	}
	return true
}

// readAhead has the feed read the chunk that the lane asks for next, if there is one.
func (l *lane) readAhead(ctx context.Context, reads *sync.WaitGroup) {
	f := l.engine.feed
	f.mu.Lock()
	after := l.readTo
	wanted := after < f.tail && !l.ended() && f.kept(after) == nil
	f.mu.Unlock()
	if wanted {
		reads.Go(func() { _, _ = f.fetch(ctx, after) }) // an error shows again when the lane asks
	}
}

// delivery of an event. The epoch is in its id because attempts begin anew after a reset: an answer to what was
// delivered before must not count for what is delivered after it.
func (l *lane) delivery(at eventstore.Position, event uuid.UUID) eventstore.Delivery {
	return eventstore.Delivery{
		ID: uuid.NewSHA1(event, fmt.Appendf(nil, "%s %d", l.consumer.Name, l.epoch)), Consumer: l.consumer.Name, Position: at, Event: event,
	}
}

// room waits until there is room in the window, and a little longer for room for many events. Meanwhile the lane has nothing to do.
func (l *lane) room(ctx context.Context, events int) (int, error) {
	enough := min(events, feedBatch, max(1, l.consumer.Policy.Window/4))
	rests, waited := false, false
	defer func() {
		if rests {
			l.engine.feed.goOn()
		}
	}()
	for {
		changed := l.engine.window.Wait()
		outstanding, _, err := l.engine.deliverer.Window(ctx, l.consumer.Name)
		if err != nil {
			return 0, err
		}
		room := l.consumer.Policy.Window - outstanding
		if room >= enough || room > 0 && waited {
			return min(room, feedBatch), nil
		}
		if room > 0 {
			waited = true
			pause(ctx, feedTime)
			continue
		}
		if !rests {
			rests = true
			l.engine.feed.rest()
		}
		t := time.NewTimer(windowPoll)
		select {
		case <-changed:
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return 0, ctx.Err()
		}
		t.Stop()
	}
}

// rest counts a lane out that waits for room.
func (f *feed) rest() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.free()
}

// goOn ends a rest.
func (f *feed) goOn() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy++
}

// windowPoll is how often a full or an empty window is looked at when nothing announces a change.
const windowPoll = time.Second

// refill puts a parked event back into the window, for all that it was parked for. Who handles it there parks it
// again if need be.
func (l *lane) refill(ctx, work context.Context, key string) error {
	if _, err := l.room(ctx, 1); err != nil {
		return err
	}
	p := l.quarantine.keys[key][0]
	d := l.delivery(p.Position, p.Event)
	d.ID = uuid.New() // likewise: workers may still answer to the delivery before
	c := eventstore.Commit{Deliveries: []eventstore.Delivery{d}}
	var all []eventstore.Parked
	for _, queue := range l.quarantine.keys {
		for _, other := range queue {
			if other.Position == p.Position {
				all, c.Unparks = append(all, other), append(c.Unparks, other.ID)
			}
		}
	}
	if _, err := l.send(work, c, stay, nil); err != nil {
		return err
	}
	for _, p := range all {
		l.quarantine.drop(p.Key, p.ID)
	}
	l.engine.window.Fire()
	return nil
}
