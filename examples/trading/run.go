package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/trading/input"
	"github.com/necrostack/necrostack/examples/trading/market"
	"github.com/necrostack/necrostack/examples/trading/report"
	"github.com/necrostack/necrostack/spine"
)

// day is what a run is given.
type day struct {
	orders  []input.Numbered
	refused []input.Fault
	replay  bool // of a real day, whose executions are compared
	blocked []string
	logger  *slog.Logger
}

// run sends a day through the market and sums it up.
func run(ctx context.Context, d day) (sum report.Summary, err error) {
	store := memory.Open(memory.Config{Store: eventstore.Config{MaxEvents: market.MaxEvents}})
	defer func() { err = errors.Join(err, store.Close()) }()
	sp, err := spine.New(store, spine.Config{Logger: d.logger, MaxSteps: -1},
		validator, engine, settlement(market.Block(d.blocked...)), risk(market.DefaultLimits()), audit)
	if err != nil {
		return sum, err
	}
	start := time.Now()
	if err := submit(ctx, sp, d.orders); err != nil {
		return sum, err
	}
	if _, err := sp.Drain(ctx); err != nil {
		return sum, err
	}
	sum.Elapsed = time.Since(start)
	for _, f := range d.refused {
		sum.Refused = append(sum.Refused, f.String())
	}
	sum.Counts.Emitted = sp.Stats().Emitted
	err = errors.Join(tally(ctx, store, d, &sum), books(ctx, store, &sum), parked(ctx, store, &sum))
	return sum, err
}

// submit puts the orders into the log, in their order.
func submit(ctx context.Context, sp *spine.Spine, orders []input.Numbered) error {
	const perCommit = 500
	for len(orders) > 0 {
		n := min(len(orders), perCommit)
		batch := make([]eventstore.Payload, n)
		for i, o := range orders[:n] {
			batch[i] = eventstore.In(intake, o.Order)
		}
		if _, err := sp.Emit(ctx, batch...); err != nil {
			return err
		}
		orders = orders[n:]
	}
	return nil
}

// tally counts what the log holds now.
func tally(ctx context.Context, store *eventstore.Store, d day, sum *report.Summary) error {
	var executions market.Executions
	for e, err := range store.Read(ctx, eventstore.All(), eventstore.Range{}) {
		if err != nil {
			return err
		}
		sum.Counts.Processed++
		p, err := payload(e)
		if err != nil {
			return err
		}
		sum.Count(p)
		switch p := p.(type) {
		case market.OrderSubmitted:
			executions.Submitted(p)
		case market.TradeExecuted:
			executions.Traded(p)
		}
	}
	if !d.replay {
		return nil
	}
	unmatched := executions.Unmatched()
	sum.Executions = &report.Executions{Matched: executions.Matched(), Unmatched: len(unmatched)}
	for _, o := range d.orders {
		for _, id := range unmatched {
			if o.Order.OrderID == id {
				sum.Executions.Lines = append(sum.Executions.Lines, o.Line)
			}
		}
	}
	return nil
}

// payload decodes the events that the report counts; others are nil.
func payload(e eventstore.Event) (market.Payload, error) {
	switch e.Type {
	case market.OrderSubmitted{}.EventType():
		return eventstore.Decode[market.OrderSubmitted](e)
	case market.OrderValidated{}.EventType():
		return eventstore.Decode[market.OrderValidated](e)
	case market.OrderRejected{}.EventType():
		return eventstore.Decode[market.OrderRejected](e)
	case market.OrderFilled{}.EventType():
		return eventstore.Decode[market.OrderFilled](e)
	case market.OrderPartialFill{}.EventType():
		return eventstore.Decode[market.OrderPartialFill](e)
	case market.OrderQueued{}.EventType():
		return eventstore.Decode[market.OrderQueued](e)
	case market.OrderCancelled{}.EventType():
		return eventstore.Decode[market.OrderCancelled](e)
	case market.TradeExecuted{}.EventType():
		return eventstore.Decode[market.TradeExecuted](e)
	case market.SettlementComplete{}.EventType():
		return eventstore.Decode[market.SettlementComplete](e)
	case market.RiskAlert{}.EventType():
		return eventstore.Decode[market.RiskAlert](e)
	}
	return nil, nil //nolint:nilnil // the report counts some types only
}

// books folds each symbol's book from its stream.
func books(ctx context.Context, store *eventstore.Store, sum *report.Summary) error {
	sum.Books = map[string]report.Book{}
	for _, symbol := range market.Symbols() {
		b, version, err := engine.Load(ctx, store, symbol)
		if err != nil {
			return err
		}
		if version > 0 {
			sum.Books[symbol] = report.BookOf(&b)
		}
	}
	return nil
}

// parked lists the events that were set aside.
func parked(ctx context.Context, store *eventstore.Store, sum *report.Summary) error {
	for p, err := range store.Parked(ctx, eventstore.ParkedFilter{}) {
		if err != nil {
			return err
		}
		var reasons []string
		for _, f := range p.Failures {
			reasons = append(reasons, f.Error)
		}
		at := eventstore.Range{After: p.Position - 1, UpTo: p.Position}
		for e, err := range store.Read(ctx, eventstore.All(), at) {
			if err != nil {
				return err
			}
			sum.Park(report.Parked{Organ: p.Consumer, Event: e.Type, Subject: p.Key, Reason: strings.Join(reasons, "; ")})
		}
	}
	return nil
}
