package spinetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func gathers() []promise {
	return []promise{
		{"gathered events are committed once nothing more is to be had", gathersAll},
		{"a Gatherer gets no more than MaxBatch events, and a commit is of many", gathersInPortions},
		{"a Gatherer that says it is full has a commit before it gets more", gathersFull},
		{"a Gatherer that cannot be reached is asked again with the same events", gathersAgain},
		{"when Run ends, what is gathered is committed, and no more taken up", gathersUntilTheEnd},
		{"when Add fails, one event is parked, and all others are done once", gathersPoison},
		{"when Output fails or panics, all is done once, without it", gathersNoOutput},
		{"an Output that appends is refused, and all is done once", gathersAppend},
		{"a Gatherer that hangs is given up, and never called again", gathersHung},
		{"a key that was parked and redriven is not overwritten by what was remembered", gathersRedriven},
		{"a lost lease drops what was gathered", gathersLost},
		{"a commit that fails for good drops what was gathered, and the next Run does it", gathersCommitFail},
		{"observers see each gathered event received, dispatched, completed and acked", gathersObserved},
		{"after an owner was lost, little is gathered at once", gathersWarily},
	}
}

// ledger adds the numbers of events up by their streams. What was committed of it is known by Settled, so that it works
// with any backend.
type ledger struct {
	mu      sync.Mutex
	sums    map[string]int // as committed
	commits [][]int        // the numbers of each
	dropped int            // commits that failed
	adds    [][]int
	bad     map[int]bool // numbers that fail

	add    func(g *gatheredSums, batch []spine.Input) (bool, error) // before each Add, if not nil; an error is its error
	output func(out *spine.Output) error                            // at each Output, likewise
}

// gatheredSums is a Gatherer, that remembers the sums of its lane.
type gatheredSums struct {
	of      *ledger
	sums    map[string]int // of all that it has seen
	numbers []int          // not committed
}

// organ has one partition, unless it is changed.
func (l *ledger) organ() Organ {
	l.sums = map[string]int{}
	return Organ{Wiring: spine.Wiring{
		Name: "ledger", Listens: eventstore.OfType("in"), HandleBatch: l.handle,
		Gather: func() spine.Gatherer { return &gatheredSums{of: l, sums: map[string]int{}} },
		Policy: spine.Policy{Partitions: 1, Retry: spine.Retry{Attempts: 1}},
	}}
}

// book commits sums and the numbers that they are of, as soon as out is.
func (l *ledger) book(out *spine.Output, sums map[string]int, numbers []int, booked func()) {
	out.Settled = func(_ eventstore.Result, err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if err != nil {
			l.dropped++
			return
		}
		maps.Copy(l.sums, sums)
		l.commits = append(l.commits, slices.Clone(numbers))
		booked()
	}
}

func (l *ledger) handle(_ context.Context, batch []spine.Input) (out spine.Output, done int, err error) {
	sums, numbers := map[string]int{}, []int{}
	for i := range batch {
		n, key := N(batch[i].Event), string(batch[i].Stream)
		if l.isBad(n) {
			err = fmt.Errorf("number %d is bad", n)
			break
		}
		if _, ok := sums[key]; !ok {
			sums[key] = l.sum(key)
		}
		sums[key] += n
		numbers = append(numbers, n)
	}
	l.book(&out, sums, numbers, func() {})
	return out, len(numbers), err
}

// Add implements spine.Gatherer.
func (g *gatheredSums) Add(_ context.Context, batch []spine.Input) (full bool, err error) {
	l, numbers := g.of, make([]int, len(batch))
	for i := range batch {
		numbers[i] = N(batch[i].Event)
	}
	l.mu.Lock()
	l.adds = append(l.adds, numbers)
	l.mu.Unlock()
	if l.add != nil {
		if full, err = l.add(g, batch); err != nil {
			return full, err
		}
	}
	for i, n := range numbers {
		if l.isBad(n) {
			return false, fmt.Errorf("number %d is bad", n)
		}
		key := string(batch[i].Stream)
		if _, ok := g.sums[key]; !ok {
			g.sums[key] = l.sum(key)
		}
		g.sums[key] += n
		g.numbers = append(g.numbers, n)
	}
	return full, nil
}

// Output implements spine.Gatherer.
func (g *gatheredSums) Output() (out spine.Output, err error) {
	g.of.book(&out, g.sums, g.numbers, func() { g.numbers = nil })
	if g.of.output != nil {
		err = g.of.output(&out)
	}
	return out, err
}

func (l *ledger) isBad(n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bad[n]
}

func (l *ledger) sum(key string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sums[key]
}

// done are the numbers that were committed, in their order.
func (l *ledger) done() (all []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Concat(l.commits...)
}

