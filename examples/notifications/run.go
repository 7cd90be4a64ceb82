package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/notifications/gateway"
	"github.com/necrostack/necrostack/examples/notifications/input"
	"github.com/necrostack/necrostack/examples/notifications/notification"
	"github.com/necrostack/necrostack/examples/notifications/report"
	"github.com/necrostack/necrostack/spine"
)

// job is what a run is given.
type job struct {
	source   string // of the rows
	rows     []input.Row
	contacts notification.Contacts
	outside  gateways
	rejected []string // rows that did not become requests or contacts
	logger   *slog.Logger
}

// gateways is where messages go.
type gateways struct{ email, sms, push Gateway }

func inMemory() gateways {
	return gateways{email: &gateway.Mailer{}, sms: gateway.NewSMS(input.BlockedPhones()...), push: &gateway.Push{}}
}

// open opens the store of a run.
func open() *eventstore.Store { return memory.Open(memory.Config{}) }

// run sends requests out, from a store of its own, and sums up what became of them.
func run(ctx context.Context, j job) (sum report.Summary, err error) {
	store := open()
	defer func() { err = errors.Join(err, store.Close()) }()
	return notify(ctx, store, j)
}

// notify sends requests out and sums up what became of them. On a store that knows a request already, nothing of it goes out again.
func notify(ctx context.Context, store *eventstore.Store, j job) (sum report.Summary, err error) {
	sum.Source, sum.Rejected = j.source, j.rejected
	sp, err := spine.New(store, spine.Config{Logger: j.logger, MaxSteps: -1},
		validator(j.contacts), router, email(j.outside.email), sms(j.outside.sms), push(j.outside.push), audit)
	if err != nil {
		return sum, err
	}
	if err := submit(ctx, sp, j.rows); err != nil {
		return sum, err
	}
	if _, err := sp.Drain(ctx); err != nil {
		return sum, err
	}
	err = tally(ctx, store, j.rows, &sum)
	return sum, err
}

// submit puts the requests into the log, each in a stream and a commit of its own: one that is there already is recognised by its
// event's id.
func submit(ctx context.Context, sp *spine.Spine, rows []input.Row) error {
	for _, r := range rows {
		to := eventstore.StreamOf("notification", r.Request.RequestID)
		if _, err := sp.Emit(ctx, eventstore.Draft{ID: r.ID, Stream: to, Payload: r.Request}); err != nil {
			return fmt.Errorf("submit %s: %w", r.Place, err)
		}
	}
	return nil
}
