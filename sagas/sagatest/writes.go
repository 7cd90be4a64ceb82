package sagatest

import (
	"context"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// What follows a dead process writes no more.

// Define implements eventstore.Leaser.
func (p *process) Define(ctx context.Context, c eventstore.Consumer) (known eventstore.Consumer, err error) {
	err = p.alive(func() error { known, err = p.Backend.Define(ctx, c); return err })
	return known, err
}

// Redefine implements eventstore.Leaser.
func (p *process) Redefine(ctx context.Context, c eventstore.Consumer) (known eventstore.Consumer, err error) {
	err = p.alive(func() error { known, err = p.Backend.Redefine(ctx, c); return err })
	return known, err
}

// Renew implements eventstore.Leaser.
func (p *process) Renew(ctx context.Context, m eventstore.Member, ttl time.Duration) (all []eventstore.Roster, err error) {
	err = p.alive(func() error { all, err = p.Backend.Renew(ctx, m, ttl); return err })
	return all, err
}

// Claim implements eventstore.Leaser.
func (p *process) Claim(ctx context.Context, member, consumer string, generation int64, partitions []int) (all []eventstore.Lease, err error) {
	err = p.alive(func() error { all, err = p.Backend.Claim(ctx, member, consumer, generation, partitions); return err })
	return all, err
}

// Release implements eventstore.Leaser.
func (p *process) Release(ctx context.Context, member string, leases []eventstore.Lease) error {
	return p.alive(func() error { return p.Backend.Release(ctx, member, leases) })
}

// Leave implements eventstore.Leaser.
func (p *process) Leave(ctx context.Context, member string) error {
	return p.alive(func() error { return p.Backend.Leave(ctx, member) })
}

// Take implements eventstore.Deliverer.
func (p *process) Take(ctx context.Context, consumer string, t eventstore.Taking) (taken []eventstore.Delivery, err error) {
	err = p.alive(func() error { taken, err = p.Backend.Take(ctx, consumer, t); return err })
	return taken, err
}

// Save implements eventstore.Snapshotter.
func (p *process) Save(ctx context.Context, s eventstore.Snapshot) error {
	return p.alive(func() error { return p.Backend.Save(ctx, s) })
}

// DefineRows implements eventstore.RowKeeper.
func (p *process) DefineRows(ctx context.Context, set eventstore.RowSet) error {
	return p.alive(func() error { return p.Backend.DefineRows(ctx, set) })
}

// ServeRows implements eventstore.RowKeeper.
func (p *process) ServeRows(ctx context.Context, set eventstore.RowSet) error {
	return p.alive(func() error { return p.Backend.ServeRows(ctx, set) })
}

// DropRows implements eventstore.RowKeeper.
func (p *process) DropRows(ctx context.Context, set eventstore.RowSet) error {
	return p.alive(func() error { return p.Backend.DropRows(ctx, set) })
}

// Pause implements eventstore.Controller.
func (p *process) Pause(ctx context.Context, consumer string, paused bool) error {
	return p.alive(func() error { return p.Backend.Pause(ctx, consumer, paused) })
}

// Reset implements eventstore.Controller.
func (p *process) Reset(ctx context.Context, consumer string, to eventstore.Position) error {
	return p.alive(func() error { return p.Backend.Reset(ctx, consumer, to) })
}
