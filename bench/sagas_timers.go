package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

const (
	pending = 100_000          // timers, when the first is due
	falling = 10 * perSecond   // of these, within ten seconds; the first second does not count
	setting = 30 * time.Second // for setting them
	farOff  = 24 * time.Hour   // when the others are due
)

// reminded begins a process that waits for a time.
type reminded struct{ Reminder string }

func (reminded) EventType() string { return "reminder set" }

// reminding is a process that does nothing but wait until the time that due says, and end.
func reminding(due func(reminder string) time.Time) spine.Organ {
	return sagas.Process[struct{}]{
		Name: "reminder",
		Key:  eventstore.ByPayload(eventstore.From(func(e reminded) string { return e.Reminder })),
		React: sagas.Reactions[struct{}]{
			sagas.Start(func(_ struct{}, e reminded) sagas.Actions {
				return sagas.Actions{sagas.SetTimer("due", max(0, time.Until(due(e.Reminder))))}
			}),
			sagas.OnTimer("due", func(struct{}) sagas.Actions { return sagas.Actions{sagas.Done()} }),
		},
	}
}

// timerLag measures how long after its time a timer's process is seen to have ended. All timers are schedules of the log;
// those that are not due yet are of nobody's.
func timerLag(ctx context.Context, l *log) (m measured, err error) {
	if err := l.farOff(ctx, pending-falling); err != nil {
		return m, err
	}
	if err := l.server.exec(ctx, "VACUUM (ANALYZE) "+l.schema+".schedules", "CHECKPOINT"); err != nil {
		return m, err
	}
	start := time.Now().Add(setting)
	when := make(map[string]time.Time, falling)
	for n := range falling {
		when[fmt.Sprint(n)] = due(start, n)
	}
	seen := make([]time.Time, falling)
	organ := reminding(func(reminder string) time.Time { return when[reminder] })
	err = running(ctx, l.store, []spine.Organ{organ}, func(ctx context.Context, sp *spine.Spine) error {
		w := newEndings()
		return w.during(ctx, l.store, func(ctx context.Context) error {
			ends := make([]<-chan time.Time, falling)
			for n := range ends {
				ends[n] = w.of(fmt.Sprint(n))
			}
			if err := set(ctx, sp); err != nil {
				return err
			}
			if time.Now().After(start) {
				return fmt.Errorf("%d timers were not set within %s", falling, setting)
			}
			for n, end := range ends {
				select {
				case seen[n] = <-end:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
			return nil
		})
	})
	if err != nil {
		return m, err
	}
	for n := unseen; n < falling; n++ {
		lag := seen[n].Sub(due(start, n))
		if lag < 0 {
			return m, fmt.Errorf("timer %d went off %s before its time", n, -lag)
		}
		m.took = append(m.took, lag)
	}
	m.rate = float64(falling-unseen) / slices.MaxFunc(seen, time.Time.Compare).Sub(due(start, unseen)).Seconds()
	slices.Sort(m.took)
	return m, nil
}

// set begins the processes, and waits until they have set their timers.
func set(ctx context.Context, sp *spine.Spine) error {
	var last eventstore.Position
	for n := 0; n < falling; n += perCommit {
		events := make([]eventstore.Payload, perCommit)
		for i := range events {
			id := fmt.Sprint(n + i)
			events[i] = eventstore.In(eventstore.StreamOf("reminder", id), reminded{id})
		}
		r, err := sp.Emit(ctx, events...)
		if err != nil {
			return err
		}
		last = r.Position
	}
	return sp.WaitFor(ctx, "saga.reminder", last)
}

// farOff schedules what is not due for long.
func (l *log) farOff(ctx context.Context, n int) error {
	const chunk = 5000
	at := time.Now().Add(farOff)
	for from := 0; from < n; from += chunk {
		var c eventstore.Commit
		for i := from; i < min(from+chunk, n); i++ {
			e, err := eventstore.Encode(wide)
			if err != nil {
				return err
			}
			e.ID = uuid.Must(uuid.NewV7())
			s := eventstore.Schedule{ID: uuid.New(), Due: at, Append: eventstore.Append{Stream: eventstore.StreamOf("later", fmt.Sprint(i))}}
			s.Append.Events = []eventstore.Event{e}
			c.Schedules = append(c.Schedules, s)
		}
		if _, err := l.store.Commit(ctx, c); err != nil {
			return err
		}
	}
	return nil
}
