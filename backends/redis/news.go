package redis

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// news hears of what other processes do: one connection for all who wait in this one reads the stream of pulses, and blocks while
// there is nothing new. It is only a help: what gets lost is found by looking.
type news struct {
	b     *Backend
	heard atomic.Bool // it reads, and will hear

	ctx    context.Context //nolint:containedctx // ends with the backend, which calls do not
	cancel context.CancelFunc
	begin  sync.Once
	ended  chan struct{} // closed when nobody listens any more

	mu   sync.Mutex
	node *redis.Client // the server that is listened to
	id   int64         // of the connection there
}

const (
	blocking = 2 * time.Second // how long the server waits before it says that there is nothing
	nudging  = 10 * time.Millisecond
)

func (n *news) init(b *Backend) {
	n.b, n.ended = b, make(chan struct{})
	n.ctx, n.cancel = context.WithCancel(context.Background())
}

// listen begins to listen, once.
func (n *news) listen() {
	n.begin.Do(func() {
		go func() {
			defer close(n.ended)
			n.hear()
		}()
	})
}

// close ends listening: the server is told to let the connection go, until it has. Whoever may not tell it waits until it does by
// itself.
func (n *news) close() {
	n.cancel()
	n.begin.Do(func() { close(n.ended) })
	tick := time.NewTicker(nudging)
	defer tick.Stop()
	for {
		n.nudge()
		select {
		case <-n.ended:
			return
		case <-tick.C:
		}
	}
}

func (n *news) nudge() {
	n.mu.Lock()
	node, id := n.node, n.id
	n.mu.Unlock()
	if node == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(n.ctx), time.Second)
	defer cancel()
	_ = node.ClientUnblock(ctx, id).Err() // else the block ends by itself
}

// hear wakes whoever waits at each pulse, on a connection of its own, and on another one when that is lost.
func (n *news) hear() {
	const least, most = 50 * time.Millisecond, 5 * time.Second
	for wait := least; n.ctx.Err() == nil; wait = min(2*wait, most) {
		if n.connect() {
			wait = least
		}
		pause(n.ctx, wait)
	}
}

// connect listens until the connection is lost, and reports whether it came so far.
func (n *news) connect() bool {
	node, err := n.master()
	if err != nil {
		return false
	}
	conn := node.Conn()
	defer func() { _ = conn.Close() }()
	id, err := conn.ClientID(n.ctx).Result()
	if err != nil {
		return false
	}
	n.mu.Lock()
	n.node, n.id = node, id
	n.mu.Unlock()
	defer func() {
		n.heard.Store(false)
		n.mu.Lock()
		n.node = nil
		n.mu.Unlock()
	}()
	for n.ctx.Err() == nil {
		last, err := n.last(conn)
		if err != nil {
			return true
		}
		n.heard.Store(true)
		n.b.wake.Fire() // also for what came before
		if !n.attend(conn, last) {
			return true
		}
	}
	return true
}

// master is the client of the server that has the log, if that is one.
func (n *news) master() (*redis.Client, error) {
	node, err := n.b.node(n.ctx)
	if err != nil {
		return nil, err
	}
	c, ok := node.(*redis.Client)
	if !ok {
		return nil, errNoNode
	}
	return c, nil
}

// last is the id of the last pulse.
func (n *news) last(conn *redis.Conn) (string, error) {
	list, err := n.b.lastPulse(n.ctx, conn).Result()
	if err != nil || len(list) == 0 {
		return "0", err
	}
	return list[0].ID, nil
}

// attend wakes whoever waits at each pulse behind one, until there is none for a while, and reports false if the connection is lost.
// Then it looks for the last one again: the log may have gone backwards, when a replica took over.
func (n *news) attend(conn *redis.Conn, last string) bool {
	for n.ctx.Err() == nil {
		streams, err := conn.XRead(n.ctx, &redis.XReadArgs{Streams: []string{n.b.key("pulse"), last}, Block: blocking}).Result()
		if err == redis.Nil { //nolint:errorlint // go-redis says so: there was nothing
			return true
		}
		if err != nil {
			return false
		}
		for _, s := range streams {
			for _, m := range s.Messages {
				last = m.ID
			}
		}
		n.b.wake.Fire()
	}
	return true
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
