package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/necrostack/necrostack/examples/resume"
	"github.com/necrostack/necrostack/examples/travel/service"
	"github.com/necrostack/necrostack/examples/travel/trip"
)

var errFlags = errors.New("command line")

// options are the command line.
type options struct {
	store, trip             string
	fail, timeout, outage   list
	crashAt                 int
	patience                time.Duration
	json, mermaid, retry    bool
	serve, attached         bool
	service, listen         string
	elsewhere               list
	addresses               map[string]string // what elsewhere says, by service
	from, destination, card string
}

// list is a flag of several values, with commas between.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(text string) error {
	*l = append(*l, strings.Split(text, ",")...)
	return nil
}

const intro = `travel books a trip, or nothing: flight, hotel and car at once, then it charges the card, issues tickets and tells the
traveller. It prints what has happened to the trip, and what the services hold in the end.

With -store and a database it goes on where it was when it is started again, also after it was killed. With -serve the
services are processes of their own. To kill one of them, start it by -service, and tell the trip of it by -services:

  travel -service hotel -listen 127.0.0.1:8001 -store postgres://…
  travel -services hotel=http://127.0.0.1:8001 -store postgres://…

`

const codes = `
Steps are flight, hotel, car, charge, tickets and notify; all but tickets call a service of that name.
Exit codes: 0 the trip is booked, or undone; 1 it is stuck, or the run has failed; 2 wrong usage, or a store that cannot be opened.
`

func parse(args []string, diagnostics io.Writer) (o options, err error) {
	f := flag.NewFlagSet("travel", flag.ContinueOnError)
	f.SetOutput(diagnostics)
	f.StringVar(&o.store, "store", "memory:", resume.Usage)
	f.StringVar(&o.trip, "trip", "t1", "book the trip of this `id`; one that is in the log already goes on")
	f.StringVar(&o.from, "from", "BER", "where the trip begins")
	f.StringVar(&o.destination, "to", "LIS", "where it goes")
	f.StringVar(&o.card, "card", "4242", "what pays for it")
	f.Var(&o.fail, "fail", "have these `steps` refused, with commas between")
	f.Var(&o.timeout, "timeout", "have the first answers of these `services` come too late")
	f.Var(&o.outage, "outage", "have these `services` be away for the first calls")
	f.IntVar(&o.crashAt, "crash-at", 0, "crash when event `N` has been handled, before anything that comes of it is in the log:\nin memory another run goes on at once, with a database the process is killed, to be started again")
	f.DurationVar(&o.patience, "patience", 2*time.Second, "ask a service again after this time")
	f.BoolVar(&o.retry, "retry", false, "if the trip is stuck, have it try again")
	f.BoolVar(&o.json, "json", false, "print the trip's state and steps as one JSON object")
	f.BoolVar(&o.mermaid, "mermaid", false, "print diagrams of the saga and of what has happened, in Markdown for Mermaid")
	f.BoolVar(&o.serve, "serve", false, "have the services be processes of their own, which end with this one")
	f.Var(&o.elsewhere, "services", "services that run already, each as `name=http://host:port`, with commas between")
	f.StringVar(&o.service, "service", "", "be the service of this `name`, until the end")
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", "with -service: the `address` to listen at")
	f.BoolVar(&o.attached, "attached", false, "with -service: end with the standard input")
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
	err = o.check(f)
	return o, err
}

var tripIDs = regexp.MustCompile(`^[A-Za-z0-9._-]{1,60}$`)

// check finds what is wrong, and what does not go together, all at once.
func (o *options) check(f *flag.FlagSet) error {
	set := map[string]bool{}
	f.Visit(func(f *flag.Flag) { set[f.Name] = true })
	var errs []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	among := func(name string, values, known []string) {
		for _, v := range values {
			fault(!slices.Contains(known, v), "-%s is %q, not one of %s", name, v, strings.Join(known, " "))
		}
	}
	fault(f.NArg() > 0, "unexpected argument %q", f.Arg(0))
	fault(!tripIDs.MatchString(o.trip), "-trip is %q, not 1 … 60 letters, digits, '.', '_' and '-'", o.trip)
	for name, text := range map[string]string{"from": o.from, "to": o.destination, "card": o.card} {
		fault(strings.TrimSpace(text) == "", "-%s is empty", name)
	}
	among("fail", o.fail, trip.Steps())
	among("timeout", o.timeout, service.Names())
	among("outage", o.outage, service.Names())
	fault(set["crash-at"] && o.crashAt < 1, "-crash-at is %d, not 1 or more", o.crashAt)
	fault(o.patience <= 0, "-patience is %s, not more than nothing", o.patience)
	fault(o.json && o.mermaid, "-json and -mermaid do not go together")
	fault(o.serve && set["services"], "-serve and -services do not go together")
	if set["service"] {
		among("service", []string{o.service}, service.Names())
		for _, name := range []string{"trip", "from", "to", "card", "crash-at", "patience", "retry", "json", "mermaid", "serve", "services"} {
			fault(set[name], "-%s and -service do not go together", name)
		}
	}
	fault(set["listen"] && !set["service"], "-listen needs -service")
	fault(o.attached && !set["service"], "-attached needs -service")
	errs = append(errs, o.locate()...)
	return errors.Join(errs...)
}

// locate reads -services.
func (o *options) locate() (errs []error) {
	o.addresses = map[string]string{}
	for _, text := range o.elsewhere {
		name, address, _ := strings.Cut(text, "=")
		at, err := url.Parse(address)
		switch {
		case !slices.Contains(service.Names(), name):
			errs = append(errs, fmt.Errorf("-services names %q, not one of %s", name, strings.Join(service.Names(), " ")))
		case err != nil || at.Scheme != "http" || at.Host == "":
			errs = append(errs, fmt.Errorf("-services has %q at %q, not at http://host:port", name, address))
		case o.addresses[name] != "":
			errs = append(errs, fmt.Errorf("-services names %q twice", name))
		case slices.Contains(slices.Concat(o.fail, o.timeout, o.outage), name):
			errs = append(errs, fmt.Errorf("%s runs elsewhere: start it there with -fail, -timeout or -outage", name))
		}
		o.addresses[name] = strings.TrimSuffix(address, "/")
	}
	return errs
}

// faults are those of a service.
func (o *options) faults(name string) service.Faults {
	return service.Faults{
		Refuses: slices.Contains(o.fail, name), Late: slices.Contains(o.timeout, name), Away: slices.Contains(o.outage, name),
	}
}
