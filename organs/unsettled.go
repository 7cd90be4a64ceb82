package organs

import (
	"slices"
	"sync"

	"github.com/necrostack/necrostack/eventstore"
)

// unsettled is what decisions are about to append that are handled for one commit, by their batch: no read can
// see it yet.
type unsettled struct {
	mu sync.Mutex
	by map[any][]eventstore.Event
}

// has reports whether a query selects any of it.
func (u *unsettled) has(batch any, q eventstore.Query) bool {
	if batch == nil {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.ContainsFunc(u.by[batch], func(e eventstore.Event) bool { return q.Matches(&e) })
}

// add adds what a commit appends, and returns what ends the batch: once one of it is settled, nothing more is
// decided in it.
func (u *unsettled) add(batch any, c *eventstore.Commit) (settled func(eventstore.Result, error)) {
	if batch == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.by == nil {
		u.by = map[any][]eventstore.Event{}
	}
	for i := range c.Appends {
		u.by[batch] = append(u.by[batch], c.Appends[i].Events...)
	}
	return func(eventstore.Result, error) {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.by, batch)
	}
}
