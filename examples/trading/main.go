// Command trading runs a day at a stock exchange on an event-sourced core.
//
// Orders are submitted, validated, matched by price-time priority, settled, watched for risk and kept in an
// audit trail, each by an organ of its own. Without flags it runs a built-in day that shows every outcome;
// with -orders it reads orders from a CSV or JSON file; with -format lobster it replays real NASDAQ order
// flow.
//
// With -store the log is in a database, and the market goes on from run to run: the next input meets the books
// that the last one has left, an order that is in the log already is recognised, and a run that was killed is
// taken up where it stopped by starting it again. The report is about the whole market, not the run.
//
// The exit code is 0 if all is fine, 1 if some of the input was refused or the run failed, 2 for wrong usage.
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
	"slices"
	"strings"
	"syscall"

	"github.com/necrostack/necrostack/backends"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/resume"
	"github.com/necrostack/necrostack/examples/trading/input"
	"github.com/necrostack/necrostack/examples/trading/market"
	"github.com/necrostack/necrostack/examples/trading/report"
)

func main() {
	resume.Hush()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := trade(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit codes.
const (
	fine    = 0
	refused = 1 // some of the input, or the run failed
	usage   = 2
)

var errFlags = errors.New("command line")

// options are the command line.
type options struct {
	store, orders, format, book, symbol, blocked string
	json, quiet, verbose                         bool
	stress                                       int
	seed                                         uint64
}

// trade is the whole command.
func trade(ctx context.Context, args []string, out, diagnostics io.Writer) int {
	o, err := parse(args, diagnostics)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return fine
	case errors.Is(err, errFlags):
		return usage // package flag has said what is wrong
	case err != nil:
		fmt.Fprintln(diagnostics, "trading:", err)
		return usage
	}
	d, err := o.load()
	if path, ok := errors.AsType[*os.PathError](err); ok {
		fmt.Fprintln(diagnostics, "trading:", path)
		return usage
	}
	if err != nil {
		fmt.Fprintln(diagnostics, "trading:", err)
		return refused
	}
	d.diagnostics, d.logger = diagnostics, slog.New(slog.DiscardHandler)
	if o.verbose {
		d.logger = slog.New(slog.NewJSONHandler(diagnostics, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	store, err := backends.Open(ctx, o.store, eventstore.Config{MaxEvents: market.MaxEvents})
	if err != nil {
		fmt.Fprintln(diagnostics, "trading: -store:", err)
		if errors.Is(err, eventstore.ErrInvalid) {
			return usage
		}
		return refused
	}
	done, err := run(ctx, store, d)
	if err == nil {
		err = o.write(out, done.Summary)
	}
	return done.tell(diagnostics, errors.Join(err, store.Close()))
}

// tell says what else there is to say of a run, and returns its exit code.
func (o outcome) tell(diagnostics io.Writer, err error) int {
	for _, r := range o.Refused {
		fmt.Fprintln(diagnostics, "refused:", r)
	}
	if o.known > 0 {
		fmt.Fprintf(diagnostics, "known: %d of %d orders were in the log already\n", o.known, o.orders)
	}
	if err != nil {
		fmt.Fprintln(diagnostics, "trading:", err)
	}
	if err != nil || len(o.Refused) > 0 {
		return refused
	}
	return fine
}

func parse(args []string, diagnostics io.Writer) (o options, err error) {
	f := flag.NewFlagSet("trading", flag.ContinueOnError)
	f.SetOutput(diagnostics)
	f.StringVar(&o.store, "store", "memory:", resume.Usage)
	f.StringVar(&o.orders, "orders", "", "read orders from this `file`, instead of the built-in day")
	f.StringVar(&o.format, "format", "", "of -orders: csv, json or lobster (default: by the file's name, else its content)")
	f.StringVar(&o.book, "book", "", "with -format lobster: the `file` with the opening book")
	f.StringVar(&o.symbol, "symbol", "AAPL", "with -format lobster: the `symbol` of the messages")
	f.StringVar(&o.blocked, "block", strings.Join(input.BlockedTraders(), ","), "`traders` whose trades are not settled, with commas between")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	f.BoolVar(&o.quiet, "quiet", false, "print the totals only")
	f.BoolVar(&o.verbose, "v", false, "log every step of every event to standard error")
	f.IntVar(&o.stress, "stress", 0, "run `N` made-up orders")
	f.Uint64Var(&o.seed, "seed", 1, "of -stress")
	if err := f.Parse(args); err != nil {
		return o, fmt.Errorf("%w: %w", errFlags, err)
	}
	err = o.check(f)
	return o, err
}

// check finds what does not go together.
func (o *options) check(f *flag.FlagSet) error {
	set := map[string]bool{}
	f.Visit(func(f *flag.Flag) { set[f.Name] = true })
	var errs []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	lobster := o.format == "lobster"
	fault(f.NArg() > 0, "unexpected argument %q", f.Arg(0))
	fault(!slices.Contains([]string{"", "csv", "json", "lobster"}, o.format), "-format is %q, not csv, json or lobster", o.format)
	fault(o.format != "" && o.orders == "", "-format needs -orders")
	fault((set["book"] || set["symbol"]) && !lobster, "-book and -symbol need -format lobster")
	fault(lobster && !slices.Contains(market.Symbols(), o.symbol), "-symbol is %q, not one of %s", o.symbol, strings.Join(market.Symbols(), " "))
	fault(set["stress"] && o.orders != "", "-stress and -orders do not go together")
	fault(set["stress"] && (o.stress < 1 || o.stress > input.MaxRows), "-stress is %d, not 1 … %d", o.stress, input.MaxRows)
	fault(set["seed"] && !set["stress"], "-seed needs -stress")
	fault(o.json && o.quiet, "-json and -quiet do not go together")
	return errors.Join(errs...)
}

// load reads or makes the orders.
func (o *options) load() (d day, err error) {
	d.blocked = strings.FieldsFunc(o.blocked, func(r rune) bool { return r == ',' })
	switch {
	case o.stress > 0:
		d.orders = numbered(fmt.Sprintf("stress with seed %d", o.seed), input.Stress(o.stress, o.seed))
		return d, nil
	case o.orders == "":
		d.orders = numbered("the built-in day", input.Day())
		return d, nil
	}
	file, err := os.Open(o.orders)
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	switch o.format {
	case "csv":
		d.orders, d.refused, err = input.CSV(file)
	case "json":
		d.orders, d.refused, err = input.JSON(file)
	case "lobster":
		d.replay = true
		d.orders, d.refused, err = o.lobster(file)
	default:
		d.orders, d.refused, err = input.Orders(o.orders, file)
	}
	if err != nil {
		return d, fmt.Errorf("%s: %w", o.orders, err)
	}
	input.Sign(o.orders, d.orders)
	return d, nil
}

func (o *options) lobster(messages io.Reader) (orders []input.Numbered, faults []input.Fault, err error) {
	if o.book == "" {
		return input.Lobster(messages, nil, o.symbol)
	}
	book, err := os.Open(o.book)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, book.Close()) }()
	return input.Lobster(messages, book, o.symbol)
}

// numbered are the orders of an input that is no file.
func numbered(name string, orders []market.OrderSubmitted) []input.Numbered {
	out := make([]input.Numbered, len(orders))
	for i, o := range orders {
		out[i] = input.Numbered{Line: i + 1, Order: o}
	}
	input.Sign(name, out)
	return out
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
