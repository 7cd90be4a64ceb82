package redis

import (
	"context"
	"strings"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/redis/go-redis/v9"
)

// sweeping is how often a process looks for workers of a consumer that have departed.
const sweeping = time.Minute

// Take implements eventstore.Deliverer.
func (b *Backend) Take(ctx context.Context, consumer string, t eventstore.Taking) (taken []eventstore.Delivery, err error) {
	reply, err := b.run(ctx, takeScript, consumer, t.Limit, t.Ahead, t.Visibility.Microseconds(), t.Generation, b.worker, b.sweep(consumer))
	if err != nil {
		return nil, classify(err)
	}
	var r reader
	for i := 0; i < len(reply); i += 2 {
		taken = append(taken, r.delivery(consumer, r.item(reply, i), r.item(reply, i+1)))
	}
	return taken, r.err
}

// sweep reports whether it is time to look for workers of a consumer that have departed.
func (b *Backend) sweep(consumer string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if now.Sub(b.swept[consumer]) < sweeping {
		return false
	}
	b.swept[consumer] = now
	return true
}

// delivery reads a line "attempt held entry due position event", and a line of each failure.
func (r *reader) delivery(consumer string, id, record any) eventstore.Delivery {
	line, failures, _ := strings.Cut(r.text(record), "\n")
	f := strings.Fields(line)
	if len(f) != 6 {
		r.fail(record, "a delivery")
		return eventstore.Delivery{}
	}
	return eventstore.Delivery{
		ID: r.uuid(id), Consumer: consumer, Attempt: int(r.int(f[0])), Position: r.position(f[4]), Event: r.uuid(f[5]), Failures: r.failures(failures),
	}
}

// Window implements eventstore.Deliverer.
func (b *Backend) Window(ctx context.Context, consumer string) (outstanding int, next time.Time, err error) {
	reply, err := b.run(ctx, windowScript, consumer)
	if err != nil {
		return 0, next, classify(err)
	}
	var r reader
	outstanding, next = int(r.int(r.item(reply, 0))), r.time(r.item(reply, 1))
	return outstanding, next, r.err
}

// leaveGroups takes this process out of the groups of workers where nothing is in its hands. Others do it later if that fails.
func (b *Backend) leaveGroups() {
	b.mu.Lock()
	defer b.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for consumer := range b.swept { // those that something was taken from
		stream := b.key("w:" + consumer)
		mine, err := b.client.XPendingExt(ctx, &redis.XPendingExtArgs{
			Stream: stream, Group: "workers", Start: "-", End: "+", Count: 1, Consumer: b.worker,
		}).Result()
		if passing(err) || ctx.Err() != nil {
			return
		}
		if err == nil && len(mine) == 0 { // there may be no such group
			_ = b.client.XGroupDelConsumer(ctx, stream, "workers", b.worker).Err()
		}
	}
}
