package storetest

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

// settlingFlaws are about acks and returns.
func settlingFlaws() []flaw {
	return []flaw{
		{
			name:   "a backend that forgets the attempt in an ack",
			caught: "Deliveries/an ack or return of an older attempt changes nothing, and the error names the delivery",
			says:   "it must be refused: fenced",
			also: []string{
				"Atomicity/nothing is left of a commit refused for an ack of an older attempt",
				"Deliveries/who is done with a delivery may park its event in the same commit",
			},
			wrap: func(b *memory.Backend) eventstore.Backend {
				return &lenient{Backend: b, attempts: map[uuid.UUID]int{}, acks: true}
			},
		},
		{
			name:   "a backend that forgets the attempt in a return",
			caught: "Deliveries/an ack or return of an older attempt changes nothing, and the error names the delivery",
			says:   "it must be refused: fenced",
			also:   []string{"Atomicity/nothing is left of a commit refused for a return of an older attempt"},
			wrap: func(b *memory.Backend) eventstore.Backend {
				return &lenient{Backend: b, attempts: map[uuid.UUID]int{}}
			},
		},
		{
			name:   "a backend that acks before it decides",
			caught: "Deliveries/an ack and the events of its commit are one",
			says:   "was refused, and yet it changed something",
			also: []string{
				"Atomicity/nothing is left of a commit refused for its last condition",
				"Atomicity/nothing is left of a commit refused for its last expected version",
				"Atomicity/nothing is left of a commit refused for a reused id in its last append",
				"Atomicity/nothing is left of a commit refused for a stale epoch in its last checkpoint",
				"Atomicity/nothing is left of a commit refused for a parked entry that is gone",
				"Atomicity/nothing is left of a commit refused for a return of an older attempt",
				"Idempotence/sent again it writes nothing: events with a delivery that is done",
				"Deliveries/an ack sent again with its events comes to the first result, and alone is refused",
			},
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				if len(c.Acks) > 0 && len(c.Appends) > 0 {
					if _, err := commitOne(ctx, b, eventstore.Commit{Acks: c.Acks}); err != nil {
						return eventstore.Result{}, err
					}
					c.Acks = nil
				}
				return commitOne(ctx, b, c)
			}),
		},
		{
			name:   "a backend that does not mind when a delivery is gone",
			caught: "Deliveries/an ack or return of what is not in the window is refused",
			says:   "it must be refused: fenced",
			broad:  true,
			wrap: func(b *memory.Backend) eventstore.Backend {
				return &lenient{Backend: b, attempts: map[uuid.UUID]int{}, gone: true}
			},
		},
		{
			name:   "a backend that hands out at once what was returned",
			caught: "Deliveries/what was returned is handed out when it is due, and not before",
			says:   "of three deliveries that were handed out 2 was returned",
			also:   []string{"Deliveries/a window says what is not done, and when the next can be taken"},
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				c.Returns = slices.Clone(c.Returns)
				for i := range c.Returns {
					c.Returns[i].Due = past(0)
				}
				return commitOne(ctx, b, c)
			}),
		},
		{
			name:   "a backend that keeps what was done",
			caught: "Deliveries/what was done is gone for good",
			says:   "its window counts 3",
			broad:  true,
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				for _, a := range c.Acks {
					c.Returns = append(c.Returns, eventstore.Return{Ack: a, Due: past(1)})
				}
				c.Acks = nil
				return commitOne(ctx, b, c)
			}),
		},
		{
			name:   "a backend that looks for a delivery before it has its turn",
			caught: "Deliveries/of many who are done with one delivery exactly one may commit",
			says:   "of 8 who settled one delivery",
			racy:   true,
			wrap:   func(b *memory.Backend) eventstore.Backend { return &hastyAcks{Backend: b, gone: map[uuid.UUID]bool{}} },
		},
		{
			name:   "a backend that looks for deliveries before it looks for the commit",
			caught: "Idempotence/sent again it writes nothing: events with a delivery returned",
			says:   "failed with",
			also: []string{
				"Idempotence/sent again it writes nothing: events with a delivery that is done",
				"Deliveries/an ack sent again with its events comes to the first result, and alone is refused",
			},
			wrap: func(b *memory.Backend) eventstore.Backend {
				return &settledFirst{Backend: b, settled: map[eventstore.Ack]bool{}}
			},
		},
		{
			name:   "a backend that parks under checkpoints only",
			caught: "Deliveries/who is done with a delivery may park its event in the same commit",
			says:   "with an ack; listed are",
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				c.Parks = slices.DeleteFunc(slices.Clone(c.Parks), func(p eventstore.Parked) bool {
					return !slices.ContainsFunc(c.Checkpoints, func(x eventstore.Checkpoint) bool { return x.Consumer == p.Consumer })
				})
				return commitOne(ctx, b, c)
			}),
		},
	}
}
