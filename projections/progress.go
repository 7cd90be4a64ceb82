package projections

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// Progress is how far a projection has come with the log.
type Progress struct {
	Projection string              // its consumer, such as "balances_v2"
	Done       eventstore.Position // positions that are done, on average over its partitions
	Total      eventstore.Position // the head of the log
	Rate       float64             // positions a second, since the first report
	Left       time.Duration       // until it has caught up, if all goes on like this; below 0 if that cannot be told
	Elapsed    time.Duration       // until it caught up, if it has
	CaughtUp   bool                // it has done all that was in the log when it was last looked at
}

// Share is what part of the log is done: from 0 to 1.
func (p Progress) Share() float64 {
	if p.Total == 0 {
		return 1
	}
	return min(1, float64(p.Done)/float64(p.Total))
}

// String says it in one line.
func (p Progress) String() string {
	text := fmt.Sprintf("%s: %3.0f%%, %d of %d, %.0f/s", p.Projection, 100*p.Share(), p.Done, p.Total, p.Rate)
	switch {
	case p.CaughtUp:
		return text + ", caught up after " + p.Elapsed.Round(10*time.Millisecond).String()
	case p.Left >= 0:
		return text + ", " + p.Left.Round(time.Second).String() + " left"
	default:
		return text
	}
}

func allCaughtUp(all []Progress) bool {
	return !slices.ContainsFunc(all, func(p Progress) bool { return !p.CaughtUp })
}

// Bar returns what shows progress in w, for Rebuild.Report: on a terminal as a bar for each projection, and else as a line
// from time to time. It is safe for concurrent use.
func Bar(w io.Writer) func([]Progress) {
	b := &bar{w: w}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		b.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return b.show
}

type bar struct {
	w        io.Writer
	terminal bool

	mu    sync.Mutex
	lines int       // that were drawn
	last  time.Time // when
}

const (
	barWidth = 30
	barEvery = 2 * time.Second // where it is not redrawn
)

func (b *bar) show(all []Progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.terminal && !allCaughtUp(all) && time.Since(b.last) < barEvery {
		return
	}
	var text strings.Builder
	if b.terminal && b.lines > 0 {
		fmt.Fprintf(&text, "\x1b[%dA", b.lines)
	}
	for _, p := range all {
		if b.terminal {
			full := int(barWidth * p.Share())
			fmt.Fprintf(&text, "\x1b[2K%s%s ", strings.Repeat("█", full), strings.Repeat("░", barWidth-full))
		}
		fmt.Fprintln(&text, p)
	}
	_, _ = io.WriteString(b.w, text.String())
	b.lines, b.last = len(all), time.Now()
}
