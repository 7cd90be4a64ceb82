package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/resume"
	"github.com/necrostack/necrostack/examples/travel/trip"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

// agency is a run.
type agency struct {
	options

	saga        sagas.Saga[trip.Trip]
	diagnostics io.Writer
}

// book books the trip, or goes on with it, and reports.
func (o options) book(ctx context.Context, store *eventstore.Store, out, diagnostics io.Writer) (err error) {
	services, stop, err := o.open(ctx, store, diagnostics)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	calls := trip.Services{}
	for name, s := range services {
		calls[name] = s
	}
	a := &agency{o, trip.Saga(calls, o.patience), diagnostics}
	told, err := a.live(ctx, store, o.crashAt)
	if errors.Is(err, errCrashed) {
		// What the first life has written is all that the second one knows.
		store = eventstore.New(store.Backend(), eventstore.Config{})
		defer func() { err = errors.Join(err, store.Close()) }()
		told, err = a.live(ctx, store, 0)
	}
	if err != nil {
		return err
	}
	if err := a.report(ctx, store, services, told, out); err != nil {
		return err
	}
	if told.State.Stuck() {
		advice := ""
		if !inMemory(store) {
			advice = ": once that is repaired, start it again with -retry"
		}
		return fmt.Errorf("trip %s is %s, for %s%s", told.Instance, told.State, told.Reason, advice)
	}
	return nil
}

func inMemory(store *eventstore.Store) bool {
	_, is := store.Backend().(*memory.Backend)
	return is
}

// live runs the organs until the trip has come to its end, or can go no further by itself.
func (a *agency) live(ctx context.Context, store *eventstore.Store, crashAt int) (told sagas.Timeline, err error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	cfg := spine.Config{Logger: slog.New(slog.DiscardHandler), MaxSteps: -1, Lease: resume.Lease}
	if !inMemory(store) { // a log in memory only fails once it has crashed
		cfg.Observers = append(cfg.Observers, resume.NewOutage(a.diagnostics, "travel"))
	}
	crash := a.crashing(crashAt, store, end)
	cfg.Observers = append(cfg.Observers, crash)
	sp, err := spine.New(store, cfg, a.saga, trip.Issuer(!a.faults(trip.Tickets).Refuses), trip.Review(), trip.Letters())
	if err != nil {
		return told, err
	}
	if err = a.begin(ctx, sp); err == nil {
		told, err = a.toTheEnd(ctx, sp)
	}
	if cause := context.Cause(ctx); errors.Is(cause, errCrashed) {
		return told, cause
	}
	if seen := crash.seen.Load(); err == nil && seen < int64(crashAt) {
		fmt.Fprintf(a.diagnostics, "travel: it did not crash: only %d events were handled\n", seen)
	}
	return told, err
}

// begin puts the wish for the trip into the log, unless it is there. It has an id of its own, so it is the same wish however often
// the program is started.
func (a *agency) begin(ctx context.Context, sp *spine.Spine) error {
	head, err := sp.Store().Head(ctx)
	if err != nil {
		return err
	}
	id := uuid.NewSHA1(uuid.NameSpaceURL, []byte("necrostack/examples/travel/"+a.trip))
	r, err := sp.Send(ctx, spine.WithID(id, trip.BookTrip{Trip: a.trip, From: a.from, To: a.destination, Card: a.card}))
	if err != nil {
		return err
	}
	if r.Position <= head && a.crashAt == 0 {
		fmt.Fprintf(a.diagnostics, "known: trip %s was in the log already\n", a.trip)
	}
	if !a.retry {
		return nil
	}
	return a.saga.Instances(sp.Store()).Retry(ctx, a.trip, sagas.By{Who: "travel", Why: "started with -retry"})
}

// toTheEnd drives the trip, and waits for what it waits for.
func (a *agency) toTheEnd(ctx context.Context, sp *spine.Spine) (told sagas.Timeline, err error) {
	for {
		next, err := sp.Drain(ctx)
		if err != nil {
			return told, err
		}
		told, err = a.saga.Instances(sp.Store()).Show(ctx, a.trip)
		if err != nil || told.State.Ended() || told.State.Stuck() {
			return told, err
		}
		if next.IsZero() {
			return told, fmt.Errorf("trip %s is %s, and nothing is due", a.trip, told.State)
		}
		select {
		case <-time.After(time.Until(next)):
		case <-ctx.Done():
			return told, context.Cause(ctx)
		}
	}
}
