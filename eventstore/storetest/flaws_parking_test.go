package storetest

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

func parkingFlaws() []flaw {
	return []flaw{
		{
			name:   "a backend that keeps the first of what is parked twice",
			caught: "Parking/an entry parked again is replaced, but for when it was first parked",
			says:   "an entry was parked again as",
			also:   []string{"Parking/a redrive marks the entries that it names until they are parked again"},
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				c.Parks = slices.DeleteFunc(slices.Clone(c.Parks), func(p eventstore.Parked) bool {
					return !slices.Contains(c.Unparks, p.ID) && isParked(ctx, b, p.ID)
				})
				return commitOne(ctx, b, c)
			}),
		},
		{
			name:   "a backend that forgets when an entry is due",
			caught: "Parking/a parked entry comes back as it was given",
			says:   "it came back as",
			also:   []string{"Parking/an entry parked again is replaced, but for when it was first parked"},
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				c.Parks = slices.Clone(c.Parks)
				for i := range c.Parks {
					c.Parks[i].Due = time.Time{}
				}
				return commitOne(ctx, b, c)
			}),
		},
		{
			name:   "a backend that does not mark what is redriven",
			caught: "Parking/a redrive marks the entries that it names until they are parked again",
			says:   "the entries are marked as redriven",
			also:   []string{"Parking/a redrive tells who runs the consumer", "Parking/to redrive what is gone is no error"},
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				c.Redrives = nil
				return commitOne(ctx, b, c)
			}),
		},
		{
			name:   "a backend that redrives a consumer's other entries, too",
			caught: "Parking/a redrive marks the entries that it names until they are parked again",
			says:   "the entries are marked as redriven",
			also: []string{
				"Parking/to redrive what is gone is no error",
			},
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				if len(c.Redrives) > 0 {
					for _, p := range entriesIn(ctx, b, "") {
						c.Redrives = append(c.Redrives, p.ID)
					}
				}
				return commitOne(ctx, b, c)
			}),
		},
		{
			name:   "a backend that wants to redrive what is gone",
			caught: "Parking/to redrive what is gone is no error",
			says:   "a redrive of what is gone failed",
			also:   []string{"Parking/a redrive tells who runs the consumer"},
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				for _, id := range c.Redrives {
					if !isParked(ctx, b, id) {
						return eventstore.Result{}, &eventstore.FencedError{Entry: id, Reason: "it is parked no more"}
					}
				}
				return commitOne(ctx, b, c)
			}),
		},
		{
			name:   "a backend that redrives an entry once",
			caught: "Idempotence/sent again it writes nothing: a redrive alone",
			says:   "failed with",
			also:   []string{"Parking/a redrive marks the entries that it names until they are parked again"},
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				for _, p := range entriesIn(ctx, b, "") {
					if p.Redriven && slices.Contains(c.Redrives, p.ID) {
						return eventstore.Result{}, &eventstore.FencedError{Entry: p.ID, Reason: "it is redriven already"}
					}
				}
				return commitOne(ctx, b, c)
			}),
		},
		{
			name:   "a backend that tells nobody of a redrive",
			caught: "Parking/a redrive tells who runs the consumer",
			says:   "and Roster.Redrives went from",
			also: []string{
				"Control/a reset forgets the entries after its position, and no others",
				"Parking/an entry taken back by another than its owner tells who runs the consumer",
			},
			wrap: func(b *memory.Backend) eventstore.Backend { return silent{b} },
		},
		{
			name:   "a backend that does not say which entry is gone",
			caught: "Parking/entries taken back are refused a second time, and the error names the one that is gone",
			says:   "the error must name the entry",
			also: []string{
				"Deliveries/an ack or return of an older attempt changes nothing, and the error names the delivery",
				"Deliveries/an ack or return of what is not in the window is refused",
				"Deliveries/an ack sent again with its events comes to the first result, and alone is refused",
			},
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				r, err := commitOne(ctx, b, c)
				if said, ok := errors.AsType[*eventstore.FencedError](err); ok {
					said.Entry = uuid.Nil
				}
				return r, err
			}),
		},
		{
			name:   "a backend that ignores the ids of a filter",
			caught: "Parking/a filter selects by consumer, key, id and group",
			says:   "the filter",
			wrap: func(b *memory.Backend) eventstore.Backend {
				return refiltering{b, func(f *eventstore.ParkedFilter) { f.IDs = nil }}
			},
		},
		{
			name:   "a backend that ignores the group of a filter",
			caught: "Parking/a filter selects by consumer, key, id and group",
			says:   "the filter",
			wrap: func(b *memory.Backend) eventstore.Backend {
				return refiltering{b, func(f *eventstore.ParkedFilter) { f.Group = "" }}
			},
		},
	}
}

func isParked(ctx context.Context, b *memory.Backend, id uuid.UUID) bool {
	return slices.ContainsFunc(entriesIn(ctx, b, ""), func(p eventstore.Parked) bool { return p.ID == id })
}

// refiltering selects parked entries by another filter than it was asked for.
type refiltering struct {
	*memory.Backend
	change func(f *eventstore.ParkedFilter)
}

func (r refiltering) Parked(ctx context.Context, f eventstore.ParkedFilter) iter.Seq2[eventstore.Parked, error] {
	r.change(&f)
	return r.Backend.Parked(ctx, f)
}

// silent says of no roster that something was redriven.
type silent struct{ *memory.Backend }

func (s silent) Roster(ctx context.Context, consumer string) (eventstore.Roster, error) {
	r, err := s.Backend.Roster(ctx, consumer)
	r.Redrives = 0
	return r, err
}
