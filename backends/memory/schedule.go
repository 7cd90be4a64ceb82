package memory

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// timer is a schedule and what became of it. It stays for ever, so that a commit which is sent again after
// its schedule has fired, or was cancelled, does not bring it back.
type timer struct {
	eventstore.Schedule
	with *int // shared by the schedules of one commit: how many they are
	gone bool // fired or cancelled
}

// scheduledBefore reports whether these very schedules were made by one commit. Any other overlap with what
// is known is ErrIDReused.
func (b *Backend) scheduledBefore(schedules []eventstore.Schedule) (bool, error) {
	known, together := 0, true
	var first *timer
	for _, s := range schedules {
		t := b.timers[s.ID]
		if t == nil {
			for _, e := range s.Append.Events {
				if b.ids.find(e.ID, &b.log) > 0 || b.reserved[e.ID] {
					return false, eventstore.ErrIDReused
				}
			}
			continue
		}
		if known++; first == nil {
			first = t
		}
		together = together && t.with == first.with && *t.with == len(schedules)
	}
	if known > 0 && (known < len(schedules) || !together) {
		return false, eventstore.ErrIDReused
	}
	return known > 0, nil
}

// planned reports whether every schedule has been made. What was not made shows that the events it came with
// were another commit's.
func (b *Backend) planned(schedules []eventstore.Schedule) bool {
	for _, s := range schedules {
		if b.timers[s.ID] == nil {
			return false
		}
	}
	return true
}

func (b *Backend) schedule(schedules []eventstore.Schedule) {
	if len(schedules) == 0 {
		return
	}
	n := len(schedules)
	for _, s := range schedules {
		t := &timer{Schedule: s, with: &n}
		b.timers[s.ID] = t
		for _, e := range s.Append.Events {
			b.reserved[e.ID] = true
		}
		at, _ := slices.BinarySearchFunc(b.due, t, func(have, want *timer) int {
			return cmp.Or(have.Due.Compare(want.Due), -1) // behind those that are due at the same time
		})
		b.due = slices.Insert(b.due, at, t)
	}
}

func (b *Backend) cancel(id uuid.UUID) {
	if t := b.timers[id]; t != nil && !t.gone {
		t.gone = true
		b.due = slices.DeleteFunc(b.due, func(d *timer) bool { return d == t })
		t.Append = eventstore.Append{}
	}
}

// Fire implements eventstore.Scheduler.
func (b *Backend) Fire(_ context.Context, limit int) (fired int, next time.Time, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for now := b.now(); fired < limit && len(b.due) > 0 && !b.due[0].Due.After(now); fired++ {
		t := b.due[0]
		b.due = b.due[1:]
		for _, e := range t.Append.Events {
			delete(b.reserved, e.ID)
		}
		b.write([]eventstore.Append{t.Append})
		t.gone, t.Append = true, eventstore.Append{}
	}
	if len(b.due) > 0 {
		next = b.due[0].Due
	}
	if fired > 0 {
		b.wake.Fire()
	}
	return fired, next, nil
}

// Scheduled implements eventstore.Scheduler.
func (b *Backend) Scheduled(context.Context) iter.Seq2[eventstore.Schedule, error] {
	return func(yield func(eventstore.Schedule, error) bool) {
		b.mu.RLock()
		all := make([]eventstore.Schedule, len(b.due))
		for i, t := range b.due {
			all[i] = t.Clone()
		}
		b.mu.RUnlock()
		for _, s := range all {
			if !yield(s, nil) {
				return
			}
		}
	}
}
