package main

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/necrostack/necrostack/examples/resume"
)

var errFlags = errors.New("command line")

// options are the command line.
type options struct {
	store          string
	generate, rate int
	rebuild        bool
}

const maxEvents = 1_000_000 // of -generate: they are all in memory at once

const intro = `bank keeps accounts: events on the command side, and read models beside them.

With -store and a database it can be started again: what is in the log already is recognised, and read models go on where
they stopped, also after the program was killed. With a larger -generate the log grows.

In PostgreSQL the statement is a table of the bank's own, bank_statement, which handlers in SQL keep in the transactions of
their checkpoints. In memory and in Redis there is no SQL: it is a second view there, with the same lines.

`

const codes = `
Exit codes: 0 fine, 1 the run has failed, or the books do not balance, 2 wrong usage, or a store that cannot be opened.
`

func parse(args []string, diagnostics io.Writer) (o options, err error) {
	f := flag.NewFlagSet("bank", flag.ContinueOnError)
	f.SetOutput(diagnostics)
	f.StringVar(&o.store, "store", "memory:", resume.Usage)
	f.IntVar(&o.generate, "generate", 1000, "begin with `N` made-up events, the same ones every time")
	f.BoolVar(&o.rebuild, "rebuild", false, "rebuild the read models, and compare them with what they were before")
	f.IntVar(&o.rate, "rate", 0, "with -rebuild: fold at most `N` events a second (default: as fast as it goes)")
	f.Usage = func() {} // after a wrong flag, help would hide what was wrong
	err = f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(diagnostics, intro)
		f.PrintDefaults()
		fmt.Fprint(diagnostics, codes)
		return o, err
	case err != nil:
		fmt.Fprintln(diagnostics, "-h lists the flags")
		return o, fmt.Errorf("%w: %w", errFlags, err)
	}
	set := map[string]bool{}
	f.Visit(func(f *flag.Flag) { set[f.Name] = true })
	var errs []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	fault(f.NArg() > 0, "unexpected argument %q", f.Arg(0))
	fault(o.generate < 1 || o.generate > maxEvents, "-generate is %d, not 1 … %d", o.generate, maxEvents)
	fault(set["rate"] && o.rate < 1, "-rate is %d, not 1 or more", o.rate)
	fault(set["rate"] && !o.rebuild, "-rate needs -rebuild")
	return o, errors.Join(errs...)
}
