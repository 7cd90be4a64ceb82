package redis

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/redis/go-redis/v9"
)

// Commit implements eventstore.Backend: a batch is one script.
//
// It goes out from where the caller waits, for the way to another goroutine and back takes longer than some scripts. Since go-redis
// waits for an answer whatever becomes of ctx, the connection is cut when that ends. Where it cannot be known or cut, as with TLS or
// in a cluster, another goroutine makes the commit after all, and is left alone with it.
func (b *Backend) Commit(ctx context.Context, commits []eventstore.Commit) ([]eventstore.Outcome, error) {
	if ctx.Done() == nil {
		return b.commit(ctx, commits)
	}
	if b.mayCut() {
		if e := (&errand{}); b.errand.CompareAndSwap(nil, e) {
			stop := context.AfterFunc(ctx, e.giveUp)
			outcomes, err := b.commit(ctx, commits)
			stop()
			e.end()
			b.errand.Store(nil)
			if errors.Is(err, eventstore.ErrOutcomeUnknown) && ctx.Err() != nil {
				err = lost{context.Cause(ctx)}
			}
			return outcomes, err
		}
	}
	type made struct {
		outcomes []eventstore.Outcome
		err      error
	}
	done, own := make(chan made, 1), slices.Clone(commits)
	b.abandoned.Go(func() {
		outcomes, err := b.commit(ctx, own)
		done <- made{outcomes, err}
	})
	select {
	case m := <-done:
		return m.outcomes, m.err
	case <-ctx.Done():
		return nil, lost{context.Cause(ctx)}
	}
}

// Prompt implements eventstore.Prompt.
func (b *Backend) Prompt() {}

// mayCut reports whether a commit goes by a connection that is there and can be cut, and has nothing to ask before.
func (b *Backend) mayCut() bool {
	c, ok := b.client.(*redis.Client)
	return ok && b.owned && !b.clustered && c.Options().TLSConfig == nil && b.cfg.WaitReplicas == 0 &&
		b.seen.checked.Load() == b.seen.dialled.Load() && c.PoolStats().IdleConns > 0
}

// errand is a commit that its caller may give up. There is one at a time, as a store commits one batch after the other.
type errand struct {
	mu   sync.Mutex
	over bool    // given up
	conn *tether // it is on its way by this one
}

// by says which connection it goes by.
func (e *errand) by(t *tether) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn = t; e.over {
		t.cut()
	}
}

func (e *errand) giveUp() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over = true; e.conn != nil {
		e.conn.cut()
	}
}

// end keeps the connection from being cut later on. One that was cut just after the answer came is of no use to anyone.
func (e *errand) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over && e.conn != nil {
		_ = e.conn.Close()
	}
	e.conn = nil
}

// tether is a connection by which an errand may go.
type tether struct {
	net.Conn
	errand *atomic.Pointer[errand]

	mu  sync.Mutex
	off bool
}

// committing is how a command begins that may be a commit.
var committing = [][]byte{
	[]byte(appendScript.alone.sha), []byte(appendManyScript.alone.sha), []byte(commitScript.alone.sha), []byte("\r\nEVAL\r\n"),
}

// within is how far into a command its script's name may be.
const within = 80

// Write implements net.Conn.
func (t *tether) Write(p []byte) (int, error) {
	if e := t.errand.Load(); e != nil {
		begin := p[:min(len(p), within)]
		if slices.ContainsFunc(committing, func(name []byte) bool { return bytes.Contains(begin, name) }) {
			e.by(t)
		}
	}
	return t.Conn.Write(p)
}

// SyscallConn implements syscall.Conn: go-redis looks whether the server has hung up.
func (t *tether) SyscallConn() (syscall.RawConn, error) {
	c, ok := t.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return c.SyscallConn()
}

// cut ends what is being read or written, and all that comes.
func (t *tether) cut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.off = true
	_ = t.Conn.SetDeadline(time.Unix(1, 0))
}

// deadline sets one, unless the connection is cut.
func (t *tether) deadline(at time.Time, set func(time.Time) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.off {
		at = time.Unix(1, 0)
	}
	return set(at)
}

// SetDeadline implements net.Conn.
func (t *tether) SetDeadline(at time.Time) error { return t.deadline(at, t.Conn.SetDeadline) }

// SetReadDeadline implements net.Conn.
func (t *tether) SetReadDeadline(at time.Time) error { return t.deadline(at, t.Conn.SetReadDeadline) }

// SetWriteDeadline implements net.Conn.
func (t *tether) SetWriteDeadline(at time.Time) error { return t.deadline(at, t.Conn.SetWriteDeadline) }
