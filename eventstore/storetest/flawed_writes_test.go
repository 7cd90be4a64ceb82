package storetest

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

// hasty decides before it has its turn: the defect of check-then-insert.
type hasty struct {
	*memory.Backend
	conditions, versions bool
}

func (h *hasty) Commit(ctx context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	batch = slices.Clone(batch)
	for i, c := range batch {
		if conflicts(ctx, h.Backend, c) != nil {
			continue // the reference says why
		}
		if h.conditions {
			batch[i].Unless = nil
		}
		if h.versions {
			batch[i].Appends = slices.Clone(c.Appends)
			for k := range c.Appends {
				batch[i].Appends[k].Expect = eventstore.Any
			}
		}
	}
	time.Sleep(100 * time.Microsecond) // the time until it has its turn
	return h.Backend.Commit(ctx, batch)
}

// conflicts is what an expectation or a condition says against a commit at this moment.
func conflicts(ctx context.Context, b *memory.Backend, c eventstore.Commit) error {
	for _, a := range c.Appends {
		if v := eventstore.Version(len(collect(b.Read(ctx, eventstore.InStream(a.Stream), eventstore.Range{})))); !a.Expect.Allows(v) {
			return &eventstore.ConflictError{Stream: a.Stream, Expected: a.Expect, Actual: v}
		}
	}
	for i, x := range c.Unless {
		if found := collect(b.Read(ctx, x.Query, eventstore.Range{After: x.After, Limit: 1})); len(found) > 0 {
			return &eventstore.ConditionError{Index: i, After: x.After, Position: found[0].Position}
		}
	}
	return nil
}

// ownMatches takes a commit's own events for others'.
func ownMatches(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
	for i, x := range c.Unless {
		for _, a := range c.Appends {
			for _, e := range a.Events {
				e.Stream = a.Stream
				if x.Query.Matches(&e) {
					return eventstore.Result{}, &eventstore.ConditionError{Index: i, After: x.After}
				}
			}
		}
	}
	return commitOne(ctx, b, c)
}

// splitting writes the events, and then the rest, if there are several of each.
func splitting(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
	if len(c.Appends) < 2 || len(c.Checkpoints)+len(c.Unparks) == 0 || known(ctx, b, c) || taken(ctx, b, c) || conflicts(ctx, b, c) != nil {
		return commitOne(ctx, b, c)
	}
	events, rest := c, c
	events.Checkpoints, events.Parks, events.Unparks, events.Redrives = nil, nil, nil, nil
	events.Deliveries, events.Acks, events.Returns = nil, nil, nil
	rest.Appends, rest.Schedules, rest.Unless = nil, nil, nil
	r, err := commitOne(ctx, b, events)
	if err == nil {
		_, err = commitOne(ctx, b, rest)
	}
	return r, err
}

// checkpointLater writes the checkpoint of a commit once its events are there.
func checkpointLater(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
	if len(c.Checkpoints) != 1 || c.Checkpoints[0].Consumer != "together" {
		return commitOne(ctx, b, c)
	}
	r, err := commitOne(ctx, b, appends(c.Appends...))
	if err == nil {
		time.Sleep(50 * time.Microsecond)
		_, err = commitOne(ctx, b, eventstore.Commit{Checkpoints: c.Checkpoints})
	}
	return r, err
}

// pieceByPiece writes each append by itself once nothing speaks against the commit.
func pieceByPiece(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
	if len(c.Appends) < 2 || entriesOf(c) > 0 || conflicts(ctx, b, c) != nil || known(ctx, b, c) || taken(ctx, b, c) {
		return commitOne(ctx, b, c)
	}
	var sum eventstore.Result
	for _, a := range c.Appends {
		a.Expect = eventstore.Any
		r, err := commitOne(ctx, b, appends(a))
		if err != nil {
			return sum, err
		}
		sum.Position, sum.Versions = r.Position, append(sum.Versions, r.Versions...)
		time.Sleep(50 * time.Microsecond)
	}
	return sum, nil
}

// burning writes something that nobody sees for each refused commit.
type burning struct{ *memory.Backend }

const burnt = "burnt"

func (b *burning) Commit(ctx context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	outcomes, err := b.Backend.Commit(ctx, batch)
	for _, o := range outcomes {
		if o.Err != nil {
			_, _ = b.Backend.Commit(ctx, []eventstore.Commit{appends(to(burnt, event(burnt)))})
		}
	}
	return outcomes, err
}

