package spine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// storePause is how long to wait before the store is asked again, after it failed.
const storePause = 100 * time.Millisecond

// commit writes what became of the events at the front of in, with the lane's checkpoint. It sends the same
// commit again until its fate is known, or its policy or the end of ctx forbids.
func (l *lane) commit(ctx context.Context, w *work, in []Input, through eventstore.Position) error {
	to := through
	if w.done < len(in) {
		to = in[w.done-1].Position
	}
	if err := l.parkMost(ctx); err != nil {
		w.output.settle(eventstore.Result{}, err)
		return err
	}
	c := w.output.commit
	c.Parks = append(append(c.Parks, l.spilled...), w.parks...)
	l.endTrials(&c, in[:w.done])
	r, err := l.send(ctx, c, to, w.output.into)
	w.output.settle(r, err)
	if err != nil {
		return err
	}
	if err := l.engine.spill.forget(c.Parks); err != nil {
		l.engine.storeFailed(ctx, err)
	}
	l.owe(nil)
	l.settled(ctx, w, &c, in[:w.done], to)
	return nil
}

// stay is where a checkpoint goes that only proves the right to commit.
const stay = eventstore.Position(-1)

// send commits, into if that is not nil, with the checkpoints of the lane and of its idle neighbours.
func (l *lane) send(ctx context.Context, c eventstore.Commit, to eventstore.Position, into eventstore.Pending) (eventstore.Result, error) {
	f := l.engine.feed
	own := f.checkpointTo(l, to)
	carried, _ := f.carry(l.consumer, carryDelay)
	written, unknown := false, false
	defer func() {
		if written {
			f.settle(carried, true)
		} else {
			l.engine.giveBack(carried)
		}
	}()
	for failures := 0; ; {
		c.Checkpoints = append([]eventstore.Checkpoint{own}, checkpoints(carried)...)
		r, err := l.engine.commit(ctx, l.consumer.Name, c, into)
		unknown = unknown || errors.Is(err, eventstore.ErrOutcomeUnknown)
		if len(carried) > 0 && errors.Is(err, eventstore.ErrFenced) && !l.isFenced(err) && !isGone(err) {
			l.engine.loseFenced(ctx, carried, err)
			l.engine.giveBack(carried)
			carried = nil
			continue
		}
		switch {
		case err == nil:
			written = true
			f.settle([]move{{l, own}}, true)
			l.engine.idle.Fire()
			if l.shape.until > 0 {
				l.engine.roster.Fire()
			}
			return r, nil
		case isGone(err):
			return r, err
		case errors.Is(err, eventstore.ErrFenced):
			l.engine.lose(ctx, l, err)
			return r, err
		case errors.Is(err, eventstore.ErrConflict), isRefusal(err):
			if errors.Is(err, eventstore.ErrConflict) {
				l.observe(ctx, Observation{Step: CommitConflict, Err: err})
			}
			return r, err
		}
		l.observe(ctx, Observation{Step: CommitFailed, Err: err})
		failures++
		if l.consumer.Policy.OnCommitError == CommitFail || isFinal(err) {
			l.engine.fail(err)
			return r, err
		}
		if l.consumer.Policy.OnCommitError == CommitStore && failures >= l.consumer.Policy.Retry.Attempts && to != stay {
			return r, fmt.Errorf("%w: %w", errSpill, err)
		}
		if !unknown { // the same commit need not be sent again: the neighbours may move without us
			l.engine.giveBack(carried)
			carried = nil
		}
		if !pause(ctx, jitter(min(storePause<<min(failures, 6), 5*time.Second))) {
			return r, err
		}
	}
}

// isFenced reports whether an error says that it is this lane that was fenced.
func (l *lane) isFenced(err error) bool {
	fenced, ok := errors.AsType[*eventstore.FencedError](err)
	return ok && fenced.Entry == uuid.Nil && fenced.Consumer == l.consumer.Name && fenced.Partition == l.partition
}

// isGone reports whether an error says that a parked entry or a delivery is gone.
func isGone(err error) bool {
	fenced, ok := errors.AsType[*eventstore.FencedError](err)
	return ok && fenced.Entry != uuid.Nil
}

// loseFenced ends the lane that an error says is fenced; or all that were moved, if it does not say which.
func (e *engine) loseFenced(ctx context.Context, moves []move, err error) {
	fenced, named := errors.AsType[*eventstore.FencedError](err)
	for _, m := range moves {
		if !named || fenced.Consumer == m.Consumer && fenced.Partition == m.Partition {
			e.lose(ctx, m.lane, err)
		}
	}
}

