// Command notifications sends notifications by e-mail, SMS and push, on an event-sourced core.
//
// Requests are validated, split by channel, sent by one organ for each channel, and watched by another until all of their channels have
// delivered. Without flags it runs five built-in requests, of which one SMS ends up parked; with -file it reads requests from a CSV or
// JSON file, and with -contacts the people they are for. Its gateways are in memory: nothing leaves the process. With -store the log
// is in a database, and the next run goes on where the last one stopped. With -work and -organs several processes share the work.
//
// The exit code is 0 if all is fine, also with messages parked; 1 if some of the input was rejected or has failed, or the run did; 2 for
// wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/necrostack/necrostack/backends"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/notifications/notification"
	"github.com/necrostack/necrostack/examples/notifications/report"
	"github.com/necrostack/necrostack/examples/resume"
)

func main() {
	resume.Hush()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit codes.
const (
	fine   = 0
	failed = 1 // some of the input, or the run
	usage  = 2
)

// command is the whole command.
func command(ctx context.Context, args []string, out, diagnostics io.Writer) int {
	o, err := parse(args, diagnostics)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return fine
	case errors.Is(err, errFlags):
		return usage // package flag has said what is wrong
	case err != nil:
		complain(diagnostics, err)
		return usage
	}
	j, err := o.load()
	if err != nil {
		complain(diagnostics, err)
		if _, ok := errors.AsType[*os.PathError](err); ok {
			return usage
		}
		return failed
	}
	j.diagnostics, j.logger = diagnostics, slog.New(slog.DiscardHandler)
	if o.verbose {
		j.logger = slog.New(slog.NewJSONHandler(diagnostics, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	store, err := backends.Open(ctx, o.store, eventstore.Config{})
	if err != nil {
		complain(diagnostics, fmt.Errorf("-store: %w", err))
		if errors.Is(err, eventstore.ErrInvalid) {
			return usage
		}
		return failed
	}
	if o.toWork {
		return tell(diagnostics, report.Summary{Rejected: j.rejected}, 0, errors.Join(o.work(ctx, store, j, out), store.Close()))
	}
	o.equip(&j.outside, func(notification.Channel, notification.Message) {})
	sum, err := notify(ctx, store, j)
	if err == nil {
		err = o.write(out, sum)
	}
	return tell(diagnostics, sum, len(j.rows), errors.Join(err, store.Close()))
}

// tell says what else there is to say of a run, and returns its exit code.
func tell(diagnostics io.Writer, sum report.Summary, requests int, err error) int {
	problems := sum.Problems()
	for _, text := range problems {
		fmt.Fprintln(diagnostics, text)
	}
	if sum.Known > 0 {
		fmt.Fprintf(diagnostics, "known: %d of %d requests were in the log already\n", sum.Known, requests)
	}
	if err != nil {
		complain(diagnostics, err)
	}
	if err != nil || len(problems) > 0 {
		return failed
	}
	return fine
}

// complain writes an error, a line for each of its faults.
func complain(diagnostics io.Writer, err error) {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintln(diagnostics, "notifications:", strings.TrimSuffix(line, "\n"))
	}
}

func (o *options) write(out io.Writer, sum report.Summary) error {
	switch {
	case o.json:
		return report.JSON(out, sum)
	case o.quiet:
		return report.Totals(out, sum)
	default:
		return report.Text(out, sum)
	}
}
