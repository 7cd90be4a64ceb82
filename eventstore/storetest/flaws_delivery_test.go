package storetest

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

func deliveryFlaws() []flaw {
	return append(settlingFlaws(), []flaw{
		{
			name:   "a backend that hands a delivery to whoever comes",
			caught: "Deliveries/what was handed out is nobody else's until its time has passed",
			says:   "and then again",
			broad:  true,
			wrap: takes(func(ctx context.Context, b *memory.Backend, consumer string, t eventstore.Taking) ([]eventstore.Delivery, error) {
				t.Visibility = 0
				return b.Take(ctx, consumer, t)
			}),
		},
		{
			name:   "a backend that looks what can be taken before it has its turn",
			caught: "Deliveries/of many who take at once each delivery goes to one",
			says:   "took at once, and",
			racy:   true,
			wrap:   func(b *memory.Backend) eventstore.Backend { return &doubleTaking{Backend: b} },
		},
		{
			name:   "a backend that hands out the latest first",
			caught: "Deliveries/what is due is handed out in order of position, and no more than asked for",
			says:   "were handed out in the order",
			broad:  true,
			wrap: takes(func(ctx context.Context, b *memory.Backend, consumer string, t eventstore.Taking) ([]eventstore.Delivery, error) {
				list, err := b.Take(ctx, consumer, t)
				slices.Reverse(list)
				return list, err
			}),
		},
		{
			name:   "a backend that hands out more than asked for",
			caught: "Deliveries/what is due is handed out in order of position, and no more than asked for",
			says:   "asked for 1 of nine",
			broad:  true,
			wrap: takes(func(ctx context.Context, b *memory.Backend, consumer string, t eventstore.Taking) ([]eventstore.Delivery, error) {
				t.Limit++
				return b.Take(ctx, consumer, t)
			}),
		},
		{
			name:   "a backend that does not hand out again what was not done",
			caught: "Deliveries/what was not done in time is handed out again",
			says:   "waited in vain",
			also:   []string{"Deliveries/what was not done in time can be done until another has it"},
			hangs:  true,
			wrap: takes(func(ctx context.Context, b *memory.Backend, consumer string, t eventstore.Taking) ([]eventstore.Delivery, error) {
				t.Visibility = long
				return b.Take(ctx, consumer, t)
			}),
		},
		{
			name:   "a backend that says nothing of attempts",
			caught: "Deliveries/each attempt counts",
			says:   "what is handed out for the 2. time",
			broad:  true,
			wrap:   takenAs(func(d *eventstore.Delivery) { d.Attempt = 1 }),
		},
		{
			name:   "a backend that forgets why a delivery was returned",
			caught: "Deliveries/failures are kept in their order, as many as an entry may have",
			says:   "it came back with",
			broad:  true,
			wrap:   takenAs(func(d *eventstore.Delivery) { d.Failures = nil }),
		},
		{
			name:   "a backend that turns failures around",
			caught: "Deliveries/failures are kept in their order, as many as an entry may have",
			says:   "it came back with",
			also:   []string{"Immutability/changing a delivery given or returned changes nothing stored"},
			wrap:   takenAs(func(d *eventstore.Delivery) { slices.Reverse(d.Failures) }),
		},
		{
			name:   "a backend that shares the failures of a delivery",
			caught: "Immutability/changing a delivery given or returned changes nothing stored",
			says:   "a delivery was changed where it was returned",
			wrap: func(b *memory.Backend) eventstore.Backend {
				return &sharingFailures{Backend: b, last: map[uuid.UUID][]eventstore.Failure{}}
			},
		},
		{
			name:   "a backend that counts in a window only what can be taken",
			caught: "Deliveries/a window says what is not done, and when the next can be taken",
			says:   "the window counts 1",
			broad:  true,
			wrap:   func(b *memory.Backend) eventstore.Backend { return &countingFree{Backend: b} },
		},
		{
			name:   "a backend that mixes windows",
			caught: "Deliveries/windows of several consumers do not mix",
			says:   "nothing was delivered to two",
			also: []string{
				"Control/a reset forgets the deliveries after its position, and no others",
				"Deliveries/a paused consumer hands out nothing",
			},
			wrap: takes(func(ctx context.Context, b *memory.Backend, consumer string, t eventstore.Taking) ([]eventstore.Delivery, error) {
				list, err := b.Take(ctx, consumer, t)
				all, _ := b.Consumers(ctx)
				for _, c := range all {
					if len(list) == 0 {
						list, err = b.Take(ctx, c.Name, t)
					}
				}
				return list, err
			}),
		},
		{
			name:   "a backend that hands out what is paused",
			caught: "Deliveries/a paused consumer hands out nothing",
			says:   "a consumer is paused, and it hands out",
			wrap: takes(func(ctx context.Context, b *memory.Backend, consumer string, t eventstore.Taking) ([]eventstore.Delivery, error) {
				if r, _ := b.Roster(ctx, consumer); r.Paused {
					_ = b.Pause(ctx, consumer, false)
					defer func() { _ = b.Pause(ctx, consumer, true) }()
				}
				return b.Take(ctx, consumer, t)
			}),
		},
		{
			name:   "a backend that takes ahead whatever there is",
			caught: "Deliveries/what was handed out before is not taken ahead",
			says:   "beyond the limit",
			wrap: takes(func(ctx context.Context, b *memory.Backend, consumer string, t eventstore.Taking) ([]eventstore.Delivery, error) {
				t.Limit, t.Ahead = t.Limit+t.Ahead, 0
				return b.Take(ctx, consumer, t)
			}),
		},
		{
			name:   "a backend that takes nothing ahead",
			caught: "Deliveries/what was never handed out is taken ahead",
			says:   "and three ahead",
			also:   []string{"Deliveries/what was handed out before is not taken ahead"},
			wrap: takes(func(ctx context.Context, b *memory.Backend, consumer string, t eventstore.Taking) ([]eventstore.Delivery, error) {
				t.Ahead = 0
				return b.Take(ctx, consumer, t)
			}),
		},
		{
			name:   "a backend that hands out to whoever knows a former definition",
			caught: "Deliveries/a consumer of another generation hands out nothing",
			says:   "the consumer is of generation",
			wrap: takes(func(ctx context.Context, b *memory.Backend, consumer string, t eventstore.Taking) ([]eventstore.Delivery, error) {
				t.Generation = 0
				return b.Take(ctx, consumer, t)
			}),
		},
		{
			name:   "a backend that delivers again what is in the window",
			caught: "Deliveries/to deliver what is in the window again changes nothing",
			says:   "1 deliveries of taken are not done; its window counts 2",
			wrap: func(b *memory.Backend) eventstore.Backend {
				return &deliveringTwice{Backend: b, ids: map[uuid.UUID]bool{}}
			},
		},
		{
			name:   "a backend that forgets whose event a delivery is",
			caught: "Deliveries/what was delivered is handed out as it was given",
			says:   "handed out was",
			also:   []string{"Deliveries/to deliver what is in the window again changes nothing"},
			wrap:   takenAs(func(d *eventstore.Delivery) { d.Event = uuid.Nil }),
		},
		{
			name:   "a backend that hands out a hundred at most",
			caught: "Limits/a full window is delivered, handed out and settled at once",
			says:   "handed out were 100",
			wrap: takes(func(ctx context.Context, b *memory.Backend, consumer string, t eventstore.Taking) ([]eventstore.Delivery, error) {
				t.Limit = min(t.Limit, 100)
				return b.Take(ctx, consumer, t)
			}),
		},
		{
			name:   "a backend that writes deliveries behind checkpoints",
			caught: "Atomicity/deliveries and checkpoints appear together",
			says:   "while",
			racy:   true,
			wrap: commits(func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
				if len(c.Deliveries) == 0 || c.Deliveries[0].Consumer != "stepping" {
					return commitOne(ctx, b, c)
				}
				late := eventstore.Commit{Deliveries: c.Deliveries}
				c.Deliveries = nil
				r, err := commitOne(ctx, b, c)
				time.Sleep(50 * time.Microsecond)
				_, _ = commitOne(ctx, b, late)
				return r, err
			}),
		},
	}...)
}
