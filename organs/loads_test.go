package organs_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

// slow is a backend whose reads take their time.
type slow struct {
	*memory.Backend

	takes time.Duration
	fails atomic.Int64 // so many reads
	reads atomic.Int64
}

var errRead = errors.New("no answer")

func (b *slow) Read(ctx context.Context, q eventstore.Query, r eventstore.Range) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		b.reads.Add(1)
		select {
		case <-time.After(b.takes):
		case <-ctx.Done():
			yield(eventstore.Event{}, ctx.Err())
			return
		}
		if b.fails.Add(-1) >= 0 {
			yield(eventstore.Event{}, errRead)
			return
		}
		b.Backend.Read(ctx, q, r)(yield)
	}
}

// sendAll withdraws 4 from each of n accounts at the same time, which have 10 in so many events, and returns how many reads
// that took.
func sendAll(t *testing.T, b *slow, n, deposits int) (reads int64, errs []error) {
	t.Helper()
	st := open(t, b)
	defer st.Close()
	sp := newSpine(t, st, accounts())
	for i := range n {
		all := make([]eventstore.Payload, deposits)
		for k := range all {
			all[k] = Deposited{}
		}
		all[0] = Deposited{10}
		for some := range slices.Chunk(all, 500) {
			appendTo(t, st, eventstore.StreamOf("account", fmt.Sprint(i)), some...)
		}
	}
	before := b.reads.Load()
	var sent sync.WaitGroup
	errs = make([]error, n)
	for i := range n {
		sent.Go(func() { _, errs[i] = sp.Send(t.Context(), Withdraw{fmt.Sprint(i), 4}) })
	}
	sent.Wait()
	reads = b.reads.Load() - before
	for i := range n {
		if errs[i] == nil {
			wantBalance(t, st, fmt.Sprint(i), 6)
		}
	}
	return reads, errs
}

func TestStreamsThatAreNeededAtTheSameTimeAreReadTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 50
		reads, errs := sendAll(t, &slow{Backend: memory.New(), takes: time.Millisecond}, n, 1)
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if reads > 3 { // the first, and what came meanwhile
			t.Errorf("%d commands made %d reads", n, reads)
		}
	})
}

func TestNobodyWaitsLongForWhatAnotherReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n, takes = 20, time.Minute
		began := time.Now()
		_, errs := sendAll(t, &slow{Backend: memory.New(), takes: takes}, n, 1)
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began) - (n+1)*takes; waited > takes { // the balances are read one by one
			t.Errorf("it took %v longer than one read each", waited)
		}
	})
}

func TestAReadForManyThatFailsIsTheFaultOfNoneOfThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 20
		b := &slow{Backend: memory.New(), takes: time.Millisecond}
		b.fails.Store(2) // that of who came first, and the one for all others
		_, errs := sendAll(t, b, n, 1)
		failed := 0
		for _, err := range errs {
			if err != nil && !errors.Is(err, errRead) {
				t.Fatal(err)
			}
			if err != nil {
				failed++
			}
		}
		if failed > 1 {
			t.Errorf("%d of %d commands failed", failed, n)
		}
	})
}

func TestLongStreamsAreReadByThemselves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n, long = 8, 5000 // two of them are more than is read together
		reads, errs := sendAll(t, &slow{Backend: memory.New(), takes: time.Millisecond}, n, long)
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if reads < n {
			t.Errorf("%d streams of %d events were read by %d reads", n, long, reads)
		}
	})
}

// A state that was read with others is as good as one that was read alone: no command is lost, and none is decided on what was
// old.
func TestReadingTogetherLosesNoCommand(t *testing.T) {
	t.Parallel()
	const accountsOf, each = 20, 10
	st := open(t, &slow{Backend: memory.New(), takes: 100 * time.Microsecond})
	defer st.Close()
	as := accounts()
	as.Cache = 4 // so that most are read again and again
	sp := newSpine(t, st, as)
	for i := range accountsOf {
		appendTo(t, st, eventstore.StreamOf("account", fmt.Sprint(i)), Deposited{each - 1})
	}
	var refused atomic.Int64
	var sent sync.WaitGroup
	for i := range accountsOf {
		for range each {
			sent.Go(func() {
				_, err := sp.Send(t.Context(), Withdraw{fmt.Sprint(i), 1})
				if _, ok := errors.AsType[*spine.RejectedError](err); ok {
					refused.Add(1)
				} else if err != nil {
					t.Error(err)
				}
			})
		}
	}
	sent.Wait()
	for i := range accountsOf {
		wantBalance(t, st, fmt.Sprint(i), 0)
	}
	if refused.Load() != accountsOf {
		t.Errorf("%d commands were refused, of %d one each", refused.Load(), accountsOf)
	}
}
