// Command bench measures the figures that the project is held to, and prints a line for each:
//
//	figure NAME VALUE UNIT
//
// A figure is the median of five runs. One with the unit x is a ratio: each run measures both sides, one
// right after the other, and the median is that of the runs' ratios. The lines before it show every run.
// Peers are measured in their best configuration, and only in this module, so that users of NecroStack never
// depend on them. docs/benchmarks.md says what each figure means.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"syscall"
	"time"
)

const runs = 5

// figure is one promised number.
type figure struct {
	name, unit string
	what       string
	ours       side
	theirs     side // nil unless the figure is a ratio
}

// side measures one side of a figure once. What it prepares and checks is not in what it measures.
type side func(ctx context.Context) (measured, error)

// measured is what one run came to.
type measured struct {
	rate float64         // of whatever is counted, per second
	took []time.Duration // by each commit, in ascending order; nil if that is not measured
}

// rate is a side that measures nothing else.
func rate(measure func(context.Context) (float64, error)) side {
	return func(ctx context.Context) (measured, error) {
		r, err := measure(ctx)
		return measured{rate: r}, err
	}
}

// String gives the rate and, if they are known, the times within which half and 99 % of the commits were made.
func (s measured) String() string {
	if len(s.took) == 0 {
		return fmt.Sprintf("%.0f/s", s.rate)
	}
	return fmt.Sprintf("%.0f/s p50 %s p99 %s", s.rate, milliseconds(s.percentile(50)), milliseconds(s.percentile(99)))
}

func (s measured) percentile(p int) time.Duration {
	if len(s.took) == 0 {
		return 0
	}
	return s.took[min(len(s.took)*p/100, len(s.took)-1)]
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }

func main() {
	match := flag.String("figures", ".", "measure the figures whose names match this `regexp`")
	list := flag.Bool("list", false, "list the figures and what they measure")
	grown := flag.Int("grown", 5_000_000, "how many events the grown log holds: the figures are those of the default")
	sideBySide := flag.Bool("peers", false, "measure event stores of other projects side by side with ours, in place of figures")
	rounds := flag.Int("rounds", runs, "how often each peer is measured")
	file := flag.String("json", "", "write what the peers came to to this `file`")
	flag.Parse()
	if job := os.Getenv(jobVariable); job != "" {
		exit(work(context.Background(), job))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *sideBySide {
		exit(compare(ctx, *rounds, *file))
	}
	exit(run(ctx, *match, *list, *grown))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, match string, list bool, grown int) (err error) {
	re, err := regexp.Compile(match)
	if err != nil {
		return fmt.Errorf("-figures: %w", err)
	}
	server := &server{grownBy: grown}
	defer func() { err = errors.Join(err, server.close(context.WithoutCancel(ctx))) }()
	for _, f := range slices.Concat(memoryFigures(), server.figures()) {
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
		values[i] = ours.rate
		if f.theirs == nil {
			fmt.Printf("run %s %d %.0f %s\n", f.name, i+1, ours.rate, f.unit)
			continue
		}
		theirs, err := once(ctx, f.theirs)
		if err != nil {
			return err
		}
		values[i] = ours.rate / theirs.rate
		fmt.Printf("run %s %d %.2f x (%v over %v)\n", f.name, i+1, values[i], ours, theirs)
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
func once(ctx context.Context, measure side) (measured, error) {
	runtime.GC()
	s, err := measure(ctx)
	if err == nil && s.rate <= 0 {
		err = errors.New("measured nothing")
	}
	return s, err
}
