package storetest

import (
	"context"
	"errors"
	"slices"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

func writeFlaws() []flaw {
	races := []string{
		"Guard/of racers with the same condition exactly one wins: by tag", "Guard/of racers with the same condition exactly one wins: by two tags",
		"Guard/of racers with the same condition exactly one wins: by type and tag", "Guard/of racers with the same condition exactly one wins: by stream",
		"Guard/of racers with the same condition exactly one wins: by category", "Guard/of racers with the same condition exactly one wins: by either of two items",
		"Guard/of racers with the same condition exactly one wins: by all", "Guard/of racers by type against racers by tag exactly one wins",
	}
	return []flaw{
		{
			name:   "a backend that lets two racers for a condition win",
			caught: "Guard/of racers with the same condition exactly one wins: by type",
			says:   "won, at the positions",
			also:   append(slices.Clone(races), "Guard/no event of an unconditional writer slips behind a condition"),
			racy:   true,
			wrap:   func(b *memory.Backend) eventstore.Backend { return &hasty{Backend: b, conditions: true} },
		},
		{
			name:   "a backend that lets two racers for a version win",
			caught: "Guard/of racers who expect the same version exactly one wins",
			says:   "won, at the positions",
			also:   []string{"Guard/of racers who expect no stream exactly one wins", "Guard/of racers for two streams in either order exactly one wins"},
			racy:   true,
			wrap:   func(b *memory.Backend) eventstore.Backend { return &hasty{Backend: b, versions: true} },
		},
		{
			name:   "a backend that lets concurrent appends draw the same version",
			caught: "Versions/writers who expect nothing share a stream without gaps",
			says:   "was told version",
			racy:   true,
			wrap:   func(b *memory.Backend) eventstore.Backend { return &guessing{b} },
		},
		{
			name:   "a backend that matches a commit's own events",
			caught: "Guard/a commit's own events never match its own condition",
			says:   "though only its own event matches",
			also: append(slices.Clone(races), "Guard/of racers with the same condition exactly one wins: by type",
				"Cancellation/a commit whose answer was lost is sent again with one result",
				"Conditions/a condition beyond the head refuses nothing",
				"Idempotence/a commit is known again though its lease has passed on and its conditions are broken",
				"Idempotence/ids are checked before fences and fences before conditions",
				"Idempotence/of many senders of one commit all get the one result",
				"Idempotence/sent again it writes nothing: a condition that it has broken itself"),
			wrap: commits(ownMatches),
		},
		{
			name:   "a backend that checks later expectations after earlier appends",
			caught: "Guard/expectations are about the versions before the commit",
			says:   "each expecting what was before the commit",
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				for i, a := range c.Appends {
					for _, before := range c.Appends[:i] {
						if a.Stream == before.Stream && a.Expect != eventstore.Any {
							return eventstore.Result{}, &eventstore.ConflictError{Stream: a.Stream, Expected: a.Expect}
						}
					}
				}
				return commitOne(ctx, b, c)
			}),
		},
		{
			name:   "a backend that checks only the first condition",
			caught: "Conditions/each of several conditions counts, and the error says which",
			says:   "it must be refused",
			also:   []string{"Atomicity/nothing is left of a commit refused for its last condition"},
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				c.Unless = c.Unless[:min(1, len(c.Unless))]
				return commitOne(ctx, b, c)
			}),
		},
		{
			name:   "a backend that does not check conditions of commits without events",
			caught: "Conditions/conditions guard commits that append nothing, too",
			says:   "it must be refused",
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				if len(c.Appends) == 0 {
					c.Unless = nil
				}
				return commitOne(ctx, b, c)
			}),
		},
		{
			name:   "a backend whose conditions overlook the last event",
			caught: "Conditions/every shape of query guards what it names",
			says:   "everything\n\tevidence: the commit [1 events to \"outcome-1\" expecting anything; unless (all) after 8] was accepted",
			may: append(slices.Clone(races), "Guard/of racers with the same condition exactly one wins: by type",
				"Guard/no event of an unconditional writer slips behind a condition",
				"Atomicity/nothing is left of a commit refused for its last condition",
				"Deliveries/an ack and the events of its commit are one",
				"Idempotence/ids are checked before fences and fences before conditions",
				"Queries/a query of many items and names selects what any of them does",
				"Schedules/what fired counts for expectations and conditions"),
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				c.Unless = slices.Clone(c.Unless)
				for i := range c.Unless {
					if c.Unless[i].After == headOf(ctx, b)-1 {
						c.Unless[i].After++
					}
				}
				return commitOne(ctx, b, c)
			}),
		},
		{
			name:   "a backend that says conflict, and not of what",
			caught: "Guard/every kind of expectation holds and refuses as it says",
			says:   "the error must say that",
			also:   []string{"Conditions/each of several conditions counts, and the error says which"},
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				r, err := commitOne(ctx, b, c)
				if errors.Is(err, eventstore.ErrConflict) {
					err = eventstore.ErrConflict
				}
				return r, err
			}),
		},
		{
			name:   "a backend that splits a commit",
			caught: "Atomicity/nothing is left of a commit refused for a stale epoch in its last checkpoint",
			says:   "was refused, and yet it changed something",
			also: []string{
				"Atomicity/nothing is left of a commit refused for an ack of an older attempt",
				"Atomicity/nothing is left of a commit refused for a return of an older attempt",
				"Atomicity/nothing is left of a commit refused for a parked entry that is gone",
			},
			wrap: commits(splitting),
		},
		{
			name:   "a backend that shows a commit piece by piece",
			caught: "Atomicity/readers see all events of a commit or none",
			says:   "events of commit:",
			also:   []string{"Idempotence/sent again it writes nothing: several events to several streams"},
			may:    []string{"Guard/of racers for two streams in either order exactly one wins"},
			racy:   true,
			wrap:   commits(pieceByPiece),
		},
		{
			name:   "a backend that writes checkpoints behind events",
			caught: "Atomicity/events and checkpoints appear together",
			says:   "while the checkpoint committed with them stood at",
			racy:   true,
			wrap:   commits(checkpointLater),
		},
		{
			name:   "a backend that reverses the appends of a commit",
			caught: "Order/the events of a commit stand together as they were given",
			says:   "came back as",
			also: []string{
				"Guard/expectations are about the versions before the commit",
				"Queries/a query of many items and names selects what any of them does",
				"Versions/several appends of a commit to one stream go on from each other",
			},
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				c.Appends = slices.Clone(c.Appends)
				slices.Reverse(c.Appends)
				r, err := commitOne(ctx, b, c)
				slices.Reverse(r.Versions)
				return r, err
			}),
		},
		{
			name:   "a backend that burns a position when it refuses",
			caught: "Order/positions are gapless whatever is refused in between",
			says:   "it should be",
			wrap:   func(b *memory.Backend) eventstore.Backend { return &burning{b} },
		},
		{
			name:   "a backend that reports versions as if each append were alone",
			caught: "Versions/several appends of a commit to one stream go on from each other",
			says:   "were reported at versions",
			also:   []string{"Guard/expectations are about the versions before the commit"},
			wrap:   commits(versionsAlone),
		},
		{
			name:   "a backend that doubles a commit sent again",
			caught: "Idempotence/sent again it writes nothing: one event",
			says:   "its first result was",
			wrap:   commits(doubling),
		},
		{
			name:   "a backend that forgets what a commit sent again came to",
			caught: "Idempotence/sent again it writes nothing: several events to several streams",
			says:   "its first result was",
			wrap:   commits(forgetful),
		},
		{
			name:   "a backend that lets an id be used for another event",
			caught: "Idempotence/no event id is used twice",
			says:   "it must be refused",
			also: []string{
				"Atomicity/nothing is left of a commit refused for a reused id in its last append",
				"Idempotence/ids are checked before fences and fences before conditions",
				"Idempotence/known events under a checkpoint that was not made are another commit's",
			},
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				r, err := commitOne(ctx, b, c)
				if errors.Is(err, eventstore.ErrIDReused) && len(c.Appends) > 0 {
					return commitOne(ctx, b, fresh(c))
				}
				return r, err
			}),
		},
		{
			name:   "a backend that checks fences before ids",
			caught: "Idempotence/ids are checked before fences and fences before conditions",
			says:   "it must fail with \"id reused\"",
			also:   []string{"Idempotence/a commit is known again though its lease has passed on and its conditions are broken"},
			wrap:   commits(fenceFirst),
		},
		{
			name:   "a backend that checks conditions before fences",
			caught: "Idempotence/ids are checked before fences and fences before conditions",
			says:   "it must fail with \"fenced\"",
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				if refused := conflicts(ctx, b, c); refused != nil && !known(ctx, b, c) && !taken(ctx, b, c) {
					return eventstore.Result{}, refused
				}
				return commitOne(ctx, b, c)
			}),
		},
		{
			name:   "a backend that forgets schedules when it is closed",
			caught: "Durability/what was acknowledged is there after all connections were closed",
			says:   "the log changed while nobody had it open",
			wrap:   func(b *memory.Backend) eventstore.Backend { return &unsaved{b} },
		},
	}
}