func (b *burning) Read(ctx context.Context, q eventstore.Query, r eventstore.Range) events {
	return filter(b.Backend.Read(ctx, q, r), func(e *eventstore.Event) bool { return e.Type != burnt })
}

// known reports whether the log holds exactly a commit's events.
func known(ctx context.Context, b *memory.Backend, c eventstore.Commit) bool {
	held := map[uuid.UUID]eventstore.Event{}
	for _, e := range collect(b.Read(ctx, eventstore.All(), eventstore.Range{})) {
		held[e.ID] = e
	}
	n := 0
	for _, a := range c.Appends {
		for _, e := range a.Events {
			if held[e.ID].Stream == a.Stream {
				n++
			}
		}
	}
	total := 0
	for _, a := range c.Appends {
		total += len(a.Events)
	}
	return n > 0 && n == total
}

// taken reports whether the log holds one of a commit's events.
func taken(ctx context.Context, b *memory.Backend, c eventstore.Commit) bool {
	for _, e := range collect(b.Read(ctx, eventstore.All(), eventstore.Range{})) {
		if slices.Contains(usedBy(c), e.ID) {
			return true
		}
	}
	return false
}

// fresh gives a commit's events new ids.
func fresh(c eventstore.Commit) eventstore.Commit {
	c.Appends = slices.Clone(c.Appends)
	for i := range c.Appends {
		c.Appends[i].Events = slices.Clone(c.Appends[i].Events)
		for k := range c.Appends[i].Events {
			c.Appends[i].Events[k].ID = newID()
		}
	}
	return c
}

// doubling writes again what is sent again, if it is one event and nothing else.
func doubling(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
	alone := len(c.Appends) == 1 && len(c.Appends[0].Events) == 1 && c.Appends[0].Expect == eventstore.Any
	if alone && len(c.Unless)+entriesOf(c) == 0 && known(ctx, b, c) {
		c = fresh(c)
	}
	return commitOne(ctx, b, c)
}

// forgetful recognises several appends that are sent again, and says that they came to where the log ends.
func forgetful(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
	again := len(c.Appends) > 1 && known(ctx, b, c)
	r, err := commitOne(ctx, b, c)
	if again && err == nil {
		r.Position = headOf(ctx, b)
	}
	return r, err
}

// versionsAlone reports versions as if no other append of the commit were to the same stream.
func versionsAlone(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
	r, err := commitOne(ctx, b, c)
	r.Versions = slices.Clone(r.Versions)
	for i := range r.Versions {
		for k := range c.Appends[:i] {
			if c.Appends[k].Stream == c.Appends[i].Stream {
				r.Versions[i] -= eventstore.Version(len(c.Appends[k].Events))
			}
		}
	}
	return r, err
}

// guessing tells the version that it expected when it began.
type guessing struct{ *memory.Backend }

func (g *guessing) Commit(ctx context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	guess := make([]eventstore.Version, len(batch))
	for i, c := range batch {
		if len(c.Appends) == 1 && c.Appends[0].Stream == "shared-1" {
			stream := collect(g.Read(ctx, eventstore.InStream("shared-1"), eventstore.Range{}))
			guess[i] = eventstore.Version(len(stream) + len(c.Appends[0].Events))
		}
	}
	time.Sleep(50 * time.Microsecond)
	outcomes, err := g.Backend.Commit(ctx, batch)
	for i := range guess {
		if guess[i] > 0 {
			outcomes[i].Result.Versions = []eventstore.Version{guess[i]}
		}
	}
	return outcomes, err
}

// unsaved forgets what waits when it is closed.
type unsaved struct{ *memory.Backend }

func (u *unsaved) Close() error {
	ctx := context.TODO() // Close has none
	var c eventstore.Commit
	for s, err := range u.Scheduled(ctx) {
		if err == nil {
			c.Cancels = append(c.Cancels, s.ID)
		}
	}
	_, err := commitOne(ctx, u.Backend, c)
	return err
}

// fenceFirst looks at the fences before it looks for the commit.
func fenceFirst(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
	for _, x := range c.Checkpoints {
		r, _ := b.Roster(ctx, x.Consumer)
		if x.Partition < len(r.Partitions) && r.Partitions[x.Partition].Epoch != x.Epoch {
			return eventstore.Result{}, &eventstore.FencedError{Consumer: x.Consumer, Partition: x.Partition, Reason: "epoch"}
		}
	}
	return commitOne(ctx, b, c)
}
