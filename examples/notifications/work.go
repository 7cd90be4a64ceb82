package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/notifications/gateway"
	"github.com/necrostack/necrostack/examples/notifications/notification"
	"github.com/necrostack/necrostack/spine"
)

// work runs organs until ctx ends, and tells of it. Whoever else runs the same organs has a share in what there is to do.
func (o *options) work(ctx context.Context, store *eventstore.Store, j job, out io.Writer) error {
	s := &shift{out: out, parked: map[uuid.UUID]bool{}, done: map[string]int{}}
	o.equip(&j.outside, s.again)
	sp, err := spine.New(store, j.config(s), j.staff()...)
	if err != nil {
		return err
	}
	mine := j.organs
	if mine == nil {
		mine = allOrgans
	}
	s.say("works as %s, until Ctrl-C or kill -9 %d", strings.Join(mine, ", "), os.Getpid())
	watched, end := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { s.watch(watched, store) })
	err = sp.Run(ctx)
	end()
	watching.Wait()
	s.say("ends; it was handed %s", s.sum())
	return err
}

// equip has gateways deliver into the outbox and take their time, if flags say so. Again is told of what was delivered before.
func (o *options) equip(outside *gateways, again func(notification.Channel, notification.Message)) {
	for channel, by := range map[notification.Channel]*Gateway{
		notification.Email: &outside.email, notification.SMS: &outside.sms, notification.Push: &outside.push,
	} {
		if o.outbox != "" {
			*by = &gateway.Folder{
				Next: *by, Dir: o.outbox, Channel: channel, Again: func(m notification.Message) { again(channel, m) },
			}
		}
		if o.latency > 0 {
			*by = &gateway.Slow{Next: *by, Time: o.latency}
		}
	}
}

// shift tells what a process works. It is a spine.Observer.
type shift struct {
	mu     sync.Mutex
	out    io.Writer
	parked map[uuid.UUID]bool // and not acknowledged yet
	done   map[string]int     // events, by organ
}

// Observe implements spine.Observer.
func (s *shift) Observe(ctx context.Context, seen spine.Observation) context.Context {
	if seen.Event == nil || seen.Step != spine.EventAcked && seen.Step != spine.EventParked {
		return ctx
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sender := slices.Contains(notification.Channels(), notification.Channel(seen.Organ))
	switch {
	case seen.Step == spine.EventParked:
		s.parked[seen.Event.ID] = true
		s.line("%s: %s", seen.Organ, addressed(seen.Event.Data, "parked"))
	case s.parked[seen.Event.ID]:
		delete(s.parked, seen.Event.ID)
		s.done[seen.Organ]++
	default:
		s.done[seen.Organ]++
		if sender {
			s.line("%s: %s", seen.Organ, addressed(seen.Event.Data, "sent"))
		}
	}
	return ctx
}

// addressed says what became of a message.
func addressed(data []byte, became string) string {
	var m notification.Message
	if err := json.Unmarshal(data, &m); err != nil || m.To == "" {
		return became
	}
	return fmt.Sprintf("%s to %s, request %.8s", became, m.To, m.RequestID)
}

// again tells of a message that was handed over before, by a process that could not put that into the log any more.
func (s *shift) again(channel notification.Channel, m notification.Message) {
	s.say("%s: known by its key, and not delivered again, to %s, request %.8s", channel, m.To, m.RequestID)
}

// watch tells who works, as often as that changes, until ctx ends.
func (s *shift) watch(ctx context.Context, store *eventstore.Store) {
	var told, last string
	for range every(ctx, look) {
		c, err := crewOf(ctx, store)
		if err != nil {
			continue // whoever needs the store tells of that
		}
		now := c.String()
		if now == last && now != told { // organs do not begin all at once
			told = now
			s.say("sees: %s", now)
		}
		last = now
	}
}

func (s *shift) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line(format, args...)
}

// line writes a line. Whoever calls it holds the lock.
func (s *shift) line(format string, args ...any) {
	fmt.Fprintf(s.out, "process %d %s\n", os.Getpid(), fmt.Sprintf(format, args...))
}

// sum is what each organ was handed here.
func (s *shift) sum() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.done) == 0 {
		return "nothing"
	}
	var all []string
	for _, organ := range slices.Sorted(maps.Keys(s.done)) {
		all = append(all, fmt.Sprintf("%d by %s", s.done[organ], organ))
	}
	return strings.Join(all, ", ")
}
