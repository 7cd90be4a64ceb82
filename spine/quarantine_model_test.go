package spine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
	"github.com/necrostack/necrostack/spine/spinetest"
	"pgregory.net/rapid"
)

// ward is a log with an organ some of whose events fail for a while, and what operators and processes do meanwhile.
type ward struct {
	b    *memory.Backend
	st   *eventstore.Store
	mode spine.OnError

	mu        sync.Mutex
	bad       map[int]bool
	put       int
	discarded map[uuid.UUID]bool
	running   []process
	wg        sync.WaitGroup
	faults    []error
}

type process struct {
	stop context.CancelFunc
	tap  *spinetest.Tap
}

func (w *ward) organ() spinetest.Organ {
	o := spinetest.On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
		w.mu.Lock()
		bad := w.bad[spinetest.N(in.Event)]
		w.mu.Unlock()
		time.Sleep(time.Duration(spinetest.N(in.Event)%3) * 20 * time.Millisecond)
		if bad {
			return spine.Output{}, errors.New("bad")
		}
		return spinetest.Copy("copy.", "mid")(ctx, in)
	})
	o.Policy.Partitions, o.Policy.OnError = 2, w.mode
	o.Policy.Backoff = spine.Backoff{Base: time.Second, Most: 5 * time.Second}
	return o
}

// start begins a process. Some of its commits fail, vanish, or are written unnoticed.
func (w *ward) start(disturb int64) {
	tap := spinetest.NewTap(w.b)
	tap.OnCommit = func(_ []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
		if n := tap.Writes.Load(); disturb > 0 && n%disturb == 0 {
			switch n / disturb % 3 {
			case 0:
				return nil, errors.New("down")
			case 1:
				return nil, eventstore.ErrOutcomeUnknown
			default:
				_, _ = write()
				return nil, eventstore.ErrOutcomeUnknown
			}
		}
		return write()
	}
	sp, err := spine.New(eventstore.New(tap, eventstore.Config{}), spine.Config{Logger: slog.New(slog.DiscardHandler), Grace: time.Second}, w.organ())
	if err != nil {
		w.faults = append(w.faults, err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.running = append(w.running, process{cancel, tap})
	w.wg.Go(func() {
		if err := sp.Run(ctx); err != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.faults = append(w.faults, err)
		}
	})
}

// end ends the oldest process, in order or not.
func (w *ward) end(cut bool) {
	if len(w.running) == 0 {
		return
	}
	p := w.running[0]
	w.running = w.running[1:]
	if cut {
		p.tap.Cut()
	}
	p.stop()
}

func (w *ward) parked() (all []eventstore.Parked) {
	for p, err := range w.st.Parked(context.Background(), eventstore.ParkedFilter{}) {
		if err != nil {
			w.faults = append(w.faults, err)
		}
		all = append(all, p)
	}
	return all
}

// act does one thing, drawn from what there is.
func (w *ward) act(rt *rapid.T) {
	ctx := context.Background()
	switch rapid.IntRange(0, 9).Draw(rt, "act") {
	case 0, 1, 2, 3:
		w.put++
		w.mu.Lock()
		w.bad[w.put] = rapid.IntRange(0, 3).Draw(rt, "bad") == 0
		w.mu.Unlock()
		e := spinetest.Event(fmt.Sprint("s-", rapid.IntRange(0, 2).Draw(rt, "stream")), "in", w.put)
		if _, err := w.st.Commit(ctx, spinetest.Out(e).Commit); err != nil {
			w.faults = append(w.faults, err)
		}
	case 4:
		w.mu.Lock()
		w.bad[rapid.IntRange(0, w.put).Draw(rt, "cured")] = false
		w.mu.Unlock()
	case 5, 6:
		if all := w.parked(); len(all) > 0 {
			p := rapid.SampledFrom(all).Draw(rt, "redriven")
			f := rapid.SampledFrom([]eventstore.ParkedFilter{{IDs: []uuid.UUID{p.ID}}, {Key: p.Key}, {}}).Draw(rt, "filter")
			if _, err := w.st.Redrive(ctx, f); err != nil {
				w.faults = append(w.faults, err)
			}
		}
	case 7:
		if all := w.parked(); len(all) > 0 {
			p := rapid.SampledFrom(all).Draw(rt, "discarded")
			n, err := w.st.Discard(ctx, eventstore.ParkedFilter{IDs: []uuid.UUID{p.ID}})
			if w.discarded[p.Event] = n == 1; err != nil {
				w.faults = append(w.faults, err)
			}
		}
	case 8:
		if w.start(int64(rapid.SampledFrom([]int{0, 0, 2, 3, 5}).Draw(rt, "disturb"))); len(w.running) > 2 {
			w.end(false)
		}
	case 9:
		w.end(rapid.Bool().Draw(rt, "cut"))
	}
	time.Sleep(time.Duration(rapid.SampledFrom([]int{0, 1, 30, 500, 20_000}).Draw(rt, "wait")) * time.Millisecond)
}

// heal cures everything and works it off.
func (w *ward) heal() {
	w.mu.Lock()
	clear(w.bad)
	w.mu.Unlock()
	for len(w.running) > 0 {
		w.end(false)
	}
	w.start(0)
	time.Sleep(time.Minute)
	if _, err := w.st.Redrive(context.Background(), eventstore.ParkedFilter{}); err != nil {
		w.faults = append(w.faults, err)
	}
	time.Sleep(time.Minute)
	for len(w.running) > 0 {
		w.end(false)
	}
	w.wg.Wait()
}

// verdict says what is wrong in the end.
func (w *ward) verdict() string {
	want, got := map[string][]int{}, map[string][]int{}
	for e, err := range w.st.Read(context.Background(), eventstore.All(), eventstore.Range{}) {
		if err != nil {
			return err.Error()
		}
		if e.Type == "mid" {
			got[string(e.Stream)] = append(got[string(e.Stream)], spinetest.N(&e))
		} else if !w.discarded[e.ID] {
			want["copy."+string(e.Stream)] = append(want["copy."+string(e.Stream)], spinetest.N(&e))
		}
	}
	if len(w.faults) > 0 {
		return errors.Join(w.faults...).Error()
	}
	for s := range want {
		if !slices.Equal(got[s], want[s]) {
			return fmt.Sprintf("%s holds %v, want %v; parked are %+v", s, got[s], want[s], w.parked())
		}
	}
	if len(got) != len(want) || len(w.parked()) > 0 {
		return fmt.Sprintf("the streams are %v, want %v; parked are %+v", got, want, w.parked())
	}
	return ""
}

func TestWhateverIsRedrivenAndDiscardedEveryKeyKeepsItsOrderAndCountsOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		mode := rapid.SampledFrom([]spine.OnError{spine.ErrorStore, spine.ErrorNack}).Draw(rt, "mode")
		var fault string
		synctest.Test(t, func(*testing.T) {
			w := ward{b: memory.New(), mode: mode, bad: map[int]bool{}, discarded: map[uuid.UUID]bool{}}
			w.st = eventstore.New(w.b, eventstore.Config{})
			w.start(0)
			for range 25 {
				w.act(rt)
			}
			w.heal()
			fault = w.verdict()
		})
		if fault != "" {
			rt.Fatal(fault)
		}
	})
}
