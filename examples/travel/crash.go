package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

// errCrashed is why a life in memory ends.
var errCrashed = errors.New("crashed")

// crash is a spine.Observer that ends a life when so many events have been handled. What comes of the last one is not in the
// log then, nor is whatever others are about to write; but what a service was asked for it has done.
type crash struct {
	at   int
	seen atomic.Int64
	die  func()
}

// Observe implements spine.Observer.
func (c *crash) Observe(ctx context.Context, seen spine.Observation) context.Context {
	if seen.Step == spine.EventCompleted && c.seen.Add(1) == int64(c.at) {
		c.die()
	}
	return ctx
}

// crashing makes what crashes a life; never, if at is 0. A log in memory would go with its process, so there only the life ends:
// nothing of it can reach the log any more.
func (a *agency) crashing(at int, store *eventstore.Store, end context.CancelCauseFunc) *crash {
	c := &crash{at: at}
	c.die = func() {
		if inMemory(store) {
			fmt.Fprintf(a.diagnostics, "travel: crashed after %d events, and another run goes on\n", c.at)
			end(errCrashed)
			_ = store.Close() // it never fails in memory
			return
		}
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			fmt.Fprintf(a.diagnostics, "travel: SIGKILL to process %d after %d events; start it again without -crash-at\n", self.Pid, c.at)
			err = self.Kill()
		}
		end(err)
	}
	return c
}
