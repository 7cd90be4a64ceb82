package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/necrostack/necrostack/examples/notifications/input"
	"github.com/necrostack/necrostack/examples/resume"
)

var errFlags = errors.New("command line")

// options are the command line.
type options struct {
	store, file, contacts string
	repeat                int
	organs                names
	toWork                bool
	outbox                string
	latency               time.Duration
	json, quiet, verbose  bool
}

const intro = `notifications sends notifications by e-mail, SMS and push; nothing leaves the process.

With -store and a database it can be started again, on the same input or another: a request that is in the log already
is recognised, and nothing of it goes out twice; what a run has left undone when it was stopped or killed, the next one
does. The report is about the requests of this input, whichever run has served them.

Several processes can share the work. With -work a process runs organs until it is interrupted, and tells what it sends.
Started twice, it shares each organ with the other; with -organs each runs its own. Kill one at any time: another takes over
what it had in hand, and nothing is lost, or sent twice. Where they run, -organs none only asks, and waits for the report:

  notifications -store redis://… -outbox out -latency 300ms -work     in two terminals
  notifications -store redis://… -organs none -repeat 20              in a third

`

const formats = `
Requests are CSV, with channels joined by "|":

  user_id,channels,message,priority
  user_001,email|sms,Your order is on its way.,normal

or JSON, by the file's name or its first character:

  {"notifications": [{"user_id": "user_001", "channels": ["email", "sms"],
                      "message": "Your order is on its way.", "priority": "normal"}]}

Channels are email, sms (up to 160 characters) and push (up to 256); priorities are low, normal (the default) and high.
Contacts are CSV, and an empty field means that the user has none:

  user_id,email,phone,device
  user_004,dan@example.com,+12025550104,

Exit codes: 0 fine (also with messages parked), 1 some of the input was rejected or has failed, 2 wrong usage.
`

func parse(args []string, diagnostics io.Writer) (o options, err error) {
	f := flag.NewFlagSet("notifications", flag.ContinueOnError)
	f.SetOutput(diagnostics)
	f.StringVar(&o.store, "store", "memory:", resume.Usage)
	f.StringVar(&o.file, "file", "", "read requests from this `file`, instead of the built-in sample")
	f.StringVar(&o.contacts, "contacts", "", "read contacts from this `file`, beside the built-in user_001, user_002 and user_003, or in their place")
	f.IntVar(&o.repeat, "repeat", 1, "ask for the built-in sample `N` times")
	f.BoolVar(&o.toWork, "work", false, "ask for nothing: run the organs until interrupted, and tell of every message")
	f.Var(&o.organs, "organs", "run only these `organs` here, with commas between, or none: others run in other processes (default "+strings.Join(allOrgans, ",")+")")
	f.StringVar(&o.outbox, "outbox", "", "have the gateways deliver into this `directory`, a file for each message, also those of other processes")
	f.DurationVar(&o.latency, "latency", 0, "have the gateways take this `time` for a message, at most 1s")
	f.BoolVar(&o.json, "json", false, "print the totals as one JSON object")
	f.BoolVar(&o.quiet, "quiet", false, "print the totals only")
	f.BoolVar(&o.verbose, "v", false, "log every step of every event to standard error")
	f.Usage = func() {} // after a wrong flag, help would hide what was wrong
	err = f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(diagnostics, intro)
		f.PrintDefaults()
		fmt.Fprint(diagnostics, formats)
		return o, err
	case err != nil:
		fmt.Fprintln(diagnostics, "-h lists the flags")
		return o, fmt.Errorf("%w: %w", errFlags, err)
	}
	err = o.check(f)
	return o, err
}

// check finds what does not go together.
func (o *options) check(f *flag.FlagSet) error {
	var errs []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	f.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "file", "contacts":
			fault(f.Value.String() == "", "-%s needs the name of a file", f.Name)
		case "outbox":
			fault(f.Value.String() == "", "-outbox needs the name of a directory")
		case "organs":
			fault(strings.HasPrefix(o.store, "memory:"), "-organs needs -store and a database, where other processes run the others")
		}
	})
	fault(f.NArg() > 0, "unexpected argument %q", f.Arg(0))
	fault(o.json && o.quiet, "-json and -quiet do not go together")
	fault(o.repeat < 1 || o.repeat > maxRepeat, "-repeat is %d, not 1 … %d", o.repeat, maxRepeat)
	fault(o.repeat > 1 && o.file != "", "-repeat and -file do not go together")
	fault(o.latency < 0 || o.latency > maxLatency, "-latency is %s, not 0s … %s", o.latency, maxLatency)
	for _, name := range o.organs {
		fault(!slices.Contains(allOrgans, name), "-organs has %q, which is not one of %s", name, strings.Join(allOrgans, " "))
	}
	if o.toWork {
		fault(strings.HasPrefix(o.store, "memory:"), "-work needs -store and a database, into which another process puts requests")
		fault(o.organs != nil && len(o.organs) == 0, "-work needs organs")
		fault(o.file != "" || o.repeat > 1 || o.json || o.quiet, "-work does not go with -file, -repeat, -json and -quiet: it asks for nothing, and reports nothing")
	}
	return errors.Join(errs...)
}

const (
	maxRepeat  = 10_000
	maxLatency = time.Second // a message has to be taken, and that to be in the log, before another process may send it
)

// names are those of organs. Nil are all of them.
type names []string

// String implements flag.Value.
func (n *names) String() string { return strings.Join(*n, ",") }

// Set implements flag.Value.
func (n *names) Set(text string) error {
	*n = names{}
	if text != "none" {
		*n = strings.Split(text, ",")
	}
	return nil
}

// load reads the files, and reports all that are refused.
func (o *options) load() (j job, err error) {
	j = job{source: "sample", rows: input.Samples(o.repeat), contacts: input.Contacts(), outside: inMemory(), organs: o.organs}
	var errs []error
	if o.outbox != "" {
		if err := os.MkdirAll(o.outbox, 0o755); err != nil { //nolint:gosec // to be looked into by anybody
			errs = append(errs, fmt.Errorf("-outbox: %w", err))
		}
	}
	if o.contacts != "" {
		errs = append(errs, read("contacts", o.contacts, &j.rejected, func(r io.Reader) ([]input.Fault, error) {
			others, faults, err := input.ReadContacts(r)
			maps.Copy(j.contacts, others)
			return faults, err
		}))
	}
	if o.file != "" {
		errs = append(errs, read("file", o.file, &j.rejected, func(r io.Reader) (faults []input.Fault, err error) {
			j.source = o.file
			j.rows, faults, err = input.Requests(o.file, r)
			return faults, err
		}))
	}
	return j, errors.Join(errs...)
}

// read reads the file that a flag names, and collects the faults of its rows.
func read(name, path string, rejected *[]string, parse func(io.Reader) ([]input.Fault, error)) (err error) {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("-%s: %w", name, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	faults, err := parse(file)
	if err != nil {
		return fmt.Errorf("-%s: %s: %w", name, path, err)
	}
	for _, f := range faults {
		*rejected = append(*rejected, path+": "+f.String())
	}
	return nil
}
