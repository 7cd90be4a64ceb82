package redis

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/redis/go-redis/v9"
)

// news hears of what other processes do: one connection for all who wait in this one reads the log and the stream of beats, and blocks
// while there is nothing new. It is only a help: what gets lost is found by looking.
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

// hear wakes whoever waits, on a connection of its own, and on another one when that is lost.
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
	var before latest
	for n.ctx.Err() == nil {
		now, more, err := n.attend(conn)
		if err != nil {
			return true
		}
		if more && now == before { // of which the pulse does not tell: a part of the log is missing
			pause(n.ctx, mostPause)
		}
		before = now
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

// latest is what is known of the log: its head, and the last beat.
type latest struct {
	head eventstore.Position
	beat string
}

// attend wakes whoever waits for what has come, and waits for more, for a while: for an event behind the head, or a beat behind the
// last one. It reports whether there is more. Each time it looks anew where these are: the log may have gone backwards, when a replica
// took over, and many events are one piece of news.
func (n *news) attend(conn *redis.Conn) (now latest, more bool, err error) {
	pipe := conn.Pipeline()
	pulse, beats := n.b.lastPulse(n.ctx, pipe), pipe.XRevRangeN(n.ctx, n.b.key("beats"), "+", "-", 1)
	_, _ = pipe.Exec(n.ctx)
	p, err := pulseOf(pulse)
	if err == nil {
		err = beats.Err()
	}
	if err != nil {
		return now, false, err
	}
	now = latest{p.Head, "0"}
	for _, beat := range beats.Val() {
		now.beat = beat.ID
	}
	n.heard.Store(true)
	n.b.wake.Fire()
	err = conn.XRead(n.ctx, &redis.XReadArgs{
		Streams: []string{n.b.key("log"), n.b.key("beats"), place(now.head), now.beat}, Count: 1, Block: blocking,
	}).Err()
	if errors.Is(err, redis.Nil) {
		return now, false, nil
	}
	return now, err == nil, err
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
