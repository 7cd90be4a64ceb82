package spine

import (
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// quarantine is the parked entries of a lane: for each key a queue, in order of position. The lane alone
// changes it.
type quarantine struct {
	keys map[string][]eventstore.Parked

	mu    sync.Mutex
	stale bool      // others have changed the entries in the log
	due   time.Time // when the next key is to be tried; zero: none
}

// has reports whether the events of a key wait.
func (q *quarantine) has(key string) bool { return len(q.keys[key]) > 0 }

// put adds an entry, or replaces it.
func (q *quarantine) put(p eventstore.Parked) {
	if q.keys == nil {
		q.keys = map[string][]eventstore.Parked{}
	}
	queue := q.keys[p.Key]
	at, _ := slices.BinarySearchFunc(queue, p.Position, func(e eventstore.Parked, at eventstore.Position) int { return int(e.Position - at) })
	for i := at; i < len(queue) && queue[i].Position == p.Position; i++ {
		if queue[i].ID == p.ID {
			queue[i] = p
			return
		}
		at = i + 1
	}
	q.keys[p.Key] = slices.Insert(queue, at, p)
}

// drop forgets an entry.
func (q *quarantine) drop(key string, id uuid.UUID) {
	q.keys[key] = slices.DeleteFunc(q.keys[key], func(e eventstore.Parked) bool { return e.ID == id })
	if len(q.keys[key]) == 0 {
		delete(q.keys, key)
	}
}

// head returns copies of the first entries of a key: several if they are parts of one stored event.
func (q *quarantine) head(key string) (head []eventstore.Parked) {
	for _, p := range q.keys[key] {
		if p.Position == q.keys[key][0].Position {
			head = append(head, p.Clone())
		}
	}
	return head
}

// after returns a copy of the entry behind the first ones of a key, nil if there is none.
func (q *quarantine) after(head []eventstore.Parked) *eventstore.Parked {
	if queue := q.keys[head[0].Key]; len(queue) > len(head) {
		p := queue[len(head)].Clone()
		return &p
	}
	return nil
}

// next returns a key that is to be tried now, and notes when the next one is to be.
func (q *quarantine) next(now time.Time) (key string, ok bool) {
	var due time.Time
	for k, queue := range q.keys {
		at := dueAt(queue, now)
		if !at.IsZero() && (due.IsZero() || at.Before(due)) {
			key, due = k, at
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.due = due
	return key, !due.IsZero() && !due.After(now)
}

// dueAt is when a key is to be tried: the zero time for not before it is redriven. Nothing waits behind nothing, and an
// attempt whose process is gone is followed by another, or by the verdict that there were enough.
func dueAt(queue []eventstore.Parked, now time.Time) (due time.Time) {
	if queue[0].Attempts == 0 || unfinished(&queue[0]) > 0 {
		return now
	}
	for _, p := range queue {
		if p.Redriven {
			return now
		}
		if !p.Due.IsZero() && (due.IsZero() || p.Due.Before(due)) {
			due = p.Due
		}
	}
	return due
}

// unfinished counts the last attempts at an entry that have not ended: their processes are gone, though perhaps for another
// reason.
func unfinished(p *eventstore.Parked) (n int) {
	for i := len(p.Failures) - 1; i >= 0 && p.Failures[i].Error == errNotFinished.Error(); i-- {
		n++
	}
	return n
}

// alarm returns a channel that is filled when a key is due.
func (q *quarantine) alarm() (due <-chan time.Time, stop func()) {
	at := q.dueNext()
	if at.IsZero() {
		return nil, func() {}
	}
	t := time.NewTimer(max(time.Until(at), 0))
	return t.C, func() { t.Stop() }
}

// wakeBy has the alarm ring at a time, or before.
func (q *quarantine) wakeBy(at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.due.IsZero() || at.Before(q.due) {
		q.due = at
	}
}

// dueNext is what the last call of next has noted.
func (q *quarantine) dueNext() time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.due
}

// outdate has the entries read anew.
func (q *quarantine) outdate() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stale = true
}

// refreshed reports whether the entries are to be read anew, and takes it that they are.
func (q *quarantine) refreshed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	stale := q.stale
	q.stale = false
	return stale
}