// count is how many commits and Adds there were.
func (l *ledger) count() (commits, adds, dropped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.commits), len(l.adds), l.dropped
}

// want compares what was committed: each number once, and sums that are of these.
func (l *ledger) want(t *Trial, numbers ...int) {
	t.Helper()
	if got := slices.Sorted(slices.Values(l.done())); !slices.Equal(got, numbers) {
		t.Errorf("the numbers %v were committed, want %v", got, numbers)
	}
	sums := map[string]int{}
	for _, e := range t.Events(eventstore.OfType("in")) {
		if slices.Contains(numbers, N(&e)) {
			sums[string(e.Stream)] += N(&e)
		}
	}
	for key, sum := range sums {
		if got := l.sum(key); got != sum {
			t.Errorf("the sum of %s is %d, want %d", key, got, sum)
		}
	}
}

// numbered puts events with the numbers from … to, in three streams.
func (t *Trial) numbered(from, to int) (ns []int) {
	t.Helper()
	var events []eventstore.Event
	for n := from; n <= to; n++ {
		events, ns = append(events, Event(fmt.Sprint("s-", n%3), "in", n)), append(ns, n)
	}
	t.Put(events...)
	return ns
}

func gathersAll(t *Trial) {
	var l ledger
	sp := t.another(spine.Config{}, l.organ())
	ns := t.numbered(1, 20)
	t.Drain(sp)
	l.want(t, ns...)
	if commits, adds, _ := l.count(); commits != 1 || adds != 1 {
		t.Errorf("there were %d commits of %d Adds, want one of one", commits, adds)
	}
	ns = append(ns, t.numbered(21, 25)...)
	t.Start(sp)
	t.Done("ledger")
	l.want(t, ns...)
}

func gathersInPortions(t *Trial) {
	var l ledger
	o := l.organ()
	o.MaxBatch = 2
	ns := t.numbered(1, 400)
	t.Drain(t.another(spine.Config{}, o))
	l.want(t, ns...)
	for _, some := range l.adds {
		if len(some) > 2 {
			t.Fatalf("%d events were added at once", len(some))
		}
	}
	if commits, adds, _ := l.count(); commits > adds/2 {
		t.Errorf("there were %d commits of %d Adds", commits, adds)
	}
}

func gathersFull(t *Trial) {
	var l ledger
	o := l.organ()
	o.MaxBatch = 2
	full := false
	l.add = func(g *gatheredSums, batch []spine.Input) (bool, error) {
		if full && len(g.numbers) > 0 {
			t.Errorf("it was full, and gets more with %d not committed", len(g.numbers))
		}
		full = len(g.numbers)+len(batch) >= 6
		return full, nil
	}
	ns := t.numbered(1, 50)
	t.Drain(t.another(spine.Config{}, o))
	l.want(t, ns...)
	if commits, _, _ := l.count(); commits < 9 {
		t.Errorf("there were %d commits, want 9 at least", commits)
	}
}

func gathersAgain(t *Trial) {
	var l ledger
	o := l.organ()
	o.MaxBatch = 5
	var first *gatheredSums
	tries := 0
	l.add = func(g *gatheredSums, _ []spine.Input) (bool, error) {
		if first == nil {
			first = g
		}
		if tries++; tries == 2 || tries == 3 {
			return false, fmt.Errorf("not now: %w", eventstore.ErrUnavailable)
		}
		if g != first {
			t.Error("it is another Gatherer")
		}
		return false, nil
	}
	ns := t.numbered(1, 10)
	t.Drain(t.another(spine.Config{}, o))
	l.want(t, ns...)
	if want := [][]int{ns[:5], ns[5:], ns[5:], ns[5:]}; fmt.Sprint(l.adds) != fmt.Sprint(want) {
		t.Errorf("it got %v, want %v", l.adds, want)
	}
}

// gathersUntilTheEnd ends Run while the Gatherer is at work.
func gathersUntilTheEnd(t *Trial) {
	var l ledger
	o := l.organ()
	o.MaxBatch = 2
	busy, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	l.add = func(g *gatheredSums, _ []spine.Input) (bool, error) {
		if len(g.sums) > 0 {
			once.Do(func() {
				close(busy)
				<-goOn
			})
		}
		return false, nil
	}
	ns := t.numbered(1, 10)
	sp := t.another(spine.Config{}, o)
	ctx, end := context.WithCancel(t.Ctx)
	ended := make(chan error, 1)
	go func() { ended <- sp.Run(ctx) }()
	<-busy
	end()
	close(goOn)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	l.want(t, ns[:4]...)
	t.Drain(sp)
	l.want(t, ns...)
}
