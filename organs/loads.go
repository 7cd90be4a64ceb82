package organs

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// Bounds of what is read together.
const (
	mostStreams = 128                  // by one read
	mostLoaded  = 8192                 // events: with more, each reads for itself
	mostBytes   = 8 << 20              // of payloads, likewise
	longStreams = 100                  // so many loads are not read together after that
	loadsWait   = 5 * time.Millisecond // until who waits for another's read begins one
)

// loads lets decisions that need streams at the same time read them together: what comes while one read is under way goes into
// the next.
type loads struct {
	store *eventstore.Store

	mu    sync.Mutex
	busy  bool
	queue []*load
	alone int // so many loads are each read alone: streams are long
}

// load is streams that somebody needs whole.
type load struct {
	streams []eventstore.Stream
	done    chan struct{} // closed when the others are set
	leads   bool          // it is to read, and then to pass
	others  []*load       // that it reads for
	events  map[eventstore.Stream][]eventstore.Event
	through eventstore.Position
	ok      bool // what was found is all there is
}

// together reads streams with those that others need. It returns nil if they are to be read alone, and what is then to be called
// when they are.
func (ls *loads) together(ctx context.Context, streams ...eventstore.Stream) (found *load, pass func()) {
	own := &load{streams: streams, done: make(chan struct{})}
	if !ls.enter(ctx, own) {
		return nil, func() {}
	}
	if own.leads {
		ls.take(own)
		if len(own.others) == 0 && len(streams) == 1 {
			return nil, ls.pass
		}
		defer ls.pass()
		ls.read(ctx, own)
	}
	if !own.ok {
		return nil, func() {}
	}
	return own, func() {}
}

// enter waits for the turn, or for another's read. It reports false if neither came in time.
func (ls *loads) enter(ctx context.Context, own *load) bool {
	ls.mu.Lock()
	if ls.alone > 0 {
		ls.alone--
		ls.mu.Unlock()
		return false
	}
	own.leads = !ls.busy
	if ls.busy = true; own.leads {
		ls.mu.Unlock()
		return true
	}
	ls.queue = append(ls.queue, own)
	ls.mu.Unlock()
	t := time.NewTimer(loadsWait)
	defer t.Stop()
	select {
	case <-own.done:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.queue = slices.DeleteFunc(ls.queue, func(l *load) bool { return l == own })
	return own.leads
}

// take takes those out of the queue that are read with own. Whoever was woken with it comes first.
func (ls *loads) take(own *load) {
	runtime.Gosched()
	ls.mu.Lock()
	defer ls.mu.Unlock()
	n, streams := 0, len(own.streams)
	for n < len(ls.queue) && streams+len(ls.queue[n].streams) <= mostStreams {
		streams += len(ls.queue[n].streams)
		n++
	}
	own.others = slices.Clone(ls.queue[:n])
	ls.queue = slices.Delete(ls.queue, 0, n)
}

// pass gives the turn to the next.
func (ls *loads) pass() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.busy = len(ls.queue) > 0; ls.busy {
		next := ls.queue[0]
		ls.queue = slices.Delete(ls.queue, 0, 1)
		next.leads = true
		close(next.done)
	}
}

// read reads for own and others. If that fails, each has to read for itself, and finds out.
func (ls *loads) read(ctx context.Context, own *load) {
	var q eventstore.Query
	all := append([]*load{own}, own.others...)
	for _, l := range all {
		for _, stream := range l.streams {
			q = q.Or(eventstore.InStream(stream))
		}
	}
	events, n, size := map[eventstore.Stream][]eventstore.Event{}, 0, 0
	r := eventstore.Range{Limit: mostLoaded, Through: new(eventstore.Position)}
	var fault error
	for ev, err := range ls.store.Read(ctx, q, r) {
		if fault = err; err != nil || size > mostBytes {
			break
		}
		events[ev.Stream] = append(events[ev.Stream], ev)
		n, size = n+1, size+len(ev.Data)
	}
	long := n >= mostLoaded || size > mostBytes
	if long {
		ls.mu.Lock()
		ls.alone = longStreams
		ls.mu.Unlock()
	}
	for _, l := range all {
		l.events, l.through, l.ok = events, *r.Through, fault == nil && !long
		if l != own {
			close(l.done)
		}
	}
}
