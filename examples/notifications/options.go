package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"

	"github.com/necrostack/necrostack/examples/notifications/input"
	"github.com/necrostack/necrostack/examples/resume"
)

var errFlags = errors.New("command line")

// options are the command line.
type options struct {
	store, file, contacts string
	json, quiet, verbose  bool
}

const intro = `notifications sends notifications by e-mail, SMS and push; nothing leaves the process.

With -store and a database it can be started again, on the same input or another: a request that is in the log already
is recognised, and nothing of it goes out twice; what a run has left undone when it was stopped or killed, the next one
does. The report is about the requests of this input, whichever run has served them.

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
		fault(f.Value.String() == "" && f.Name != "store", "-%s needs the name of a file", f.Name)
	})
	fault(f.NArg() > 0, "unexpected argument %q", f.Arg(0))
	fault(o.json && o.quiet, "-json and -quiet do not go together")
	return errors.Join(errs...)
}

// load reads the files, and reports all that are refused.
func (o *options) load() (j job, err error) {
	j = job{source: "sample", rows: input.Sample(), contacts: input.Contacts(), outside: inMemory()}
	var errs []error
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
