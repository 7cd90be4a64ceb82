package storetest

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

func consumerFlaws() []flaw {
	return []flaw{
		{
			name:   "a backend that forgets the epoch",
			caught: "Fencing/who has lost the lease can change nothing",
			says:   "it must be refused: fenced",
			also: []string{
				"Control/a pause fences every owner and keeps positions",
				"Control/a reset moves all partitions and fences every owner",
				"Definitions/a redefinition fences every owner and keeps positions",
				"Definitions/new partitions begin where the old ones stood",
				"Definitions/no epoch of a former owner is ever valid again",
				"Deliveries/a paused consumer hands out nothing",
				"Deliveries/nothing is delivered under a lease that was lost",
				"Atomicity/nothing is left of a commit refused for a stale epoch in its last checkpoint",
				"Fencing/a checkpoint for what nobody defined or owns is refused",
				"Fencing/one stale checkpoint refuses the whole commit",
				"Idempotence/ids are checked before fences and fences before conditions",
				"Leases/what was released or left behind can be claimed, and stands where it stood",
				"Leases/who claims again what it owns gets it under a new epoch",
			},
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				return commitOne(ctx, b, repaired(ctx, b, c, func(x *eventstore.Checkpoint, p eventstore.Partition) { x.Epoch = p.Epoch }))
			}),
		},
		{
			name:   "a backend that takes a checkpoint from anywhere",
			caught: "Fencing/a checkpoint from elsewhere is refused",
			says:   "it must be refused: fenced",
			also: []string{
				"Deliveries/nothing is delivered under a lease that was lost",
				"Deliveries/an ack sent again with its events comes to the first result, and alone is refused",
				"Fencing/of two who hold the same lease each step is made by exactly one",
				"Fencing/one stale checkpoint refuses the whole commit",
				"Idempotence/a checkpoint that stands already counts as made",
				"Idempotence/sent again it writes nothing: a checkpoint with an entry taken back",
			},
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				return commitOne(ctx, b, repaired(ctx, b, c, func(x *eventstore.Checkpoint, p eventstore.Partition) { x.From = min(p.Position, x.To) }))
			}),
		},
		{
			name:   "a backend that does not know a checkpoint again",
			caught: "Idempotence/sent again it writes nothing: checkpoints alone",
			says:   "failed with",
			also: []string{
				"Idempotence/sent again it writes nothing: a checkpoint with a delivery",
				"Deliveries/an ack sent again with its events comes to the first result, and alone is refused",
				"Idempotence/a checkpoint that stands already counts as made",
				"Idempotence/sent again it writes nothing: a checkpoint with a parked entry",
				"Idempotence/sent again it writes nothing: a checkpoint with an entry taken back",
			},
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				for _, x := range c.Checkpoints {
					r, _ := b.Roster(ctx, x.Consumer)
					if x.From != x.To && x.Partition < len(r.Partitions) && r.Partitions[x.Partition].Position == x.To && len(c.Appends) == 0 {
						return eventstore.Result{}, &eventstore.FencedError{Consumer: x.Consumer, Partition: x.Partition, Reason: "moved"}
					}
				}
				return commitOne(ctx, b, c)
			}),
		},
		{
			name:   "a backend that lets an entry be taken back twice",
			caught: "Fencing/a parked entry is taken back exactly once",
			says:   "it must be refused: fenced",
			also: []string{
				"Control/a reset forgets the entries after its position, and no others",
				"Parking/entries taken back are refused a second time, and the error names the one that is gone",
				"Atomicity/nothing is left of a commit refused for a parked entry that is gone",
				"Fencing/of many who take back one entry exactly one may commit",
			},
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				var there []uuid.UUID
				for p, err := range b.Parked(ctx, eventstore.ParkedFilter{}) {
					if err == nil && slices.Contains(c.Unparks, p.ID) {
						there = append(there, p.ID)
					}
				}
				c.Unparks = there
				if len(c.Appends)+entriesOf(c) == 0 {
					return eventstore.Result{}, nil
				}
				return commitOne(ctx, b, c)
			}),
		},
		{
			name:   "a backend that parks an entry again as if for the first time",
			caught: "Parking/an entry parked again is replaced, but for when it was first parked",
			says:   "and now it says",
			also: []string{
				"Idempotence/sent again it writes nothing: a checkpoint with a parked entry",
				"Parking/an entry taken back and parked in one commit is replaced",
			},
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				again := slices.DeleteFunc(slices.Clone(c.Parks), func(p eventstore.Parked) bool { return !isParked(ctx, b, p.ID) })
				r, err := commitOne(ctx, b, c)
				for _, p := range again {
					if err == nil {
						_, _ = commitOne(ctx, b, eventstore.Commit{Unparks: []uuid.UUID{p.ID}})
						_, _ = commitOne(ctx, b, eventstore.Commit{Parks: []eventstore.Parked{p}})
					}
				}
				return r, err
			}),
		},
		{
			name:   "a backend that ignores the key of a filter",
			caught: "Parking/a filter selects by consumer, key, id and group",
			says:   "the filter",
			also: []string{
				"Parking/an entry parked again is replaced, but for when it was first parked",
			},
			wrap: func(b *memory.Backend) eventstore.Backend { return keyless{b} },
		},
		{
			name:   "a backend that fires early",
			caught: "Schedules/nothing fires before it is due",
			says:   "and Fire said",
			wrap:   func(b *memory.Backend) eventstore.Backend { return early{b} },
		},
		{
			name:   "a backend that fires twice",
			caught: "Schedules/each schedule fires exactly once, whoever fires",
			says:   "40 schedules were due",
			may:    []string{"Schedules/between a cancel and a firing exactly one wins"},
			racy:   true,
			wrap:   func(b *memory.Backend) eventstore.Backend { return &twice{b} },
		},
		{
			name:   "a backend that fires the latest first",
			caught: "Schedules/what is due fires in the order of its times",
			says:   "fired as",
			also:   []string{"Schedules/Fire keeps to its limit and tells when the next is due", "Immutability/changing a schedule given or returned changes nothing stored"},
			wrap:   func(b *memory.Backend) eventstore.Backend { return backward{b} },
		},
		{
			name:   "a backend that brings a cancelled schedule back",
			caught: "Idempotence/a schedule sent again after it was cancelled does not come back",
			says:   "brought back what was gone",
			wrap: func(b *memory.Backend) eventstore.Backend {
				return &resurrecting{Backend: b, cancelled: map[uuid.UUID]bool{}}
			},
		},
		{
			name:   "a backend that does not cancel",
			caught: "Schedules/what was cancelled never fires",
			says:   "two were cancelled",
			also:   []string{"Idempotence/a schedule sent again after it was cancelled does not come back"},
			may:    []string{"Schedules/between a cancel and a firing exactly one wins"},
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				c.Cancels = nil
				return commitOne(ctx, b, c)
			}),
		},
		{
			name:   "a backend whose members never die",
			caught: "Leases/a member that is not renewed loses its partitions to who claims them",
			says:   "waited in vain",
			hangs:  true,
			wrap:   func(b *memory.Backend) eventstore.Backend { return immortal{b} },
		},
		{
			name:   "a backend that lends one partition to two",
			caught: "Leases/a claim gives what has no live owner, under a new epoch",
			says:   "that have a live owner",
			also: []string{
				"Leases/of many claimants each partition goes to exactly one",
				"Leases/what was released or left behind can be claimed, and stands where it stood",
			},
			wrap: func(b *memory.Backend) eventstore.Backend { return generous{b} },
		},
		{
			name:   "a backend that does not look at a lease that is released",
			caught: "Leases/a release of a lease that has passed on changes nothing",
			says:   "took the partition from adam",
			wrap:   func(b *memory.Backend) eventstore.Backend { return careless{b} },
		},
		{
			name:   "a backend that wakes nobody",
			caught: "Waiting/a commit wakes who waits",
			says:   "waited in vain",
			also: []string{
				"Waiting/what can be taken wakes who waits",
				"Waiting/a firing wakes who waits", "Waiting/a wait for what has happened already returns at once",
			},
			hangs: true,
			wrap:  func(b *memory.Backend) eventstore.Backend { return sleepy{b} },
		},
	}
}
