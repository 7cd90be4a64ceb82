package spine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
	"github.com/necrostack/necrostack/spine/spinetest"
	"pgregory.net/rapid"
)

// reactor is an organ of a random topology: it answers every event of some categories, in a category of its
// own, unless it fails.
type reactor struct {
	name   string
	listen []string // categories: "in", or the names of earlier reactors
	emits  int      // events for each
	fails  int      // of 10 events, so many fail for good
	stalls int      // and so many fail once
	parts  int      // partitions
}

// fate tells what becomes of an event: a pure function of the two.
func (r *reactor) fate(n int) (fails, stalls bool) {
	x := (n*7 + len(r.name)*3 + int(r.name[1])) % 10
	return x < r.fails, x < r.fails+r.stalls
}

// world is a random topology and what happens in it.
type world struct {
	reactors []reactor
	input    []string // the stream of each event
	crash    int64    // one Spine is cut off at so many batches
	hang     bool
}

func draw(t *rapid.T) world {
	var w world
	categories := []string{"in"}
	for i := range rapid.IntRange(1, 4).Draw(t, "reactors") {
		r := reactor{
			name:  fmt.Sprint("r", i),
			emits: rapid.IntRange(0, 2).Draw(t, "emits"), parts: rapid.IntRange(1, 5).Draw(t, "partitions"),
			fails: rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "fails"), stalls: rapid.IntRange(0, 3).Draw(t, "stalls"),
		}
		for _, c := range categories {
			if rapid.Bool().Draw(t, "listens to "+c) {
				r.listen = append(r.listen, c)
			}
		}
		if len(r.listen) == 0 {
			r.listen = []string{"in"}
		}
		w.reactors = append(w.reactors, r)
		categories = append(categories, r.name)
	}
	for range rapid.IntRange(1, 30).Draw(t, "events") {
		w.input = append(w.input, fmt.Sprint("in-", rapid.IntRange(0, 4).Draw(t, "stream")))
	}
	w.crash = int64(rapid.IntRange(1, 20).Draw(t, "crash"))
	w.hang = rapid.Bool().Draw(t, "hang")
	return w
}

// output is what a reactor makes of an event: a stream for each that it comes from.
func (r *reactor) output(stream string, n int) (events []eventstore.Event) {
	for i := range r.emits {
		events = append(events, spinetest.Event(r.name+"-"+strings.ReplaceAll(stream, "-", "."), "made", n*2+i+1))
	}
	return events
}

// model says what every stream holds in the end, and which keys have parked how many events.
func (w *world) model() string {
	streams := map[string][]int{}
	parked := map[string]int{}
	for i, s := range w.input {
		streams[s] = append(streams[s], i)
	}
	for _, r := range w.reactors {
		for s, ns := range streams {
			if !slices.Contains(r.listen, eventstore.Stream(s).Category()) {
				continue
			}
			for _, n := range ns {
				if fails, _ := r.fate(n); fails || parked[r.name+" "+s] > 0 {
					parked[r.name+" "+s]++
					continue
				}
				for _, e := range r.output(s, n) {
					streams[string(e.Stream)] = append(streams[string(e.Stream)], spinetest.N(&e))
				}
			}
		}
	}
	return describe(streams, parked)
}

func describe(streams map[string][]int, parked map[string]int) string {
	var lines []string
	for s, ns := range streams {
		lines = append(lines, fmt.Sprint(s, " ", ns))
	}
	for k, n := range parked {
		lines = append(lines, fmt.Sprint("parked ", k, " ", n))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// organs makes organs of the reactors. What stalls does so once in every process.
func (w *world) organs() (organs []spine.Organ) {
	for i := range w.reactors {
		r := &w.reactors[i]
		var mu sync.Mutex
		tried := map[string]bool{}
		o := spinetest.On(r.name, "", func(_ context.Context, in spine.Input) (spine.Output, error) {
			mu.Lock()
			defer mu.Unlock()
			fails, stalls := r.fate(spinetest.N(in.Event))
			if again := tried[in.ID.String()]; fails || stalls && !again {
				tried[in.ID.String()] = true
				return spine.Output{}, errors.New("no")
			}
			return spinetest.Out(r.output(string(in.Stream), spinetest.N(in.Event))...), nil
		})
		o.Listens = eventstore.Query{}
		for _, c := range r.listen {
			o.Listens = o.Listens.Or(eventstore.InCategory(c))
		}
		o.Policy = spine.Policy{Partitions: r.parts, Retry: spine.Retry{Attempts: 2}}
		organs = append(organs, o)
	}
	return organs
}

// run lets two Spines work through the input, one of which is cut off, and returns how it ends.
func (w *world) run(t *testing.T) string {
	t.Helper()
	b := memory.New()
	st := eventstore.New(b, eventstore.Config{})
	tap := spinetest.NewTap(b)
	tap.OnCommit = func(_ []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
		if tap.Writes.Load() < w.crash {
			return write()
		}
		if w.hang {
			tap.Hang()
		} else {
			tap.Cut()
		}
		if w.crash%2 == 0 {
			_, _ = write() // the last one was written
		}
		return nil, eventstore.ErrOutcomeUnknown
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, s := range []*eventstore.Store{st, eventstore.New(tap, eventstore.Config{})} {
		sp, err := spine.New(s, spine.Config{Logger: slog.New(slog.DiscardHandler)}, w.organs()...)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if err := sp.Run(ctx); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	for i, s := range w.input {
		if _, err := st.Commit(ctx, spinetest.Out(spinetest.Event(s, "in", i)).Commit); err != nil {
			t.Fatal(err)
		}
		if i%7 == 6 {
			time.Sleep(20 * time.Millisecond)
		}
	}
	time.Sleep(time.Minute) // of virtual time: leases end, everything settles
	cancel()
	tap.Free()
	wg.Wait()
	return found(t, st, b)
}

// found describes what the log holds.
func found(t *testing.T, st *eventstore.Store, b *memory.Backend) string {
	t.Helper()
	streams, parked := map[string][]int{}, map[string]int{}
	for e, err := range st.Read(t.Context(), eventstore.All(), eventstore.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		streams[string(e.Stream)] = append(streams[string(e.Stream)], spinetest.N(&e))
	}
	for p, err := range b.Parked(t.Context(), eventstore.ParkedFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		parked[p.Consumer+" "+p.Key]++
	}
	return describe(streams, parked)
}

func TestRandomTopologiesEndAsTheModelSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := draw(rt)
		var got string
		synctest.Test(t, func(t *testing.T) { got = w.run(t) })
		if want := w.model(); got != want {
			rt.Fatalf("it ends with\n%s\nwant\n%s", got, want)
		}
	})
}
