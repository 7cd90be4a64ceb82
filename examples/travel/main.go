// Command travel books a trip, or nothing.
//
// A saga books flight, hotel and car at once, charges the card, has tickets issued and tells the traveller. What a refusal, a
// timeout, an outage or a crash does to that can be had on request: the program prints what has happened to the trip, what
// went forward and what was undone, and what the services hold in the end. A week later a process manager asks for a review.
//
// With -store the log is in a database, and a run that was killed is taken up where it stopped by starting it again. With
// -serve the services are processes of their own, that are called by HTTP.
//
// The exit code is 0 if the trip has come to its end, booked or not, 1 if it is stuck or the run failed, 2 for wrong usage or a
// store that cannot be opened.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/necrostack/necrostack/backends"
	"github.com/necrostack/necrostack/eventstore"
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
	failed = 1
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
	store, err := backends.Open(ctx, o.store, eventstore.Config{})
	if err != nil {
		complain(diagnostics, fmt.Errorf("-store: %w", err))
		return usage
	}
	if o.service != "" {
		err = o.serveOne(ctx, store, out)
	} else {
		err = o.book(ctx, store, out, diagnostics)
	}
	if err = errors.Join(err, store.Close()); err != nil {
		complain(diagnostics, err)
		return failed
	}
	return fine
}

// complain writes an error, a line for each of its faults.
func complain(diagnostics io.Writer, err error) {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintln(diagnostics, "travel:", strings.TrimSuffix(line, "\n"))
	}
}
