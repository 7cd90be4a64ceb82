package spinetest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func rolling() []promise {
	return []promise{
		{"a rolling deploy with another number of partitions neither skips nor repeats", func(t *Trial) {
			t.roll(version{parts: 5}, version{parts: 3})
		}},
		{"a rolling deploy with another key neither skips nor repeats", func(t *Trial) {
			t.roll(version{parts: 4}, version{parts: 4, keys: 1})
		}},
		{"a rolling deploy with other types neither skips nor repeats", func(t *Trial) {
			t.roll(version{parts: 4}, version{parts: 4, types: []string{"in", "new"}})
		}},
		{"a rolling deploy that changes everything neither skips nor repeats", func(t *Trial) {
			t.roll(version{parts: 2}, version{parts: 7, keys: 1, types: []string{"in", "new"}})
		}},
		{"a rolling deploy of an organ that leaves its partitions open does not go backwards", func(t *Trial) {
			t.roll(version{}, version{parts: 3, types: []string{"in", "new"}})
		}},
		{"three deploys one after the other neither skip nor repeat", func(t *Trial) {
			t.roll(version{parts: 4}, version{parts: 2, keys: 1}, version{parts: 6, keys: 2}, version{parts: 6, keys: 2, types: []string{"in", "new"}})
		}},
		{"a rolling deploy of a competing organ neither skips nor repeats", func(t *Trial) {
			t.roll(version{competing: true}, version{competing: true, types: []string{"in", "new"}})
		}},
		{"an organ that becomes Competing, and Ordered again, neither skips nor repeats", func(t *Trial) {
			t.roll(version{parts: 3}, version{competing: true}, version{parts: 5})
		}},
	}
}

// version is one definition of an organ that answers every event with one.
type version struct {
	parts     int
	keys      int      // 0: by stream; 1, 2 …: by other things that the stream decides
	types     []string // Defaults to in
	competing bool
	handle    func(h spine.Handle) spine.Handle
}

// keyed is the key function of a version. Every one of them keeps the order of each stream.
func keyed(v int) eventstore.Key {
	return func(e eventstore.Event) ([]string, error) {
		sum := uuid.NewSHA1(uuid.Nil, fmt.Append(nil, v, e.Stream))
		return []string{map[bool]string{true: string(e.Stream), false: fmt.Sprint(v, "/", sum[0]%7)}[v == 0]}, nil
	}
}

func (v version) organ() Organ {
	handle := Copy("copy.", "copied")
	if v.handle != nil {
		handle = v.handle(handle)
	}
	o := On("organ", "in", handle)
	if len(v.types) > 0 {
		o.Listens = eventstore.OfType(v.types...)
	}
	o.Policy.Partitions, o.Key, o.KeyVersion = v.parts, keyed(v.keys), v.keys
	if v.keys > 0 {
		o.FormerKey = keyed(v.keys - 1)
	}
	o.Policy.Visibility, o.Policy.Deadline, o.Policy.MaxDeliveries = 2*time.Second, 2*time.Second, 1000
	if v.competing {
		o.Policy.Delivery = spine.Competing
	}
	return o
}

// fleet is the processes that run an organ, in several versions.
type fleet struct {
	*Trial
	cfg  spine.Config
	mu   sync.Mutex
	runs map[int]*process
	next int
}

type process struct {
	version int
	sp      *spine.Spine
	tap     *Tap
	stop    func() error
}

func (t *Trial) fleet() *fleet {
	return &fleet{Trial: t, runs: map[int]*process{}, cfg: spine.Config{Lease: 400 * time.Millisecond, Grace: 100 * time.Millisecond}}
}

// start starts a process that runs a version of the organ.
func (f *fleet) start(number int, o Organ) {
	p := &process{version: number, tap: f.Tap()}
	p.sp = f.Spine(f.Open(p.tap), f.cfg, o)
	p.stop = f.Start(p.sp)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs[f.next] = p
	f.next++
}

// end stops the process that was started first: gracefully, or by cutting it off.
func (f *fleet) end(kill bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := slices.Min(slices.Collect(maps.Keys(f.runs)))
	p := f.runs[first]
	delete(f.runs, first)
	if kill {
		p.tap.Cut()
	}
	if err := p.stop(); err != nil && !kill {
		f.Errorf("Run returned %v", err)
	}
}

