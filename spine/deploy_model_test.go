package spine_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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

// edition is one definition of the organ under test.
type edition struct {
	parts     int
	keys      int // 0 or 1
	more      bool
	competing bool
}

// storm is what happens to the organs of a random history: "main" changes its definition, "side" competes.
type storm struct {
	editions []edition
	acts     []act
}

type act struct {
	do string
	n  int
}

func drawStorm(t *rapid.T, competing bool) (s storm) {
	keys, more := 0, false
	for range rapid.IntRange(1, 5).Draw(t, "editions") {
		if rapid.IntRange(0, 3).Draw(t, "new key") == 0 {
			keys = 1
		}
		more = more || rapid.Bool().Draw(t, "more types") // a parked event of a type that is gone would stay
		s.editions = append(s.editions, edition{
			parts: rapid.IntRange(0, 5).Draw(t, "partitions"), keys: keys, more: more,
			competing: competing && rapid.IntRange(0, 2).Draw(t, "competing") == 0,
		})
	}
	acts := []string{"append", "append", "append", "start", "start", "deploy", "stop", "cut", "hang", "pause", "resume", "redrive", "sleep", "sleep"}
	for range rapid.IntRange(5, 40).Draw(t, "acts") {
		s.acts = append(s.acts, act{rapid.SampledFrom(acts).Draw(t, "act"), rapid.IntRange(0, 30).Draw(t, "n")})
	}
	return s
}

// town is a log and the processes that work on it.
type town struct {
	t       *testing.T
	storm   storm
	backend *memory.Backend
	store   *eventstore.Store
	healed  atomic.Bool // nothing fails any more
	mu      sync.Mutex
	tries   map[string]int
	now     int         // the newest edition
	runs    []*resident // that are well
	all     []*resident
	wg      sync.WaitGroup
	events  int
}

type resident struct {
	edition int
	tap     *spinetest.Tap
	stop    context.CancelFunc
}

const townLease = 10 * time.Second

func (w *town) organs(e edition) []spine.Organ {
	o := spinetest.On("main", "in", w.flaky("main"))
	if e.more {
		o.Listens = eventstore.OfType("in", "more")
	}
	byStream := func(ev eventstore.Event) ([]string, error) { return []string{string(ev.Stream)}, nil }
	o.Key, o.KeyVersion, o.Policy.Partitions = byStream, e.keys, e.parts
	if e.keys == 1 {
		o.Key = func(ev eventstore.Event) ([]string, error) { return []string{"to " + string(ev.Stream)}, nil }
		o.FormerKey = byStream
	}
	if e.competing {
		o.Policy.Delivery, o.Policy.Partitions = spine.Competing, 0
	}
	side := spinetest.On("side", "in", w.flaky("side"))
	side.Policy.Delivery, side.Policy.Window = spine.Competing, 7
	side.Policy.OnError, side.Policy.Backoff = spine.ErrorNack, spine.Backoff{Base: time.Second, Most: 10 * time.Second}
	for _, p := range []*spine.Policy{&o.Policy, &side.Policy} {
		p.Deadline, p.Visibility, p.MaxDeliveries = 2*time.Second, 5*time.Second, 1000
	}
	return []spine.Organ{o, side}
}

// flaky handles an event, but for what its number and the number of the attempt decide.
func (w *town) flaky(name string) spine.Handle {
	return func(ctx context.Context, in spine.Input) (spine.Output, error) {
		w.mu.Lock()
		w.tries[name+in.ID.String()]++
		try := w.tries[name+in.ID.String()]
		w.mu.Unlock()
		h := fnv.New32a()
		_, _ = fmt.Fprint(h, name, spinetest.N(in.Event), try) // never fails
		switch fate := h.Sum32() % 20; {
		case w.healed.Load():
		case fate < 2:
			return spine.Output{}, errors.New("no")
		case fate < 3:
			panic("no")
		case fate < 4:
			<-ctx.Done()
		case fate < 5: // ignores that its time is up
			time.Sleep(time.Duration(h.Sum32()%8) * time.Second)
		case fate < 9:
			time.Sleep(time.Duration(h.Sum32()%100) * time.Millisecond)
		}
		return spinetest.Copy(name+".", name+" done")(ctx, in)
	}
}

func (w *town) start(number int) {
	r := &resident{edition: number, tap: spinetest.NewTap(w.backend)}
	cfg := spine.Config{Logger: slog.New(slog.DiscardHandler), Lease: townLease, Grace: time.Second, Abandoned: 1 << 20}
	sp, err := spine.New(eventstore.New(r.tap, eventstore.Config{}), cfg, w.organs(w.storm.editions[number])...)
	if err != nil {
		w.t.Fatal(err)
	}
	var ctx context.Context
	ctx, r.stop = context.WithCancel(w.t.Context())
	w.wg.Go(func() {
		if err := sp.Run(ctx); err != nil && !strings.Contains(err.Error(), "its key is of version") && !errors.Is(err, spinetest.ErrCut) {
			w.t.Errorf("Run: %v", err)
		}
	})
	w.runs, w.all = append(w.runs, r), append(w.all, r)
}

// end stops a process, after something was done to its connection.
func (w *town) end(n int, how func(*spinetest.Tap)) {
	if len(w.runs) == 0 {
		return
	}
	i := n % len(w.runs)
	r := w.runs[i]
	w.runs = slices.Delete(w.runs, i, i+1)
	how(r.tap)
	if n%2 == 0 { // else it goes on without the log
		r.stop()
	}
}

