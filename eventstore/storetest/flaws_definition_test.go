package storetest

import (
	"context"
	"errors"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

// definitionFlaws are about Define and Redefine.
func definitionFlaws() []flaw {
	return []flaw{
		{
			name:   "a backend that returns the definition that it was given",
			caught: "Definitions/a consumer is of generation 1 and as its first definition says",
			says:   "who defined it anew was told",
			also:   []string{"Leases/a consumer is as its first definition says"},
			broad:  true,
			wrap:   func(b *memory.Backend) eventstore.Backend { return echoing{b} },
		},
		{
			name:   "a backend that forgets the hash of a new definition",
			caught: "Definitions/a consumer redefined is of the next generation and as it was given",
			says:   "it came back as",
			also:   []string{"Definitions/changing a definition given or returned changes nothing stored"},
			wrap: redefines(func(ctx context.Context, b *memory.Backend, c eventstore.Consumer) (eventstore.Consumer, error) {
				c.Hash = ""
				return b.Redefine(ctx, c)
			}),
		},
		{
			name:   "a backend that does not fence who is redefined",
			caught: "Definitions/a redefinition fences every owner and keeps positions",
			says:   "it must be refused: fenced",
			also:   []string{"Definitions/new partitions begin where the old ones stood", "Definitions/no epoch of a former owner is ever valid again"},
			wrap:   func(b *memory.Backend) eventstore.Backend { return &forgiving{Backend: b, redefines: true} },
		},
		{
			name:   "a backend that redefines whatever the generation",
			caught: "Definitions/a redefinition of another generation is refused and changes nothing",
			says:   "it must fail with \"conflict\"",
			also:   []string{"Definitions/of many who redefine one generation exactly one wins"},
			wrap: redefines(func(ctx context.Context, b *memory.Backend, c eventstore.Consumer) (eventstore.Consumer, error) {
				if r, _ := b.Roster(ctx, c.Name); r.Generation > 0 {
					c.Generation = r.Generation
				}
				return b.Redefine(ctx, c)
			}),
		},
		{
			name:   "a backend that lets partitions at different positions through",
			caught: "Definitions/the number of partitions changes only where all stand at one position",
			says:   "its partitions stand at 5, 5 and 4",
			wrap: redefines(func(ctx context.Context, b *memory.Backend, c eventstore.Consumer) (eventstore.Consumer, error) {
				if r, _ := b.Roster(ctx, c.Name); r.Generation == c.Generation && len(r.Partitions) != c.Partitions {
					_ = b.Reset(ctx, c.Name, r.Position())
				}
				return b.Redefine(ctx, c)
			}),
		},
		{
			name:   "a backend that begins anew with a new definition",
			caught: "Definitions/a redefinition fences every owner and keeps positions",
			says:   "the partitions of changing stand at",
			also: []string{
				"Definitions/new partitions begin where the old ones stood", "Definitions/the number of partitions changes only where all stand at one position",
				"Deliveries/a consumer of another generation hands out nothing",
			},
			wrap: redefines(func(ctx context.Context, b *memory.Backend, c eventstore.Consumer) (eventstore.Consumer, error) {
				got, err := b.Redefine(ctx, c)
				if err == nil {
					_ = b.Reset(ctx, c.Name, 0)
				}
				return got, err
			}),
		},
		{
			name:   "a backend whose new partitions begin with old epochs",
			caught: "Definitions/no epoch of a former owner is ever valid again",
			says:   "a lease of a former owner",
			wrap:   func(b *memory.Backend) eventstore.Backend { return &restarting{Backend: b, base: map[string]int64{}} },
		},
		{
			name:   "a backend that takes who ran the old definition for one that runs the new",
			caught: "Definitions/who ran the old definition runs the new one when it comes again",
			says:   "who have not come again",
			wrap: func(b *memory.Backend) eventstore.Backend {
				return &remembering{Backend: b, members: map[string]eventstore.Member{}}
			},
		},
		{
			name:   "a backend that lets every generation claim",
			caught: "Definitions/a claim of another generation is refused",
			says:   "it is of generation 2, and a claim of generation",
			wrap:   func(b *memory.Backend) eventstore.Backend { return ageless{b} },
		},
		{
			name:   "a backend that does not check a new definition",
			caught: "Definitions/definitions beyond the limits are refused",
			says:   "a redefinition with",
			wrap: redefines(func(ctx context.Context, b *memory.Backend, c eventstore.Consumer) (eventstore.Consumer, error) {
				got, err := b.Redefine(ctx, c)
				if errors.Is(err, eventstore.ErrInvalid) {
					err = nil
				}
				return got, err
			}),
		},
		{
			name:   "a backend that shares a definition with the caller",
			caught: "Definitions/changing a definition given or returned changes nothing stored",
			says:   "a definition was changed",
			wrap: func(b *memory.Backend) eventstore.Backend {
				return &sharing{Backend: b, last: map[string]eventstore.Consumer{}}
			},
		},
	}
}
