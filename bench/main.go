// Command bench measures the figures that the project is held to, and prints a line for each:
//
//	figure NAME VALUE UNIT
//
// A figure is the median of five runs, unless it says otherwise. One with the unit x is a ratio: each run measures both
// sides, one right after the other, and the median is that of the runs' ratios. The lines before it show every run.
// Peers are measured in their best configuration, and only in this module, so that users of NecroStack never
// depend on them. docs/benchmarks.md says what each figure means.
package main

import (
	"cmp"
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

	value func(ours, theirs measured) float64 // that a run comes to. Defaults to our rate, or the ratio of both
	runs  int                                 // Defaults to five
}

// side measures one side of a figure once. What it prepares and checks is not in what it measures.
type side func(ctx context.Context) (measured, error)

// measured is what one run came to.
type measured struct {
	rate float64         // of whatever is counted, per second
	took []time.Duration // by each commit, in ascending order; nil if that is not measured
	heap heap            // zero if that is not measured
}

// rate is a side that measures nothing else.
func rate(measure func(context.Context) (float64, error)) side {
	return func(ctx context.Context) (measured, error) {
		r, err := measure(ctx)
		return measured{rate: r}, err
	}
}

// String gives the rate and, as far as they are known, the times within which half and 99 % of the commits were made, and
// the heap.
func (s measured) String() string {
	text := fmt.Sprintf("%.0f/s", s.rate)
	if len(s.took) > 0 {
		text += fmt.Sprintf(" p50 %s p99 %s", milliseconds(s.percentile(50)), milliseconds(s.percentile(99)))
	}
	if s.heap.peak > 0 {
		text += " " + s.heap.String()
	}
	return text
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
	folded := flag.Int("folded", 1_000_000, "how many events the log holds that views are folded from: likewise")
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
	exit(run(ctx, *match, *list, &server{grownBy: *grown, folded: *folded}, &redisServer{}))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, match string, list bool, server *server, onRedis *redisServer) (err error) {
	re, err := regexp.Compile(match)
	if err != nil {
		return fmt.Errorf("-figures: %w", err)
	}
	defer func() {
		after := context.WithoutCancel(ctx)
		err = errors.Join(err, server.close(after), onRedis.close(after))
	}()
	for _, f := range slices.Concat(memoryFigures(), sagaTestFigures(), server.figures(), onRedis.figures()) {
		switch {
		case !re.MatchString(f.name):
		case list:
			fmt.Printf("%-22s %-9s %s\n", f.name, f.unit, f.what)
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
	precision := 0
	if f.unit == "x" || f.unit == "ms" {
		precision = 2
	}
	values := make([]float64, cmp.Or(f.runs, runs))
	for i := range values {
		ours, err := once(ctx, f.ours)
		if err != nil {
			return err
		}
		values[i] = ours.rate
		var theirs measured
		what := ""
		switch {
		case f.theirs != nil:
			if theirs, err = once(ctx, f.theirs); err != nil {
				return err
			}
			values[i] = ours.rate / theirs.rate
			what = fmt.Sprintf(" (%v over %v)", ours, theirs)
		case ours.took != nil || ours.heap.peak > 0:
			what = fmt.Sprintf(" (%v)", ours)
		}
		if f.value != nil {
			values[i] = f.value(ours, theirs)
		}
		fmt.Printf("run %s %d %.*f %s%s\n", f.name, i+1, precision, values[i], f.unit, what)
	}
	slices.Sort(values)
	fmt.Printf("figure %s %.*f %s\n", f.name, precision, values[len(values)/2], f.unit)
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
