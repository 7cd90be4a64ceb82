package spine

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// An event whose handling ends the process cannot be met by the process that it ends. So a partition that has
// outlived several owners without moving is worked carefully: one event at a time, and each attempt is in the log
// before it is made, as a parked entry of an event that the partition has not passed.
const (
	carefulAfter = 2 // owners lost in a row
	carefulMost  = 3 // attempts, before the event is set aside
)

// poison is why an event is set aside at which so many attempts have not ended.
func poison(attempts int) error { return Park(fmt.Errorf("%w %d times", ErrPoison, attempts)) }

// note remembers an attempt that was found in the log.
func (l *lane) note(p eventstore.Parked) {
	if l.trials == nil {
		l.trials = map[uuid.UUID]eventstore.Parked{}
	}
	l.trials[p.ID] = p
	l.careful = max(l.careful, 1) // until the event is done
}

// announce commits that an event is about to be tried. If it was too often, it says so in t.
func (l *lane) announce(ctx context.Context, group []Input, t *tries) error {
	if l.engine.parker == nil || len(t.failures) > 0 { // it was announced before it failed
		return nil
	}
	var trials []eventstore.Parked
	for i := range group {
		for _, key := range keysOf(&group[i]) {
			if l.quarantine.has(key) {
				continue
			}
			p := l.entry(&group[i], key, nil)
			if known, ok := l.trials[p.ID]; ok {
				p = known.Clone()
			}
			if p.Attempts >= carefulMost {
				t.err, t.final = poison(p.Attempts), true
				t.failures = p.Failures
				t.failures[len(t.failures)-1] = failure(t.err)
				return nil
			}
			p.Partition, p.Attempts = l.partition, p.Attempts+1
			p.Failures = append(p.Failures, failure(errNotFinished))
			trials = append(trials, p)
		}
	}
	if len(trials) == 0 {
		return nil
	}
	if _, err := l.send(ctx, eventstore.Commit{Parks: trials}, stay, nil); err != nil {
		return err
	}
	for _, p := range trials {
		l.note(p)
	}
	return nil
}

// endTrials takes back the attempts at events that are done now, unless they are parked for good.
func (l *lane) endTrials(c *eventstore.Commit, in []Input) {
	if len(l.trials) == 0 {
		return
	}
	parked := map[uuid.UUID]bool{}
	for _, p := range c.Parks {
		parked[p.ID] = true
	}
	for i := range in {
		for _, key := range keysOf(&in[i]) {
			id := parkedID(l.consumer.Name, key, &in[i])
			if _, tried := l.trials[id]; tried && !parked[id] {
				c.Unparks = append(c.Unparks, id)
			}
		}
	}
}
