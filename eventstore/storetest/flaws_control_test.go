package storetest

import (
	"context"
	"errors"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

func controlFlaws() []flaw {
	return append(definitionFlaws(), []flaw{
		{
			name:   "a backend that does not fence who is paused",
			caught: "Control/a pause fences every owner and keeps positions",
			says:   "it must be refused: fenced",
			also:   []string{"Deliveries/a paused consumer hands out nothing"},
			wrap:   func(b *memory.Backend) eventstore.Backend { return &forgiving{Backend: b, pauses: true} },
		},
		{
			name:   "a backend that gives away what is paused",
			caught: "Control/a paused consumer is given to nobody until it is resumed",
			says:   "a claim of a paused consumer",
			also: []string{
				"Deliveries/a paused consumer hands out nothing",
				"Control/to pause what is paused or to resume what runs changes nothing",
			},
			wrap: func(b *memory.Backend) eventstore.Backend {
				return &unstoppable{Backend: b, paused: map[string]bool{}}
			},
		},
		{
			name:   "a backend that fences whenever it is told to resume",
			caught: "Control/to pause what is paused or to resume what runs changes nothing",
			says:   "a consumer that ran was resumed",
			wrap: func(b *memory.Backend) eventstore.Backend {
				return controlling{Backend: b, pause: func(ctx context.Context, consumer string, paused bool) error {
					if !paused {
						_ = b.Pause(ctx, consumer, true)
					}
					return b.Pause(ctx, consumer, paused)
				}}
			},
		},
		{
			name:   "a backend that forgets a pause when it resets",
			caught: "Control/a paused consumer that is reset stays paused",
			says:   "a paused consumer was reset",
			wrap: resets(func(ctx context.Context, b *memory.Backend, consumer string, to eventstore.Position) error {
				_ = b.Pause(ctx, consumer, false)
				return b.Reset(ctx, consumer, to)
			}),
		},
		{
			name:   "a backend that does not fence who is reset",
			caught: "Control/a reset moves all partitions and fences every owner",
			says:   "it must be refused: fenced",
			wrap:   func(b *memory.Backend) eventstore.Backend { return &forgiving{Backend: b, resets: true} },
		},
		{
			name:   "a backend that resets only the first partition",
			caught: "Control/a reset moves all partitions and fences every owner",
			says:   "the partitions of reset stand at",
			also: []string{
				"Control/a paused consumer that is reset stays paused",
			},
			wrap: resets(func(ctx context.Context, b *memory.Backend, consumer string, to eventstore.Position) error {
				before, _ := b.Roster(ctx, consumer)
				err := b.Reset(ctx, consumer, to)
				after, _ := b.Roster(ctx, consumer)
				for n := 1; n < len(after.Partitions); n++ {
					_, _ = commitOne(ctx, b, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{
						{Consumer: consumer, Partition: n, Epoch: after.Partitions[n].Epoch, From: to, To: before.Partitions[n].Position},
					}})
				}
				return err
			}),
		},
		{
			name:   "a backend that resets only back",
			caught: "Control/a reset moves all partitions and fences every owner",
			says:   "the partitions of reset stand at",
			also: []string{
				"Control/a reset forgets the entries after its position, and no others",
				"Control/a reset forgets the deliveries after its position, and no others",
				"Control/a paused consumer that is reset stays paused",
			},
			wrap: resets(func(ctx context.Context, b *memory.Backend, consumer string, to eventstore.Position) error {
				r, _ := b.Roster(ctx, consumer)
				return b.Reset(ctx, consumer, min(to, r.Position()))
			}),
		},
		{
			name:   "a backend that keeps parked entries when it resets",
			caught: "Control/a reset forgets the entries after its position, and no others",
			says:   "after a reset to 5 the entries are",
			wrap: resets(func(ctx context.Context, b *memory.Backend, consumer string, to eventstore.Position) error {
				c := eventstore.Commit{Parks: entriesIn(ctx, b, consumer)}
				err := b.Reset(ctx, consumer, to)
				_, _ = commitOne(ctx, b, c)
				return err
			}),
		},
		{
			name:   "a backend that forgets all parked entries when it resets",
			caught: "Control/a reset forgets the entries after its position, and no others",
			says:   "after a reset to 5 the entries are",
			wrap: resets(func(ctx context.Context, b *memory.Backend, consumer string, to eventstore.Position) error {
				var c eventstore.Commit
				for _, p := range entriesIn(ctx, b, consumer) {
					c.Unparks = append(c.Unparks, p.ID)
				}
				_, _ = commitOne(ctx, b, c)
				return b.Reset(ctx, consumer, to)
			}),
		},
		{
			name:   "a backend that keeps deliveries when it resets",
			caught: "Control/a reset forgets the deliveries after its position, and no others",
			says:   "deliveries of reset are not done",
			wrap:   func(b *memory.Backend) eventstore.Backend { return &redelivering{Backend: b} },
		},
		{
			name:   "a backend that forgets all deliveries when it resets",
			caught: "Control/a reset forgets the deliveries after its position, and no others",
			says:   "deliveries of reset are not done",
			also: []string{
				"Control/a reset forgets the entries after its position, and no others",
			},
			wrap: resets(func(ctx context.Context, b *memory.Backend, consumer string, to eventstore.Position) error {
				_ = b.Reset(ctx, consumer, 0)
				return b.Reset(ctx, consumer, to)
			}),
		},
		{
			name:   "a backend that lists consumers as they come",
			caught: "Control/all consumers are listed by name as they are defined",
			says:   "listed are",
			wrap:   func(b *memory.Backend) eventstore.Backend { return backToFront{b} },
		},
		{
			name:   "a backend that pauses whatever it is told to",
			caught: "Control/what nobody defined can be neither paused nor reset",
			says:   "to pause it came to <nil>",
			wrap: func(b *memory.Backend) eventstore.Backend {
				return controlling{Backend: b, pause: func(ctx context.Context, consumer string, paused bool) error {
					if err := b.Pause(ctx, consumer, paused); !errors.Is(err, eventstore.ErrInvalid) {
						return err
					}
					return nil
				}}
			},
		},
		{
			name:   "a backend that takes a reset for a redefinition",
			caught: "Control/a definition outlives a pause and a reset",
			says:   "a reset has made of",
			wrap: resets(func(ctx context.Context, b *memory.Backend, consumer string, to eventstore.Position) error {
				err := b.Reset(ctx, consumer, to)
				all, _ := b.Consumers(ctx)
				for _, c := range all {
					if c.Name == consumer && c.Competing {
						_, _ = b.Redefine(ctx, c)
					}
				}
				return err
			}),
		},
		{
			name:   "a backend that shares the list of consumers",
			caught: "Control/changing the list of consumers changes nothing stored",
			says:   "the list of consumers was changed where it was returned",
			broad:  true,
			wrap:   func(b *memory.Backend) eventstore.Backend { return &sharedList{Backend: b} },
		},
		{
			name:   "a backend whose pulse knows nothing of rosters",
			caught: "Waiting/a consumer redefined or controlled wakes who waits",
			says:   "and the pulse's Roster went from",
			also: []string{
				"Control/a reset forgets the entries after its position, and no others",
				"Parking/a redrive tells who runs the consumer",
				"Parking/an entry taken back by another than its owner tells who runs the consumer",
				"Waiting/who comes and goes wakes who waits",
			},
			hangs: true,
			wrap:  func(b *memory.Backend) eventstore.Backend { return pulseless{b} },
		},
		{
			name:   "a backend that counts nobody as lost",
			caught: "Leases/a lease says how many owners were lost without moving the partition",
			says:   "says that 0 owners were lost, not 1",
			wrap:   func(b *memory.Backend) eventstore.Backend { return unmoved{b} },
		},
		{
			name:   "a backend that counts every former owner as lost",
			caught: "Leases/an owner that moved the partition counts not with those before it",
			says:   "and the next lease says that 2 were lost",
			also: []string{
				"Definitions/new partitions begin where the old ones stood",
				"Leases/a lease says how many owners were lost without moving the partition",
				"Leases/who releases a partition or leaves is not lost",
			},
			wrap: func(b *memory.Backend) eventstore.Backend {
				return &unforgetting{Backend: b, owners: map[string][]string{}}
			},
		},
	}...)
}
