package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/resume"
	"github.com/necrostack/necrostack/spine"
)

// bank is a run.
type bank struct {
	store       *eventstore.Store
	statement   statement
	spine       spine.Config
	diagnostics io.Writer
	page        page
}

// run makes up history, serves customers, and reports. What a store knows already of that does not happen again.
func run(ctx context.Context, store *eventstore.Store, o options, out, diagnostics io.Writer) error {
	s, err := openStatement(ctx, store, o.store)
	if err != nil {
		return fmt.Errorf("-store: %w", err)
	}
	defer s.close()
	b := &bank{store: store, statement: s, diagnostics: diagnostics, spine: spine.Config{
		Logger: slog.New(slog.DiscardHandler), Observers: []spine.Observer{resume.NewOutage(diagnostics, "bank")},
		Lease: resume.Lease, Middleware: []spine.Middleware{receivers(store)},
	}}
	sp, err := spine.New(store, b.spine, accounts, balances, s.projection())
	if err != nil {
		return err
	}
	history := generated(o.generate)
	err = running(ctx, sp, func(ctx context.Context) error {
		known, err := resume.Submit(ctx, sp, eventstore.InCategory(category), history)
		if err != nil {
			return err
		}
		if known > 0 {
			fmt.Fprintf(diagnostics, "known: %d of %d events were in the log already\n", known, len(history))
		}
		if err := b.projected(ctx, sp); err != nil { // a view that has never run cannot be read
			return err
		}
		if err := b.serve(ctx, sp); err != nil {
			return err
		}
		return b.projected(ctx, sp)
	})
	if err == nil {
		err = b.report(ctx)
	}
	if err == nil && o.rebuild {
		err = b.page.flush(out) // a rebuild may take long
	}
	if err == nil && o.rebuild {
		err = b.rebuild(ctx, o.rate)
	}
	return errors.Join(err, b.page.flush(out))
}

// running has a Spine run while something is done, and returns when both have ended.
func running(ctx context.Context, sp *spine.Spine, do func(ctx context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- sp.Run(ctx)
		stop() // nothing comes of what is waited for
	}()
	done := do(ctx)
	stop()
	if err := <-ended; err != nil {
		return err // why the other was in vain
	}
	return done
}

// projected waits until the read models have done all that is in the log.
func (b *bank) projected(ctx context.Context, sp *spine.Spine) error {
	head, err := b.store.Head(ctx)
	for _, consumer := range []string{"balances_v1", "statement_v1"} {
		if err == nil {
			err = sp.WaitFor(ctx, consumer, head)
		}
	}
	return err
}