// settled accounts for events that are done.
func (l *lane) settled(ctx context.Context, w *work, c *eventstore.Commit, in []Input, to eventstore.Position) {
	emitted := 0
	for i := range c.Appends {
		emitted += len(c.Appends[i].Events)
	}
	l.consumer.processed.Add(int64(len(in)))
	l.consumer.emitted.Add(int64(emitted))
	l.consumer.parkings.Add(int64(len(c.Parks)))
	l.quarantine.putAll(c.Parks)
	l.engine.scheduled(c)
	l.engine.count(in)
	if !l.engine.observed(ctx) && len(w.aside)+len(c.Parks) == 0 {
		return
	}
	l.tell(ctx, w, c, in, to)
}

// tell observers what was committed, event by event.
func (l *lane) tell(ctx context.Context, w *work, c *eventstore.Commit, in []Input, to eventstore.Position) {
	aside := map[*eventstore.Event]error{}
	for _, a := range w.aside {
		aside[a.event] = a.err
	}
	for i := range in {
		e := in[i].Event
		var ids []uuid.UUID
		for k := range c.Appends {
			for _, child := range c.Appends[k].Events {
				if child.Metadata.Causation == e.ID {
					ids = append(ids, child.ID)
				}
			}
		}
		if len(ids) > 0 {
			l.observe(ctx, Observation{Step: EventEnqueued, Event: e, IDs: ids})
		}
		err, failed := aside[e]
		parks := slices.DeleteFunc(slices.Clone(c.Parks), func(p eventstore.Parked) bool { return p.Event != e.ID })
		if failed || len(parks) > 0 {
			l.observe(ctx, Observation{Step: setAside(parks), Event: e, Err: err})
		}
		l.observe(ctx, Observation{Step: EventAcked, Event: e, Position: to})
	}
}

// move is a lane's checkpoint on its way.
type move struct {
	lane *lane
	eventstore.Checkpoint
}

func checkpoints(moves []move) []eventstore.Checkpoint {
	cs := make([]eventstore.Checkpoint, len(moves))
	for i, m := range moves {
		cs[i] = m.Checkpoint
	}
	return cs
}

// checkpointTo is the lane's own move, once no other's commit carries it any more.
func (f *feed) checkpointTo(l *lane, to eventstore.Position) eventstore.Checkpoint {
	f.mu.Lock()
	defer f.mu.Unlock()
	for l.moving {
		f.moved.Wait()
	}
	if to == stay {
		to = l.checkpoint
	}
	return eventstore.Checkpoint{
		Consumer: l.consumer.Name, Partition: l.partition, Epoch: l.epoch, From: l.checkpoint, To: to,
	}
}

// checkpointOf is where a lane stands in the log.
func (f *feed) checkpointOf(l *lane) eventstore.Position {
	f.mu.Lock()
	defer f.mu.Unlock()
	return l.checkpoint
}

// carry takes charge of the checkpoints of a consumer's idle lanes, or of every consumer's if it is nil: they
// have read on, and found nothing. What is carried must be settled. Some are left if others of their consumer were moved within
// a time.
func (f *feed) carry(c *consumer, within time.Duration) (moves []move, left bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for l := range f.lanes {
		switch {
		case !l.idle || l.owes || l.moving || l.lost || l.checkpoint >= l.readTo || c != nil && l.consumer != c:
		case now.Sub(l.consumer.carried) < within:
			left = true
		default:
			l.moving = true
			moves = append(moves, move{l, eventstore.Checkpoint{
				Consumer: l.consumer.Name, Partition: l.partition, Epoch: l.epoch, From: l.checkpoint, To: l.readTo,
			}})
		}
	}
	for _, m := range moves {
		m.lane.consumer.carried = now
	}
	return moves, left
}

// giveBack ends moves that were not made. Whoever moves idle lanes has passed them over meanwhile, and has to look again.
func (e *engine) giveBack(moves []move) {
	if len(moves) > 0 {
		e.feed.settle(moves, false)
		e.idle.Fire()
	}
}

// settle ends moves.
func (f *feed) settle(moves []move, moved bool) {
	if len(moves) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range moves {
		m.lane.moving = false
		if moved {
			m.lane.checkpoint = m.To
		}
	}
	f.moved.Broadcast()
}
