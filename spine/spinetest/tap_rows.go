package spinetest

import (
	"context"
	"errors"
	"iter"

	"github.com/necrostack/necrostack/eventstore"
)

// DefineRows implements eventstore.RowKeeper.
func (p *Tap) DefineRows(ctx context.Context, set eventstore.RowSet) error {
	if err := p.call(ctx); err != nil {
		return err
	}
	return p.to.DefineRows(ctx, set)
}

// LoadRows implements eventstore.RowKeeper.
func (p *Tap) LoadRows(ctx context.Context, set eventstore.RowSet, keys []string) ([]eventstore.Row, error) {
	if err := p.call(ctx); err != nil {
		return nil, err
	}
	return p.to.LoadRows(ctx, set, keys)
}

// WriteRows implements eventstore.RowKeeper. Its commits count as those of the log.
func (p *Tap) WriteRows(set eventstore.RowSet, rows []eventstore.Row) eventstore.Pending {
	return tapped{p, p.to.WriteRows(set, rows)}
}

type tapped struct {
	tap *Tap
	to  eventstore.Pending
}

// Join implements eventstore.Joiner.
func (t tapped) Join(other eventstore.Pending) (eventstore.Pending, bool) {
	o, ok := other.(tapped)
	both, joins := t.to.(eventstore.Joiner)
	if !ok || !joins || o.tap != t.tap {
		return nil, false
	}
	to, ok := both.Join(o.to)
	return tapped{t.tap, to}, ok
}

// Commit implements eventstore.Pending. After Cut the outcome is unknown to the caller.
func (t tapped) Commit(ctx context.Context, c eventstore.Commit) (r eventstore.Result, err error) {
	t.tap.Writes.Add(1)
	if err := t.tap.call(ctx); err != nil {
		return r, errors.Join(eventstore.ErrOutcomeUnknown, err)
	}
	if t.tap.OnCommit == nil {
		return t.to.Commit(ctx, c)
	}
	outcomes, err := t.tap.OnCommit([]eventstore.Commit{c}, func() ([]eventstore.Outcome, error) {
		r, err := t.to.Commit(ctx, c)
		if errors.Is(err, eventstore.ErrOutcomeUnknown) {
			return nil, err
		}
		return []eventstore.Outcome{{Result: r, Err: err}}, nil
	})
	if err != nil {
		return r, err
	}
	return outcomes[0].Result, outcomes[0].Err
}

// ListRows implements eventstore.RowKeeper.
func (p *Tap) ListRows(ctx context.Context, set eventstore.RowSet, q eventstore.RowQuery) iter.Seq2[eventstore.Row, error] {
	return func(yield func(eventstore.Row, error) bool) {
		if err := p.call(ctx); err != nil {
			yield(eventstore.Row{}, err)
			return
		}
		p.to.ListRows(ctx, set, q)(yield)
	}
}

// CountRows implements eventstore.RowKeeper.
func (p *Tap) CountRows(ctx context.Context, set eventstore.RowSet, where []eventstore.RowFilter) (int64, error) {
	if err := p.call(ctx); err != nil {
		return 0, err
	}
	return p.to.CountRows(ctx, set, where)
}

// DumpRows implements eventstore.RowKeeper.
func (p *Tap) DumpRows(ctx context.Context, set eventstore.RowSet, keep func(key string) bool) (eventstore.RowDump, error) {
	if err := p.call(ctx); err != nil {
		return eventstore.RowDump{}, err
	}
	return p.to.DumpRows(ctx, set, keep)
}

// ServeRows implements eventstore.RowKeeper.
func (p *Tap) ServeRows(ctx context.Context, set eventstore.RowSet) error {
	if err := p.call(ctx); err != nil {
		return err
	}
	return p.to.ServeRows(ctx, set)
}

// RowVersions implements eventstore.RowKeeper.
func (p *Tap) RowVersions(ctx context.Context, view string) ([]eventstore.RowVersion, error) {
	if err := p.call(ctx); err != nil {
		return nil, err
	}
	return p.to.RowVersions(ctx, view)
}

// DropRows implements eventstore.RowKeeper.
func (p *Tap) DropRows(ctx context.Context, set eventstore.RowSet) error {
	if err := p.call(ctx); err != nil {
		return err
	}
	return p.to.DropRows(ctx, set)
}
