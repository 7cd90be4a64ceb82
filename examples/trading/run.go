package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/resume"
	"github.com/necrostack/necrostack/examples/trading/input"
	"github.com/necrostack/necrostack/examples/trading/market"
	"github.com/necrostack/necrostack/examples/trading/report"
	"github.com/necrostack/necrostack/spine"
)

// day is what a run is given.
type day struct {
	orders      []input.Numbered
	refused     []input.Fault
	replay      bool // of a real day, whose executions are compared
	blocked     []string
	logger      *slog.Logger
	diagnostics io.Writer
}

// outcome is what a run comes to.
type outcome struct {
	report.Summary

	orders int // of the input
	known  int // of them, those that were in the log before
}

// run sends a day through the market and sums up how the market stands then. If the store knows of it already, whole or in part, it goes
// on from there.
func run(ctx context.Context, store *eventstore.Store, d day) (out outcome, err error) {
	out.orders = len(d.orders)
	for _, f := range d.refused {
		out.Refused = append(out.Refused, f.String())
	}
	cfg := spine.Config{
		Logger: d.logger, Observers: []spine.Observer{resume.NewOutage(d.diagnostics, "trading")}, MaxSteps: -1, Lease: resume.Lease,
	}
	sp, err := spine.New(store, cfg, validator, engine, settlement(market.Block(d.blocked...)), risk(market.DefaultLimits()), audit)
	if err != nil {
		return out, err
	}
	before, err := store.Head(ctx)
	if err != nil {
		return out, err
	}
	start := time.Now()
	if out.known, err = resume.Submit(ctx, sp, eventstore.InStream(intake), drafts(d.orders)); err != nil {
		return out, err
	}
	if err := resume.Drain(ctx, sp); err != nil {
		return out, err
	}
	out.Elapsed = time.Since(start)
	err = errors.Join(tally(ctx, store, d, before, &out.Summary), books(ctx, store, &out.Summary), parked(ctx, store, &out.Summary))
	return out, err
}

func drafts(orders []input.Numbered) []eventstore.Draft {
	out := make([]eventstore.Draft, len(orders))
	for i, o := range orders {
		out[i] = eventstore.Draft{ID: o.ID, Stream: intake, Payload: o.Order}
	}
	return out
}
