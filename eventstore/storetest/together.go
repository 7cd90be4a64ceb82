package storetest

import (
	"fmt"
	"sync"

	"github.com/necrostack/necrostack/eventstore"
)

// together calls f n times at once and waits for all.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}

// meeting returns a function that returns only when all racers have called it. It can be used again.
func meeting() func() {
	var mu sync.Mutex
	here, next := 0, make(chan struct{})
	return func() {
		mu.Lock()
		all := next
		if here++; here == racers {
			here, next = 0, make(chan struct{})
			close(all)
		}
		mu.Unlock()
		<-all
	}
}

// The types of events that traffic consists of: mostly noise.
const (
	noise = "noise happened"
	rare  = "rarity happened"
)

// traffic writes commits of one to three events from several goroutines over each of the stores, with
// refused ones in between. The channel is closed when all of it is acknowledged.
func (t *trial) traffic(stores []*eventstore.Store, writers, commits int) <-chan struct{} {
	t.add(t.store, "taken-1", event(noise))
	done := make(chan struct{})
	go func() {
		defer close(done)
		together(writers, func(w int) {
			s := stores[w%len(stores)]
			for n := range commits {
				var c eventstore.Commit
				for i := range 1 + n%3 {
					e := event(noise, fmt.Sprintf("writer:%d", w))
					if (n+i)%5 == 0 {
						e = event(rare, "rare")
					}
					c.Appends = append(c.Appends, to(eventstore.StreamOf("traffic", fmt.Sprint(w%3+i)), e))
				}
				if n%6 == 5 {
					c.Appends = append(c.Appends, expecting(eventstore.NoStream, "taken-1", event(noise)))
				}
				if _, err := s.Commit(t.ctx, c); (err != nil) != (n%6 == 5) {
					t.Errorf("could not try whether %s: commit %s: %v", t.says, showCommit(c), err)
					return
				}
			}
		})
	}()
	return done
}

// follow reads on and on, from Through to Through, until it has nothing left to read after done. Should the
// reader be led astray, it reports that and returns what it has.
func (t *trial) follow(s *eventstore.Store, q eventstore.Query, limit int, done <-chan struct{}) (got []eventstore.Event) {
	at := eventstore.Position(0)
	for {
		over := false
		select {
		case <-done:
			over = true
		default:
		}
		n, through := 0, eventstore.Position(-1)
		r := eventstore.Range{After: at, Limit: limit, Through: &through}
		for e, err := range s.Read(t.ctx, q, r) {
			if err != nil {
				t.Errorf("could not try whether %s: read %s: %v", t.says, showRange(r), err)
				return got
			}
			if e.Position <= at {
				t.broken("a reader that had gone on to %d was given %s", at, show(e))
				return got
			}
			got = append(got, e)
			n++
		}
		if through < at {
			t.broken("a read after %d reported Through %d, which leads back", at, through)
			return got
		}
		at = through
		if over && n == 0 {
			return got
		}
	}
}

// missed reports the events of the whole log that a reader of q should have got, and did not.
func (t *trial) missed(q eventstore.Query, got []eventstore.Event) {
	t.Helper()
	want, _ := t.read(t.store, q, eventstore.Range{})
	seen := map[eventstore.Position]int{}
	for _, e := range got {
		seen[e.Position]++
	}
	for _, e := range want {
		switch n := seen[e.Position]; {
		case n == 0:
			t.broken("a reader of %s that went from Through to Through was never given %s", showQuery(q), show(e))
			return
		case n > 1:
			t.broken("a reader of %s that went from Through to Through was given %s %d times", showQuery(q), show(e), n)
			return
		}
	}
	if len(got) != len(want) {
		t.broken("a reader of %s was given %d events; the log holds %d", showQuery(q), len(got), len(want))
	}
}
