package redis

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/redis/go-redis/v9"
)

// How often Wait looks for what other processes have done: ever less often while nothing happens. Where this process hears of
// it, it looks only in case that it has missed something.
const (
	leastPause = 5 * time.Millisecond
	mostPause  = 100 * time.Millisecond
	heardPause = time.Second
)

// Wait implements eventstore.Waker: at once for what this process does, and as soon as the server has told of it for what others
// do, or it looks again.
func (b *Backend) Wait(ctx context.Context, seen eventstore.Pulse) (eventstore.Pulse, error) {
	b.news.listen()
	for pause := leastPause; ; pause = min(pause*2, mostPause) {
		woken := b.wake.Wait()
		now, err := b.pulse(ctx)
		if ctx.Err() != nil {
			return seen, nil //nolint:nilerr // the caller has gone, and a Waker returns without an error then
		}
		if err != nil || now != seen {
			return now, classify(err)
		}
		if b.news.heard.Load() {
			pause = heardPause
		}
		t := time.NewTimer(pause)
		select {
		case <-woken:
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return now, nil
		}
		t.Stop()
	}
}

func (b *Backend) pulse(ctx context.Context) (eventstore.Pulse, error) {
	if err := b.sure(ctx); err != nil {
		return eventstore.Pulse{}, err
	}
	p, err := pulseOf(b.lastPulse(ctx, b.client))
	if err == nil {
		err = b.sure(ctx)
	}
	return p, err
}

// lastPulse asks for the pulse.
func (b *Backend) lastPulse(ctx context.Context, c redis.Cmdable) *redis.StringCmd {
	return c.Get(ctx, b.key("pulse"))
}

// pulseOf reads the pulse: see lua/base.lua.
func pulseOf(cmd *redis.StringCmd) (p eventstore.Pulse, err error) {
	text, err := cmd.Result()
	if errors.Is(err, redis.Nil) { // nothing has happened yet
		return p, nil
	}
	if err != nil {
		return p, err
	}
	f := strings.Split(text, " ")
	var r reader
	if len(f) != 4 {
		r.fail(text, "a pulse")
		return p, r.err
	}
	p.Head, p.Roster, p.Window = r.position(f[0]), r.int(f[2]), r.int(f[3])
	return p, r.err
}
