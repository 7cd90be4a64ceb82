package redis

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/redis/go-redis/v9"
)

// commit makes a batch of commits by the shortest script that can.
func (b *Backend) commit(ctx context.Context, commits []eventstore.Commit) (outcomes []eventstore.Outcome, err error) {
	switch {
	case b.follow != nil || slices.ContainsFunc(commits, func(c eventstore.Commit) bool { return !onlyAppends(&c) }):
		outcomes, err = b.commitBatch(ctx, commits)
	case len(commits) == 1 && lone(&commits[0]):
		outcomes, err = b.appendOne(ctx, &commits[0])
	default:
		outcomes, err = b.appendMany(ctx, commits)
	}
	if err == nil && b.sure(ctx) == nil { // else what was written stands, and whatever comes next fails
		b.seen.written(commits, outcomes)
	}
	if err == nil && slices.ContainsFunc(commits, func(c eventstore.Commit) bool { return !onlyMoves(&c) }) {
		b.wake.Fire()
	}
	return outcomes, err
}

func (b *Backend) commitBatch(ctx context.Context, commits []eventstore.Commit) ([]eventstore.Outcome, error) {
	a, err := b.following(ctx, commits)
	if err != nil {
		return nil, err
	}
	if err := a.batch(commits); err != nil {
		return nil, fmt.Errorf("%w: %w", eventstore.ErrRefused, err)
	}
	reply, err := b.write(ctx, commitScript, a.list)
	if err != nil {
		return nil, outcome(err)
	}
	return b.outcomes(commits, reply, a.mark)
}

// write runs a script that writes the log, and waits for replicas if it is to.
func (b *Backend) write(ctx context.Context, s *script, args []any) ([]any, error) {
	if err := b.sure(ctx); err != nil {
		return nil, unmade{err}
	}
	if b.cfg.WaitReplicas == 0 {
		return b.run(ctx, s, args...)
	}
	return b.runAndWait(ctx, s, args)
}

// onlyMoves reports whether a commit has nothing but checkpoints. Nobody who waits for a pulse has to be told of it.
func onlyMoves(c *eventstore.Commit) bool {
	return len(c.Checkpoints) > 0 && len(c.Appends)+len(c.Unless)+len(c.Deliveries)+len(c.Acks)+len(c.Returns)+len(c.Parks)+
		len(c.Unparks)+len(c.Redrives)+len(c.Schedules)+len(c.Cancels) == 0
}

// What the script says of a commit: see lua/commit.lua.
const (
	written = iota
	reused
	conflict
	condition
	fenced
	gone
	noRows
	wentBack
)

// outcomes says what became of each commit. m is what they told of a log that is elsewhere.
func (b *Backend) outcomes(commits []eventstore.Commit, reply []any, m mark) ([]eventstore.Outcome, error) {
	var r reader
	list := make([]eventstore.Outcome, len(commits))
	for i := range commits {
		said := r.list(r.item(reply, i))
		if r.err != nil {
			return nil, lost{r.err}
		}
		if r.int(r.item(said, 0)) == wentBack {
			return nil, b.follow.other(mark{m.position, r.uuid(r.item(said, 1))}, m.id)
		}
		list[i] = r.outcome(&commits[i], said)
	}
	if r.err != nil {
		return nil, lost{r.err}
	}
	return list, nil
}

func (r *reader) outcome(c *eventstore.Commit, said []any) (o eventstore.Outcome) {
	switch r.int(r.item(said, 0)) {
	case written:
		o.Result.Position = r.position(r.item(said, 1))
		for _, v := range said[min(2, len(said)):] {
			o.Result.Versions = append(o.Result.Versions, eventstore.Version(r.int(v)))
		}
	case reused:
		o.Err = fmt.Errorf("%w: the commit shares ids with another", eventstore.ErrIDReused)
	case conflict:
		a := &c.Appends[r.int(r.item(said, 1))-1]
		o.Err = &eventstore.ConflictError{Stream: a.Stream, Expected: a.Expect, Actual: eventstore.Version(r.int(r.item(said, 2)))}
	case condition:
		n := int(r.int(r.item(said, 1))) - 1
		o.Err = &eventstore.ConditionError{Index: n, After: c.Unless[n].After, Position: r.position(r.item(said, 2))}
	case fenced:
		o.Err = r.fenced(c, said)
	case gone:
		id, err := uuid.Parse(r.text(r.item(said, 2)))
		if err != nil {
			r.fail(said[2], "an id")
		}
		o.Err = &eventstore.FencedError{Consumer: r.text(said[1]), Entry: id, Reason: "it is done, or somebody else's"}
	case noRows:
		o.Err = eventstore.ErrNoRows
	default:
		r.fail(said[0], "an outcome")
	}
	return o
}

// fenced is why a checkpoint is refused.
func (r *reader) fenced(c *eventstore.Commit, said []any) error {
	n := int(r.int(r.item(said, 1)))
	if n == 0 {
		return fmt.Errorf("%w: some checkpoints of the commit were made before", eventstore.ErrFenced)
	}
	cp, epoch, at := c.Checkpoints[n-1], r.text(r.item(said, 2)), r.text(r.item(said, 3))
	why := fmt.Sprintf("epoch %d has passed to epoch %s", cp.Epoch, epoch)
	switch {
	case epoch == "":
		why = "no such partition"
	case at != "":
		why = fmt.Sprintf("stands at %s, not at %d", at, cp.From)
	}
	return &eventstore.FencedError{Consumer: cp.Consumer, Partition: cp.Partition, Reason: why}
}

// runAndWait waits, on the connection that a commit was written by, until so many replicas have it. The outcome of a commit
// that too few have is not known: it stands, but may not survive the loss of the server.
func (b *Backend) runAndWait(ctx context.Context, s *script, args []any) ([]any, error) {
	node, err := b.node(ctx)
	if err != nil {
		return nil, err
	}
	t := b.text(s)
	cmd, wait := b.pipeWait(ctx, node, "EVALSHA", t.sha, args)
	if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		cmd, wait = b.pipeWait(ctx, node, "EVAL", t.lua, args)
	}
	reply, err := cmd.Slice()
	if err != nil {
		return nil, err
	}
	n, err := wait.Int()
	if err != nil {
		return nil, lost{err}
	}
	if n < b.cfg.WaitReplicas {
		return nil, lost{fmt.Errorf("%d of %d replicas have the commit after %s", n, b.cfg.WaitReplicas, b.cfg.WaitTimeout)}
	}
	return reply, nil
}

// pipeWait sends a script and WAIT, one behind the other.
func (b *Backend) pipeWait(ctx context.Context, node redis.UniversalClient, verb, what string, args []any) (cmd, wait *redis.Cmd) {
	pipe := node.Pipeline()
	cmd = redis.NewCmd(ctx, append([]any{verb, what, 1, b.key("log")}, args...)...)
	_ = pipe.Process(ctx, once{cmd})
	wait = pipe.Do(ctx, "WAIT", b.cfg.WaitReplicas, b.cfg.WaitTimeout.Milliseconds())
	_, _ = pipe.Exec(ctx)
	return cmd, wait
}

// node is the client of the server that has the log.
func (b *Backend) node(ctx context.Context) (redis.UniversalClient, error) {
	if c, ok := b.client.(*redis.ClusterClient); ok {
		return c.MasterForKey(ctx, b.key("log"))
	}
	return b.client, nil
}
