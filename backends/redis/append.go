package redis

import (
	"context"
	"fmt"

	"github.com/necrostack/necrostack/eventstore"
)

// onlyAppends reports whether a commit has nothing but appends.
func onlyAppends(c *eventstore.Commit) bool { return len(c.Appends) > 0 && len(c.Acks)+others(c) == 0 }

// onlyAck reports whether a commit is but an acknowledgement.
func onlyAck(c *eventstore.Commit) bool { return len(c.Acks) == 1 && len(c.Appends)+others(c) == 0 }

// others is how much a commit has besides appends and acknowledgements.
func others(c *eventstore.Commit) int {
	return len(c.Unless) + len(c.Checkpoints) + len(c.Deliveries) + len(c.Returns) + len(c.Parks) + len(c.Unparks) + len(c.Redrives) +
		len(c.Schedules) + len(c.Cancels)
}

// lone reports whether a commit that only appends is but one event in one stream.
func lone(c *eventstore.Commit) bool { return len(c.Appends) == 1 && len(c.Appends[0].Events) == 1 }

// appendOne appends an event by the script made for it.
func (b *Backend) appendOne(ctx context.Context, c *eventstore.Commit) ([]eventstore.Outcome, error) {
	p := &c.Appends[0]
	a := arguments{list: make([]any, 0, 4+stride)}
	a.head(p)
	if err := a.event(&p.Events[0]); err != nil {
		return nil, fmt.Errorf("%w: %w", eventstore.ErrRefused, err)
	}
	reply, err := b.write(ctx, appendScript, a.list)
	if err != nil {
		return nil, outcome(err)
	}
	if len(reply) == 1 { // the id is known
		return b.commitBatch(ctx, []eventstore.Commit{*c})
	}
	var r reader
	position, version := r.position(r.item(reply, 0)), eventstore.Version(r.int(r.item(reply, 1)))
	if r.err != nil {
		return nil, lost{r.err}
	}
	if position == 0 {
		return []eventstore.Outcome{{Err: &eventstore.ConflictError{Stream: p.Stream, Expected: p.Expect, Actual: version}}}, nil
	}
	return []eventstore.Outcome{{Result: eventstore.Result{Position: position, Versions: []eventstore.Version{version}}}}, nil
}

// What lua/append_many.lua says of a commit in place of a position.
const (
	unexpected = 0
	knownID    = -1
)

// appendMany makes commits that only append, by the script made for them. What has an id that is known goes the long way: none of
// it was written then, and all the others were, or were refused, whatever becomes of it.
func (b *Backend) appendMany(ctx context.Context, commits []eventstore.Commit) ([]eventstore.Outcome, error) {
	var a arguments
	a.grow(commits)
	for i := range commits {
		if err := a.appends(commits[i].Appends); err != nil {
			return nil, fmt.Errorf("%w: %w", eventstore.ErrRefused, err)
		}
	}
	reply, err := b.write(ctx, appendManyScript, a.list)
	if err != nil {
		return nil, outcome(err)
	}
	outcomes := make([]eventstore.Outcome, len(commits))
	var known []int
	var r reader
	at := 0
	next := func() int64 {
		at++
		return r.int(r.item(reply, at-1))
	}
	for i := range commits {
		appends, o := commits[i].Appends, &outcomes[i]
		switch position := next(); position {
		case knownID:
			known = append(known, i)
		case unexpected:
			k, actual := int(next())-1, eventstore.Version(next())
			if k < 0 || k >= len(appends) {
				r.fail(k, "an append")
				k = 0
			}
			o.Err = &eventstore.ConflictError{Stream: appends[k].Stream, Expected: appends[k].Expect, Actual: actual}
		default:
			o.Result.Position, o.Result.Versions = eventstore.Position(position), make([]eventstore.Version, len(appends))
			for k := range appends {
				o.Result.Versions[k] = eventstore.Version(next())
			}
		}
	}
	if r.err != nil {
		return nil, lost{r.err}
	}
	for _, i := range known {
		again, err := b.commitBatch(ctx, commits[i:i+1])
		if err != nil {
			outcomes[i] = eventstore.Outcome{Err: err}
			continue
		}
		outcomes[i] = again[0]
	}
	return outcomes, nil
}
