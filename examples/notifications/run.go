package main

import (
	"context"
	"io"
	"log/slog"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/notifications/gateway"
	"github.com/necrostack/necrostack/examples/notifications/input"
	"github.com/necrostack/necrostack/examples/notifications/notification"
	"github.com/necrostack/necrostack/examples/notifications/report"
	"github.com/necrostack/necrostack/examples/resume"
	"github.com/necrostack/necrostack/spine"
)

// job is what a run is given.
type job struct {
	source      string // of the rows
	rows        []input.Row
	contacts    notification.Contacts
	outside     gateways
	organs      names    // that run in this process. Nil are all of them
	rejected    []string // rows that did not become requests or contacts
	logger      *slog.Logger
	diagnostics io.Writer
}

// gateways is where messages go.
type gateways struct{ email, sms, push Gateway }

func inMemory() gateways {
	return gateways{email: &gateway.Mailer{}, sms: gateway.NewSMS(input.BlockedPhones()...), push: &gateway.Push{}}
}

// notify sends requests out and sums up what became of them. On a store that knows a request already, nothing of it goes out again.
func notify(ctx context.Context, store *eventstore.Store, j job) (sum report.Summary, err error) {
	sum.Source, sum.Rejected = j.source, j.rejected
	sp, err := spine.New(store, j.config(), j.staff()...)
	if err != nil {
		return sum, err
	}
	sum.Known, err = resume.Submit(ctx, sp, eventstore.OfType(notification.Requested{}.EventType()), drafts(j.rows))
	if err != nil {
		return sum, err
	}
	if j.organs == nil {
		err = resume.Drain(ctx, sp)
	} else {
		err = j.await(ctx, sp)
	}
	if err != nil {
		return sum, err
	}
	err = tally(ctx, store, j.rows, &sum)
	return sum, err
}

// config is how organs run here, and who is told of it beside those who wait.
func (j *job) config(observers ...spine.Observer) spine.Config {
	observers = append(observers, resume.NewOutage(j.diagnostics, "notifications"))
	return spine.Config{Logger: j.logger, Observers: observers, MaxSteps: -1, Lease: resume.Lease}
}

// drafts puts each request into a stream of its own.
func drafts(rows []input.Row) []eventstore.Draft {
	out := make([]eventstore.Draft, len(rows))
	for i, r := range rows {
		out[i] = eventstore.Draft{ID: r.ID, Stream: eventstore.StreamOf("notification", r.Request.RequestID), Payload: r.Request}
	}
	return out
}
