package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/necrostack/necrostack/eventstore"
)

// Prompt implements eventstore.Prompt: a call whose ctx ends is given up, with its connection.
func (b *Backend) Prompt() {}

// Commit implements eventstore.Backend: a batch is one call, in a transaction of its own, on a connection that nobody
// else can hold.
func (b *Backend) Commit(ctx context.Context, commits []eventstore.Commit) (outcomes []eventstore.Outcome, err error) {
	if len(commits) == 1 && lone(&commits[0]) {
		outcomes, err = b.appendOne(ctx, &commits[0].Appends[0])
	} else {
		outcomes, err = b.commitBatch(ctx, commits)
	}
	if err == nil {
		b.tell(commits, outcomes)
	}
	return outcomes, err
}

// tell wakes whoever waits for what commits may have changed.
func (b *Backend) tell(commits []eventstore.Commit, outcomes []eventstore.Outcome) {
	var head eventstore.Position
	for i := range commits {
		c := &commits[i]
		if len(c.Deliveries)+len(c.Acks)+len(c.Returns)+len(c.Unparks)+len(c.Redrives) > 0 { // what has a beat
			b.moved()
			return
		}
		if len(c.Appends) > 0 {
			head = max(head, outcomes[i].Result.Position)
		}
	}
	if head > 0 {
		b.appended(head)
	}
}

func (b *Backend) commitBatch(ctx context.Context, commits []eventstore.Commit) ([]eventstore.Outcome, error) {
	batch, err := newBatch(commits)
	if err != nil {
		return nil, err
	}
	args, err := batch.args()
	if err != nil {
		return nil, err
	}
	var d decision
	if err := b.call(ctx, commitBatch, append([]any{len(commits)}, args...), &d.head, &d.versions, &d.codes, &d.details); err != nil {
		return nil, outcome(err)
	}
	return batch.outcomes(d)
}

// lone reports whether a commit is but one event in one stream.
func lone(c *eventstore.Commit) bool {
	return len(c.Appends) == 1 && len(c.Appends[0].Events) == 1 && len(c.Unless)+len(c.Checkpoints) == 0 && !hasRest(c)
}

// onlyMoves reports whether a commit has nothing but checkpoints.
func onlyMoves(c *eventstore.Commit) bool {
	return len(c.Checkpoints) > 0 && len(c.Appends)+len(c.Unless) == 0 && !hasRest(c)
}

// appendOne appends an event by the function made for it, so that a lone writer does not pay for batches.
func (b *Backend) appendOne(ctx context.Context, a *eventstore.Append) ([]eventstore.Outcome, error) {
	e := &a.Events[0]
	tags, err := encodeTags(e.Tags)
	if err != nil {
		return nil, errors.Join(eventstore.ErrRefused, err)
	}
	metadata, err := encodeMetadata(&e.Metadata)
	if err != nil {
		return nil, errors.Join(eventstore.ErrRefused, err)
	}
	least, most := a.Expect.Bounds()
	var before int64
	var place *int64
	err = b.call(ctx, appendOne, []any{string(a.Stream), int64(least), int64(most), e.ID, e.Type, tags, string(e.Data), metadata}, &before, &place)
	if pg, ok := errors.AsType[*pgconn.PgError](err); (ok && pg.ConstraintName == "events_id") || (err == nil && place == nil) {
		// The id may be known, and then this may be the same commit again: only the long way tells.
		return b.commitBatch(ctx, []eventstore.Commit{{Appends: []eventstore.Append{*a}}})
	}
	if err != nil {
		return nil, outcome(err)
	}
	return []eventstore.Outcome{{Result: eventstore.Result{
		Position: eventstore.Position(*place), Versions: []eventstore.Version{eventstore.Version(before + 1)},
	}}}, nil
}
