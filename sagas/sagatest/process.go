package sagatest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

// crash says what becomes of a commit that the process does not survive.
type crash int

const (
	before crash = iota + 1 // it is not written
	after                   // it is written, and nobody is told
)

func (c crash) String() string {
	if c == before {
		return "before"
	}
	return "after"
}

// plan says which faults a run is to have.
type plan struct {
	crashes map[int]crash // by the number of the commit, from 1
	again   bool          // after a crash, all is delivered to the sagas again
	twice   int           // the commit whose commands and requests for calls are written twice
	hold    hold
}

// hold says which consumer is held back, and from which commit on.
type hold struct {
	at       int
	consumer int // by its number, from 0
	timers   int // how many are to fire first
}

// errCrashed is what a process gets to see of the log once it is dead.
var errCrashed = errors.New("the process has crashed")

// disk is what outlives the processes of a run: the log, and how many commits it has seen.
type disk struct {
	*memory.Backend

	plan plan

	mu      sync.Mutex
	points  int
	crashes int
	doubled int
	held    string
}

// process is a process's connection to the log, until it crashes.
type process struct {
	*memory.Backend

	disk *disk
	kill context.CancelFunc
	dead bool // under the disk's mutex
}

// alive guards what a process writes beside its commits.
func (p *process) alive(write func() error) error {
	p.disk.mu.Lock()
	defer p.disk.mu.Unlock()
	if p.dead {
		return errCrashed
	}
	return write()
}

// commit writes what counts as a commit, unless the process crashes before.
func (p *process) commit(ctx context.Context, write func()) error {
	d := p.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if p.dead {
		return lost()
	}
	d.points++
	how := d.plan.crashes[d.points]
	if how != before {
		write()
	}
	if h := d.plan.hold; h.at == d.points {
		d.hold(ctx, h.consumer)
	}
	if how == 0 {
		return nil
	}
	d.crashes++
	p.dead = true
	p.kill()
	return lost()
}

func lost() error { return errors.Join(eventstore.ErrOutcomeUnknown, errCrashed) }

// hold holds a consumer back.
func (d *disk) hold(ctx context.Context, n int) {
	all, err := d.Consumers(ctx)
	if err == nil && n < len(all) && d.Pause(ctx, all[n].Name, true) == nil {
		d.held = all[n].Name
	}
}

// Commit implements eventstore.Backend.
func (p *process) Commit(ctx context.Context, batch []eventstore.Commit) (out []eventstore.Outcome, err error) {
	write := func() { out, err = p.Backend.Commit(ctx, batch) }
	counts := false
	for _, c := range batch {
		counts = counts || isPoint(&c)
	}
	if !counts {
		err := p.alive(func() error { write(); return err })
		if errors.Is(err, errCrashed) {
			return nil, lost()
		}
		return out, err
	}
	if lost := p.commit(ctx, func() {
		write()
		if err == nil && p.disk.plan.twice == p.disk.points {
			err = p.disk.double(ctx, batch, out)
		}
	}); lost != nil {
		return nil, lost
	}
	return out, err
}

// isPoint reports whether a commit says more than how far somebody has read.
func isPoint(c *eventstore.Commit) bool {
	return len(c.Appends)+len(c.Schedules)+len(c.Cancels)+len(c.Deliveries)+len(c.Acks)+len(c.Returns)+len(c.Parks)+len(c.Unparks) > 0
}

// double writes commands, and requests for calls, a second time.
func (d *disk) double(ctx context.Context, batch []eventstore.Commit, outcomes []eventstore.Outcome) error {
	var again []eventstore.Commit
	for i, c := range batch {
		for _, a := range c.Appends {
			if outcomes[i].Err != nil || !strings.HasPrefix(string(a.Stream), commands+"-") && !isCall(a.Stream) {
				continue
			}
			copied := eventstore.Append{Stream: a.Stream}
			for _, ev := range a.Events {
				if isCall(a.Stream) && ev.Type == requested || !isCall(a.Stream) && ev.Type != accepted && ev.Type != rejected {
					ev.ID = uuid.Must(uuid.NewV7())
					copied.Events = append(copied.Events, ev)
				}
			}
			if len(copied.Events) > 0 {
				again = append(again, eventstore.Commit{Appends: []eventstore.Append{copied}})
			}
		}
	}
	d.doubled += len(again)
	for _, c := range again {
		if _, err := d.Commit(ctx, []eventstore.Commit{c}); err != nil {
			return fmt.Errorf("write it twice: %w", err)
		}
	}
	return nil
}

// Fire implements eventstore.Scheduler. A timer that fires is a commit of its own.
func (p *process) Fire(ctx context.Context, limit int) (fired int, next time.Time, err error) {
	due := false
	for s, err := range p.Scheduled(ctx) {
		due = err == nil && !s.Due.After(time.Now())
		break
	}
	if !due {
		err = p.alive(func() error { fired, next, err = p.Backend.Fire(ctx, limit); return err })
		return fired, next, err
	}
	lost := p.commit(ctx, func() { fired, next, err = p.Backend.Fire(ctx, 1) })
	return fired, next, errors.Join(err, lost)
}

// WriteRows implements eventstore.RowKeeper.
func (p *process) WriteRows(set eventstore.RowSet, rows []eventstore.Row) eventstore.Pending {
	return pending{p, p.Backend.WriteRows(set, rows)}
}

// pending is rows that are to be written by a process.
type pending struct {
	process *process
	to      eventstore.Pending
}

// Commit implements eventstore.Pending.
func (w pending) Commit(ctx context.Context, c eventstore.Commit) (r eventstore.Result, err error) {
	if lost := w.process.commit(ctx, func() { r, err = w.to.Commit(ctx, c) }); lost != nil {
		return eventstore.Result{}, lost
	}
	return r, err
}
