package spine

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/partition"
)

// A lane of CommitStore goes on while the store fails: what it has spilled it owes, and parks it with the next commit
// that succeeds. Until then its checkpoint stays, so nothing is lost with the process.

// passed forgets what a lane has passed already: it was parked, or done by others.
func (s *spill) passed(l *lane) error {
	if s == nil {
		return nil
	}
	var gone []eventstore.Parked
	passed := l.engine.feed.checkpointOf(l)
	s.mu.Lock()
	for _, line := range s.lines {
		if p := line.Entry; p.Consumer == l.consumer.Name && p.Position <= passed && partition.Of(p.Key, l.shape.partitions) == l.partition {
			gone = append(gone, p)
		}
	}
	s.mu.Unlock()
	return s.forget(gone)
}

// spill writes events whose commit failed to the local file. They are parked with the next commit that succeeds.
func (l *lane) spill(ctx context.Context, w *work, in []Input, failed error) error {
	aside := map[uuid.UUID]eventstore.Parked{} // for a reason of their own
	for _, p := range w.parks {
		aside[p.ID] = p
	}
	var lines []spilled
	for i := range in[:w.done] {
		for _, key := range keysOf(&in[i]) {
			p, ok := aside[parkedID(l.consumer.Name, key, &in[i])]
			if !ok {
				p = l.entry(&in[i], key, []eventstore.Failure{failure(failed)})
			}
			lines = append(lines, spilled{Entry: p, Type: in[i].Type, Stream: in[i].Stream})
		}
	}
	lines[0].Output = outputOf(&w.output.commit)
	if err := l.engine.spill.add(lines); err != nil {
		return err
	}
	owed := l.spilled
	for _, line := range lines {
		owed = append(owed, line.Entry)
		l.quarantine.put(line.Entry)
	}
	l.owe(owed)
	for i := range in[:w.done] {
		l.observe(ctx, Observation{Step: EventSpilled, Event: in[i].Event, Err: failed})
	}
	return nil
}

func outputOf(c *eventstore.Commit) (out []spilledEvent) {
	add := func(a *eventstore.Append, due time.Time) {
		for k := range a.Events {
			out = append(out, spilledEvent{a.Stream, a.Events[k].Type, a.Events[k].Data, due})
		}
	}
	for i := range c.Appends {
		add(&c.Appends[i], time.Time{})
	}
	for i := range c.Schedules {
		add(&c.Schedules[i].Append, c.Schedules[i].Due)
	}
	return out
}

// spillBatch is how many spilled entries are parked in one commit.
const spillBatch = 1000

// parkSpilled commits what the last commits could not, as far as the store takes it by now. It reports false when
// the lane is over.
func (l *lane) parkSpilled(ctx context.Context) bool {
	if len(l.spilled) == 0 {
		return true
	}
	var none work
	err := l.commit(ctx, &none, nil, l.engine.feed.readBy(l))
	return err == nil || errors.Is(err, errSpill)
}

// parkMost parks spilled entries until the rest fits into a commit.
func (l *lane) parkMost(ctx context.Context) error {
	for len(l.spilled) > spillBatch {
		n := spillBatch
		for n < len(l.spilled) && l.spilled[n].Position == l.spilled[n-1].Position {
			n++
		}
		c := eventstore.Commit{Parks: slices.Clone(l.spilled[:n])}
		if _, err := l.send(ctx, c, l.spilled[n-1].Position, nil); err != nil {
			return err
		}
		if err := l.engine.spill.forget(c.Parks); err != nil {
			l.engine.storeFailed(ctx, err)
		}
		l.consumer.parkings.Add(int64(n))
		l.owe(l.spilled[n:])
	}
	return nil
}

// comeBack has the lane look at the store again soon if there are events to be parked.
func (l *lane) comeBack() {
	if len(l.spilled) > 0 {
		l.quarantine.wakeBy(time.Now().Add(time.Second))
	}
}

// owe sets what is to be parked with the next commit. Until then no other's commit may carry the lane's checkpoint.
func (l *lane) owe(entries []eventstore.Parked) {
	if len(entries) == 0 && len(l.spilled) == 0 {
		return
	}
	l.spilled = entries
	f := l.engine.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	l.owes = len(entries) > 0
}

// readBy is the position through which all was handed to a lane.
func (f *feed) readBy(l *lane) eventstore.Position {
	f.mu.Lock()
	defer f.mu.Unlock()
	return l.readTo
}
