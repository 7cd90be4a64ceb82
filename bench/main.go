// Command bench measures the figures that the project is held to, and prints a line for each:
//
//	figure NAME VALUE UNIT
//
// A figure is the median of five runs. One with the unit x is a ratio: each run measures both sides, one
// right after the other, and the median is that of the runs' ratios. The lines before it show every run.
// Peers are measured in their best in-process configuration, and only in this module, so that users of
// NecroStack never depend on them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
)

const runs = 5

// figure is one promised number.
type figure struct {
	name, unit string
	what       string
	ours       func(ctx context.Context) (float64, error)
	theirs     func(ctx context.Context) (float64, error) // nil unless the figure is a ratio
}

var figures = []figure{
	{
		name: "mem-dispatch", unit: "events/s", ours: dispatch,
		what: "events through a no-op reactor, 16 partitions, from the first append to the last checkpoint; 100 events a commit",
	},
	{
		name: "mem-append-64", unit: "events/s", ours: append64,
		what: "appends from 64 goroutines, one event a commit",
	},
	{
		name: "mem-vs-watermill", unit: "x", ours: dispatch, theirs: watermillDispatch,
		what: "mem-dispatch over watermill's EventProcessor on a GoChannel, same payload",
	},
}

func main() {
	match := flag.String("figures", ".", "measure the figures whose names match this `regexp`")
	list := flag.Bool("list", false, "list the figures and what they measure")
	flag.Parse()
	if err := run(context.Background(), *match, *list); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, match string, list bool) error {
	re, err := regexp.Compile(match)
	if err != nil {
		return fmt.Errorf("-figures: %w", err)
	}
	for _, f := range figures {
		switch {
		case !re.MatchString(f.name):
		case list:
			fmt.Printf("%-18s %-9s %s\n", f.name, f.unit, f.what)
		default:
			if err := measure(ctx, f); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
		}
	}
	return nil
}

// measure runs both sides of a figure in turn and prints the median.
func measure(ctx context.Context, f figure) error {
	values := make([]float64, runs)
	for i := range values {
		ours, err := once(ctx, f.ours)
		if err != nil {
			return err
		}
		values[i] = ours
		if f.theirs == nil {
			fmt.Printf("run %s %d %.0f %s\n", f.name, i+1, ours, f.unit)
			continue
		}
		theirs, err := once(ctx, f.theirs)
		if err != nil {
			return err
		}
		values[i] = ours / theirs
		fmt.Printf("run %s %d %.2f x (%.0f over %.0f events/s)\n", f.name, i+1, values[i], ours, theirs)
	}
	slices.Sort(values)
	precision := 0
	if f.unit == "x" {
		precision = 2
	}
	fmt.Printf("figure %s %.*f %s\n", f.name, precision, values[runs/2], f.unit)
	return nil
}

// once measures one side, on a heap that the other has not left full.
func once(ctx context.Context, side func(context.Context) (float64, error)) (float64, error) {
	runtime.GC()
	rate, err := side(ctx)
	if err == nil && rate <= 0 {
		err = errors.New("measured nothing")
	}
	return rate, err
}
