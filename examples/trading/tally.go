package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/trading/input"
	"github.com/necrostack/necrostack/examples/trading/market"
	"github.com/necrostack/necrostack/examples/trading/report"
)

// counting is what a report makes of events.
type counting struct {
	*report.Summary

	executions market.Executions
}

// counted are the events that a report looks into.
var counted = eventstore.Fold[counting]{
	count[market.OrderValidated](),
	count[market.OrderRejected](),
	count[market.OrderFilled](),
	count[market.OrderPartialFill](),
	count[market.OrderQueued](),
	count[market.OrderCancelled](),
	eventstore.On(func(c *counting, t market.TradeExecuted) {
		c.Count(t)
		c.executions.Traded(t)
	}),
	count[market.SettlementComplete](),
	count[market.RiskAlert](),
}

func count[E market.Payload]() eventstore.Folder[counting] {
	return eventstore.On(func(c *counting, e E) { c.Count(e) })
}

// others are the events of which a report says only that they are there.
var others = []string{
	market.OrderSubmitted{}.EventType(), market.OrderReduced{}.EventType(), market.SettlementFailed{}.EventType(),
	market.ExposureChanged{}.EventType(), market.AuditRecorded{}.EventType(),
}

// tally counts what the log holds now, whichever run it comes from; only executions are those of this run's input. It remembers nothing
// of the log but that.
func tally(ctx context.Context, store *eventstore.Store, d day, before eventstore.Position, sum *report.Summary) error {
	c := counting{Summary: sum}
	for _, o := range d.orders {
		c.executions.Submitted(o.Order)
	}
	ours := eventstore.OfType(slices.Concat(counted.Types(), others)...) // a log may hold more than this market
	for e, err := range store.Read(ctx, ours, eventstore.Range{}) {
		if err != nil {
			return err
		}
		sum.Counts.Processed++
		if e.Metadata.Causation != uuid.Nil {
			sum.Counts.Emitted++
		}
		if e.Position > before {
			sum.Added++
		}
		if err := counted.Apply(&c, e); err != nil && !errors.Is(err, eventstore.ErrUnknownType) {
			return err
		}
	}
	if d.replay {
		sum.Executions = executions(&c.executions, d.orders)
	}
	return nil
}

func executions(x *market.Executions, orders []input.Numbered) *report.Executions {
	unmatched := map[string]bool{}
	for _, id := range x.Unmatched() {
		unmatched[id] = true
	}
	out := &report.Executions{Matched: x.Matched(), Unmatched: len(unmatched)}
	for _, o := range orders {
		if unmatched[o.Order.OrderID] {
			out.Lines = append(out.Lines, o.Line)
		}
	}
	return out
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

// parked counts the events that our organs have set aside, and lists the latest.
func parked(ctx context.Context, store *eventstore.Store, sum *report.Summary) error {
	organs := []string{validator.Name, engine.Category, settlement(market.Blocklist{}).Name, risk(market.Limits{}).Category, audit.Name}
	var all int64
	var latest []eventstore.Parked
	for p, err := range store.Parked(ctx, eventstore.ParkedFilter{}) {
		if err != nil {
			return err
		}
		if !slices.Contains(organs, p.Consumer) {
			continue
		}
		if all++; len(latest) == report.Listed {
			latest = slices.Delete(latest, 0, 1)
		}
		latest = append(latest, p)
	}
	for _, p := range latest {
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
	sum.Counts.Parked = all
	return nil
}