// roll deploys one version after the other while writers append: two processes of each are started, restarted,
// killed and stopped. In the end every event must have been handled once, in the order of its stream.
func (t *Trial) roll(versions ...version) {
	f := t.fleet()
	var ended atomic.Bool
	defer ended.Store(true)
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() { f.write(&ended, w) })
	}
	f.start(0, versions[0].organ())
	f.start(0, versions[0].organ())
	f.progress()
	for i, v := range versions[1:] {
		f.start(i+1, v.organ())
		f.Until("the new one runs", func() bool { return f.isDefined(v) })
		f.end(i%2 == 0) // of the former version
		f.start(i, versions[i].organ())
		f.start(i+1, v.organ())
		f.progress()
		if !f.isDefined(v) {
			t.Errorf("a restarted process of version %d has pushed version %d out", i, i+1)
		}
		for range 2 {
			f.end(i%2 == 1)
		}
		f.progress()
		f.start(i+1, v.organ()) // and one of the new ones crashes, too
		f.end(true)
		f.progress()
	}
	ended.Store(true)
	writers.Wait()
	last := versions[len(versions)-1]
	t.drainAll(t.another(f.cfg, last.organ()))
	f.wantCopies(last.competing || slices.ContainsFunc(versions, func(v version) bool { return v.competing }))
}

// drainAll drains until nothing is due any more, also later.
func (t *Trial) drainAll(sp *spine.Spine) {
	t.Helper()
	for next := t.Drain(sp); !next.IsZero(); next = t.Drain(sp) {
		time.Sleep(time.Until(next))
	}
}

// isDefined reports whether the log has the definition of a version.
func (f *fleet) isDefined(v version) bool {
	for _, c := range f.consumers() {
		types := len(c.Listens) == max(len(v.types), 1)
		if c.Name == "organ" && c.Next == "" && types && c.Keys == v.keys && c.Competing == v.competing && (v.parts == 0 || c.Partitions == v.parts) {
			return true
		}
	}
	return false
}

func (t *Trial) consumers() []eventstore.Consumer {
	t.Helper()
	all, err := t.Store.Consumers(t.Ctx)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// write appends events to a few streams until it is ended: mostly of the type that every version handles.
func (f *fleet) write(ended *atomic.Bool, w int) {
	random := rand.New(rand.NewPCG(uint64(w), 7))
	for n := 0; !ended.Load(); n++ {
		e := Event(fmt.Sprintf("s-%d.%d", w, random.IntN(5)), []string{"in", "in", "in", "new", "other"}[random.IntN(5)], n)
		if _, err := f.Store.Commit(f.Ctx, Out(e).Commit); err != nil {
			f.Error(err)
			return
		}
		time.Sleep(time.Duration(random.IntN(int(2 * time.Millisecond))))
	}
}

// progress waits until what is in the log now is done, or at least has been given to workers.
func (f *fleet) progress() {
	f.Helper()
	head := f.Head()
	f.Until("all partitions move", func() bool {
		r := f.Roster("organ")
		return len(r.Partitions) > 0 && r.Position() >= head
	})
	if err := f.Store.WaitFor(f.Ctx, "organ", head); err != nil && !errors.Is(err, eventstore.ErrInvalid) {
		f.Errorf("WaitFor position %d returned %v", head, err)
	}
}

// wantCopies compares what was put in with what came out: each event once, those of a stream in their order.
// Those of type new are handled from the deploy on that brought them.
func (f *fleet) wantCopies(unordered bool) {
	f.Helper()
	want, got, cause := map[string][]int{}, map[string][]int{}, map[uuid.UUID]string{}
	kind := map[uuid.UUID]string{}
	for _, e := range f.Events(eventstore.OfType("in", "new", "other")) {
		kind[e.ID] = e.Type
		if e.Type == "in" {
			want[string(e.Stream)] = append(want[string(e.Stream)], N(&e))
		}
	}
	for _, e := range f.Events(eventstore.OfType("copied")) {
		c := e.Metadata.Causation
		if cause[c] != "" {
			f.Errorf("event %s (%s) was handled twice", c, kind[c])
		}
		cause[c] = string(e.Stream)
		if kind[c] == "in" {
			got[string(e.Stream)[len("copy."):]] = append(got[string(e.Stream)[len("copy."):]], N(&e))
		}
	}
	for s := range want {
		if unordered {
			slices.Sort(got[s])
		}
		if !slices.Equal(want[s], got[s]) {
			f.Errorf("stream %s: came out\n%v\nwant\n%v", s, got[s], want[s])
		}
	}
}
