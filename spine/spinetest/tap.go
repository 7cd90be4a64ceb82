package spinetest

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// Backend is a backend with everything that the Spine can use.
type Backend interface {
	eventstore.Backend
	eventstore.Waker
	eventstore.Leaser
	eventstore.Controller
	eventstore.Scheduler
	eventstore.Parker
	eventstore.Deliverer
	eventstore.Snapshotter
	eventstore.RowKeeper
}

// ErrCut is what a tap answers after Cut.
var ErrCut = errors.New("connection lost")

// Tap is a connection to a backend that a test can count and disturb. Its hooks are to be set before use.
type Tap struct {
	Calls  atomic.Int64 // of whatever method
	Reads  atomic.Int64
	Writes atomic.Int64 // batches
	Most   atomic.Int64 // bytes of payloads that one read has yielded

	// OnCommit, if not nil, stands between the store and the backend. write passes the batch on.
	OnCommit func(batch []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error)

	// OnCall, if not nil, is asked before each call that reaches the backend. An error of it is the call's.
	OnCall func() error

	// Slow is how long every read takes at least.
	Slow time.Duration

	to    Backend
	cut   atomic.Bool
	hang  atomic.Bool
	mu    sync.Mutex // of Most
	once  sync.Once
	ended sync.Once
	off   chan struct{} // closed by Cut and Hang
	end   chan struct{} // closed by Free
}

var _ Backend = (*Tap)(nil)

// NewTap makes a tap.
func NewTap(to Backend) *Tap { return &Tap{to: to, off: make(chan struct{}), end: make(chan struct{})} }

// Free ends the calls that hang, so that a store may be closed: it waits for commits under way.
func (p *Tap) Free() { p.ended.Do(func() { close(p.end) }) }

// Cut makes every call fail from now on, also those that only wait. Nothing reaches the backend any more.
func (p *Tap) Cut() {
	p.cut.Store(true)
	p.once.Do(func() { close(p.off) })
}

// Hang makes every call from now on block until its context ends.
func (p *Tap) Hang() {
	p.hang.Store(true)
	p.Cut()
}

// call counts a call and refuses it after Cut.
func (p *Tap) call(ctx context.Context) error {
	p.Calls.Add(1)
	switch {
	case p.cut.Load():
	case p.OnCall != nil:
		return p.OnCall()
	default:
		return nil
	}
	if p.hang.Load() {
		select {
		case <-ctx.Done():
		case <-p.end:
		}
	}
	return ErrCut
}

// Commit implements eventstore.Backend. After Cut the outcome is unknown to the caller.
func (p *Tap) Commit(ctx context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	p.Writes.Add(1)
	if err := p.call(ctx); err != nil {
		return nil, errors.Join(eventstore.ErrOutcomeUnknown, err)
	}
	write := func() ([]eventstore.Outcome, error) { return p.to.Commit(ctx, batch) }
	if p.OnCommit != nil {
		return p.OnCommit(batch, write)
	}
	return write()
}

// Read implements eventstore.Backend.
func (p *Tap) Read(ctx context.Context, q eventstore.Query, r eventstore.Range) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		if err := p.call(ctx); err != nil {
			yield(eventstore.Event{}, err)
			return
		}
		if !q.IsZero() {
			p.Reads.Add(1)
			time.Sleep(p.Slow)
		}
		size := int64(0)
		for e, err := range p.to.Read(ctx, q, r) {
			size += int64(len(e.Data))
			if !yield(e, err) {
				break
			}
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.Most.Store(max(p.Most.Load(), size))
	}
}

// Close implements eventstore.Backend.
func (p *Tap) Close() error { return p.to.Close() }

// Wait implements eventstore.Waker.
func (p *Tap) Wait(ctx context.Context, seen eventstore.Pulse) (eventstore.Pulse, error) {
	if err := p.call(ctx); err != nil {
		return seen, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-p.off:
			cancel()
		case <-stop:
		}
	}()
	return p.to.Wait(ctx, seen)
}

// Define implements eventstore.Leaser.
func (p *Tap) Define(ctx context.Context, c eventstore.Consumer) (eventstore.Consumer, error) {
	if err := p.call(ctx); err != nil {
		return c, err
	}
	return p.to.Define(ctx, c)
}

