package main

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/notifications/input"
	"github.com/necrostack/necrostack/examples/notifications/report"
)

// outcome is how events make the report of a request.
var outcome = eventstore.Fold[report.Request]{
	eventstore.On((*report.Request).Asked),
	eventstore.On((*report.Request).Validated),
	eventstore.On((*report.Request).Refused),
	eventstore.On((*report.Request).Emailed),
	eventstore.On((*report.Request).Texted),
	eventstore.On((*report.Request).Pushed),
	eventstore.On((*report.Request).Done),
}

// tally looks up in the log what became of the rows' requests: a request's event has begun a conversation, and all that follows from it
// bears its id as the correlation.
func tally(ctx context.Context, store *eventstore.Store, rows []input.Row, sum *report.Summary) error {
	parked, err := setAside(ctx, store)
	if err != nil {
		return err
	}
	byID := make(map[uuid.UUID]*report.Request, len(rows))
	for _, r := range rows {
		q := &report.Request{Place: r.String(), User: r.Request.UserID}
		byID[r.ID] = q
		sum.Requests = append(sum.Requests, q)
	}
	for e, err := range store.Read(ctx, eventstore.All(), eventstore.Range{}) {
		if err != nil {
			return err
		}
		q, ours := byID[e.Metadata.Correlation]
		if !ours {
			continue
		}
		sum.Processed++
		if e.Metadata.Causation != uuid.Nil {
			sum.Emitted++
		}
		if err := outcome.Apply(q, e); err != nil && !errors.Is(err, eventstore.ErrUnknownType) {
			return err
		}
		for _, p := range parked[e.Position] {
			q.Parked = append(q.Parked, report.Parked{Organ: p.Consumer, Event: e.Type, Reason: reason(p)})
		}
	}
	return nil
}

// setAside lists the parked events by their positions.
func setAside(ctx context.Context, store *eventstore.Store) (map[eventstore.Position][]eventstore.Parked, error) {
	all := map[eventstore.Position][]eventstore.Parked{}
	for p, err := range store.Parked(ctx, eventstore.ParkedFilter{}) {
		if err != nil {
			return nil, err
		}
		all[p.Position] = append(all[p.Position], p)
	}
	return all, nil
}

// reason says why an event was parked.
func reason(p eventstore.Parked) string {
	if len(p.Failures) == 0 {
		return "waits behind an earlier event of " + p.Key
	}
	var last []string
	for _, f := range p.Failures {
		if len(last) == 0 || last[len(last)-1] != f.Error {
			last = append(last, f.Error)
		}
	}
	return strings.Join(last, "; then ")
}