func (w *town) act(a act) error {
	ctx := w.t.Context()
	switch a.do {
	case "append":
		for range a.n {
			e := spinetest.Event(fmt.Sprint("s-", w.events%5), []string{"in", "in", "more"}[w.events%3], w.events)
			w.events++
			if _, err := w.store.Commit(ctx, spinetest.Out(e).Commit); err != nil {
				return err
			}
		}
	case "start":
		w.start(max(w.now-a.n%2, 0))
	case "deploy":
		w.now = min(w.now+1, len(w.storm.editions)-1)
		w.start(w.now)
	case "stop":
		w.end(2*a.n, func(*spinetest.Tap) {})
	case "cut":
		w.end(a.n, (*spinetest.Tap).Cut)
	case "hang":
		w.end(a.n, (*spinetest.Tap).Hang)
	case "sleep":
		time.Sleep(time.Duration(a.n*a.n) * 30 * time.Millisecond)
	case "redrive":
		_, err := w.store.Redrive(ctx, eventstore.ParkedFilter{})
		return err
	case "pause", "resume":
		name := []string{"main", "side"}[a.n%2]
		if r, _ := w.store.Roster(ctx, name); len(r.Partitions) == 0 {
			return nil // nobody has run it yet
		}
		if a.do == "pause" {
			return w.store.Pause(ctx, name)
		}
		return w.store.Resume(ctx, name)
	}
	return nil
}

// run lives through the storm and the calm after it, and returns what is wrong then.
func (s storm) run(t *testing.T) (wrong []string) {
	t.Helper()
	w := &town{t: t, storm: s, backend: memory.New(), tries: map[string]int{}}
	w.store = eventstore.New(w.backend, eventstore.Config{})
	w.start(0)
	synctest.Wait()
	for _, a := range s.acts {
		if err := w.act(a); err != nil {
			t.Fatalf("%s: %v", a.do, err)
		}
	}
	w.healed.Store(true)
	for _, a := range []act{{"resume", 0}, {"resume", 1}, {"start", 0}, {"append", 5}, {"sleep", 60}, {"redrive", 0}, {"sleep", 60}} {
		if err := w.act(a); err != nil {
			t.Fatalf("%s: %v", a.do, err)
		}
	}
	for _, r := range w.all {
		r.stop()
		r.tap.Free()
	}
	w.wg.Wait()
	time.Sleep(10 * townLease) // also handlers that ignore all end by then
	last := spine.Config{Logger: slog.New(slog.DiscardHandler), Lease: townLease}
	sp, err := spine.New(w.store, last, w.organs(s.editions[w.now])...)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.act(act{"redrive", 0}); err != nil { // what an older edition did not know
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	next, err := sp.Drain(ctx)
	if err != nil || !next.IsZero() {
		wrong = append(wrong, fmt.Sprintf("Drain: %v, %v", next, err))
	}
	return append(wrong, w.wrong()...)
}

// wrong looks for what the storm has left behind: whatever is not done, or done twice, or out of order.
func (w *town) wrong() (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	ctx := w.t.Context()
	head, _ := w.store.Head(ctx)
	for _, name := range []string{"main", "side"} {
		r, err := w.store.Roster(ctx, name)
		if err != nil || r.Position() < head {
			say("%s stands at %d of %d: %v", name, r.Position(), head, err)
		}
		if n, next, _ := w.backend.Window(ctx, name); n > 0 {
			say("%d deliveries of %s are left, due %s", n, name, next)
		}
	}
	for p, err := range w.store.Parked(ctx, eventstore.ParkedFilter{}) {
		say("parked: %+v, %v", p, err)
	}
	type done struct {
		organ string
		event uuid.UUID
	}
	times := map[done]int{}
	at := map[eventstore.Stream]int{}
	// Events that are parked do not hold up those that have come to have another key.
	ordered := !slices.ContainsFunc(w.storm.editions, func(e edition) bool { return e.competing || e.keys != w.storm.editions[0].keys })
	all := map[uuid.UUID]eventstore.Event{}
	for e, err := range w.store.Read(ctx, eventstore.All(), eventstore.Range{}) {
		if err != nil {
			say("read: %v", err)
		}
		all[e.ID] = e
		organ, is := strings.CutSuffix(e.Type, " done")
		if !is {
			continue
		}
		times[done{organ, e.Metadata.Causation}]++
		if n := spinetest.N(&e); organ == "main" && ordered && all[e.Metadata.Causation].Type == "in" && n < at[e.Stream] {
			say("%s: %d came after %d", e.Stream, n, at[e.Stream])
		}
		at[e.Stream] = max(at[e.Stream], spinetest.N(&e))
	}
	for id, e := range all {
		for _, name := range []string{"main", "side"} {
			if n := times[done{name, id}]; n > 1 || n == 0 && e.Type == "in" {
				say("%s has handled event %d (%s at %d) %d times", name, spinetest.N(&e), e.Type, e.Position, n)
			}
		}
	}
	return wrong
}

// storms is how many random storms of each kind there are; more find more.
var storms = flag.Int("storms", 8, "random storms of each kind")

func TestNothingIsLostOrDoubledOrLeftInARandomStorm(t *testing.T) {
	t.Parallel()
	for name, competing := range map[string]bool{"ordered": false, "also competing": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := rapid.Custom(func(t *rapid.T) storm { return drawStorm(t, competing) })
			for seed := range *storms {
				s := random.Example(seed)
				synctest.Test(t, func(t *testing.T) {
					if wrong := s.run(t); len(wrong) > 0 {
						t.Errorf("storm %d: %+v\n%s", seed, s, strings.Join(wrong[:min(len(wrong), 12)], "\n"))
					}
				})
			}
		})
	}
}