// Renew implements eventstore.Leaser.
func (p *Tap) Renew(ctx context.Context, m eventstore.Member, ttl time.Duration) ([]eventstore.Roster, error) {
	if err := p.call(ctx); err != nil {
		return nil, err
	}
	return p.to.Renew(ctx, m, ttl)
}

// Claim implements eventstore.Leaser.
func (p *Tap) Claim(ctx context.Context, member, consumer string, generation int64, partitions []int) ([]eventstore.Lease, error) {
	if err := p.call(ctx); err != nil {
		return nil, err
	}
	return p.to.Claim(ctx, member, consumer, generation, partitions)
}

// Redefine implements eventstore.Leaser.
func (p *Tap) Redefine(ctx context.Context, c eventstore.Consumer) (eventstore.Consumer, error) {
	if err := p.call(ctx); err != nil {
		return c, err
	}
	return p.to.Redefine(ctx, c)
}

// Consumers implements eventstore.Controller.
func (p *Tap) Consumers(ctx context.Context) ([]eventstore.Consumer, error) {
	if err := p.call(ctx); err != nil {
		return nil, err
	}
	return p.to.Consumers(ctx)
}

// Pause implements eventstore.Controller.
func (p *Tap) Pause(ctx context.Context, consumer string, paused bool) error {
	if err := p.call(ctx); err != nil {
		return err
	}
	return p.to.Pause(ctx, consumer, paused)
}

// Reset implements eventstore.Controller.
func (p *Tap) Reset(ctx context.Context, consumer string, to eventstore.Position) error {
	if err := p.call(ctx); err != nil {
		return err
	}
	return p.to.Reset(ctx, consumer, to)
}

// Take implements eventstore.Deliverer.
func (p *Tap) Take(ctx context.Context, consumer string, t eventstore.Taking) ([]eventstore.Delivery, error) {
	if err := p.call(ctx); err != nil {
		return nil, err
	}
	return p.to.Take(ctx, consumer, t)
}

// Window implements eventstore.Deliverer.
func (p *Tap) Window(ctx context.Context, consumer string) (int, time.Time, error) {
	if err := p.call(ctx); err != nil {
		return 0, time.Time{}, err
	}
	return p.to.Window(ctx, consumer)
}

// Save implements eventstore.Snapshotter.
func (p *Tap) Save(ctx context.Context, s eventstore.Snapshot) error {
	if err := p.call(ctx); err != nil {
		return err
	}
	return p.to.Save(ctx, s)
}

// Snapshot implements eventstore.Snapshotter.
func (p *Tap) Snapshot(ctx context.Context, fold string, stream eventstore.Stream) (eventstore.Snapshot, error) {
	if err := p.call(ctx); err != nil {
		return eventstore.Snapshot{}, err
	}
	return p.to.Snapshot(ctx, fold, stream)
}

// Release implements eventstore.Leaser.
func (p *Tap) Release(ctx context.Context, member string, leases []eventstore.Lease) error {
	if err := p.call(ctx); err != nil {
		return err
	}
	return p.to.Release(ctx, member, leases)
}

// Leave implements eventstore.Leaser.
func (p *Tap) Leave(ctx context.Context, member string) error {
	if err := p.call(ctx); err != nil {
		return err
	}
	return p.to.Leave(ctx, member)
}

// Roster implements eventstore.Leaser.
func (p *Tap) Roster(ctx context.Context, consumer string) (eventstore.Roster, error) {
	if err := p.call(ctx); err != nil {
		return eventstore.Roster{}, err
	}
	return p.to.Roster(ctx, consumer)
}

// Fire implements eventstore.Scheduler.
func (p *Tap) Fire(ctx context.Context, limit int) (int, time.Time, error) {
	if err := p.call(ctx); err != nil {
		return 0, time.Time{}, err
	}
	return p.to.Fire(ctx, limit)
}

// Scheduled implements eventstore.Scheduler.
func (p *Tap) Scheduled(ctx context.Context) iter.Seq2[eventstore.Schedule, error] {
	return p.to.Scheduled(ctx)
}

// Parked implements eventstore.Parker.
func (p *Tap) Parked(ctx context.Context, f eventstore.ParkedFilter) iter.Seq2[eventstore.Parked, error] {
	return func(yield func(eventstore.Parked, error) bool) {
		if err := p.call(ctx); err != nil {
			yield(eventstore.Parked{}, err)
			return
		}
		p.to.Parked(ctx, f)(yield)
	}
}
