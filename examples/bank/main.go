// Command bank keeps accounts on an event-sourced core.
//
// An aggregate decides what may happen to an account. Two read models follow: a view with a row for each account, of which a
// transfer changes two, and a statement with a line for each movement, which SQL handlers keep in a table of the bank's own
// if the log is in PostgreSQL, and which is a second view in memory and in Redis. The program makes up some history, serves a
// few customers, and reports: the richest accounts, what a customer reads right after writing, accounts as they were, and
// whether the books balance. With -rebuild it makes the read models anew and compares them with the old.
//
// The exit code is 0 if all is fine, 1 if the run failed or the books do not balance, 2 for wrong usage or a store that cannot
// be opened.
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

// command is the whole command. A Spine and a rebuild may write diagnostics at the same time, as one may to a file.
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
	if err := errors.Join(run(ctx, store, o, out, diagnostics), store.Close()); err != nil {
		complain(diagnostics, err)
		return failed
	}
	return fine
}

// complain writes an error, a line for each of its faults.
func complain(diagnostics io.Writer, err error) {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintln(diagnostics, "bank:", strings.TrimSuffix(line, "\n"))
	}
}
