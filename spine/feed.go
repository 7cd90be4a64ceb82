package spine

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/signal"
)

// Bounds of what is kept in memory of the log.
const (
	chunkEvents = 512     // of one chunk
	chunkBytes  = 4 << 20 // likewise; passed by one event at most
	keptBytes   = 64 << 20
	keptChunks  = 256
)

// feed reads the log once for all lanes. Lanes pull: each asks for the chunk that follows what it has, so a
// slow one holds nobody up, and lanes that are near each other share a read, wherever in the log they are.
// A lane at the end of the log waits, and is woken only by a chunk that has something for it.
type feed struct {
	store     *eventstore.Store
	query     eventstore.Query // what any consumer listens to
	consumers int
	scratch   sync.Pool // of *[]eventstore.Event, so that a chunk is no bigger than what it holds

	mu      sync.Mutex
	lanes   map[*lane]bool      // true: waits at the end of the log
	busy    int                 // lanes that do not wait
	quiet   func()              // called when busy falls to 0
	waiting int                 // lanes that do
	waits   signal.Signal       // one more does, or none is left
	tail    eventstore.Position // where the lanes that wait are, or behind it
	chunks  []*chunk            // in the order they were last used
	bytes   int                 // of payloads in all chunks
	reading map[eventstore.Position]*reading
	moved   *sync.Cond // some lane's checkpoint is no longer being moved by another lane's commit
}

// reading is a chunk on its way, for all who want it.
type reading struct {
	done  chan struct{}
	chunk *chunk
	err   error
}

// chunk is what the log holds after one position and through another.
type chunk struct {
	after, through eventstore.Position
	events         []eventstore.Event
	bytes          int     // of payloads
	splits         []split // by consumer
}

// split is a chunk's events by the partitions of a consumer; made when the first lane asks.
type split struct {
	mu   sync.Mutex
	made atomic.Pointer[sorted]
}

// sorted is what the partitions of one shape of a consumer have to handle.
type sorted struct {
	shape *shape
	lanes [][]Input
}

func newFeed(store *eventstore.Store, consumers []*consumer) *feed {
	f := &feed{store: store, consumers: len(consumers), lanes: map[*lane]bool{}, reading: map[eventstore.Position]*reading{}, quiet: func() {}}
	f.moved = sync.NewCond(&f.mu)
	for _, c := range consumers {
		f.query = f.query.Or(c.Listens)
	}
	return f
}

// next returns the lane's next events and the position through which these are all. It waits for them, but
// returns none as soon as the lane has something else to do. If they are handled together, it goes on reading as long as
// there is more to have at once, but not for so long that what the lane has would stay uncommitted: there may be little for
// it in much of the log.
func (f *feed) next(ctx context.Context, l *lane) (got []Input, through eventstore.Position, err error) {
	holds, began := l.gathering.events > 0, time.Time{} // when the lane got the first that is not committed
	if holds {
		began = l.gathering.since
	}
	for {
		if ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
		f.mu.Lock()
		if l.idle = len(got) == 0 && !holds; l.idle {
			l.since = time.Time{}
		}
		c := f.kept(l.readTo)
		wait := l.ended() || c == nil && l.readTo >= f.tail
		if wait && (len(got) > 0 || holds) {
			through := l.readTo
			f.mu.Unlock()
			l.got = len(got)
			return got, through, nil
		}
		if wait {
			f.park(l)
		}
		after := l.readTo
		f.mu.Unlock()
		if wait {
			if f.wait(ctx, l) {
				continue
			}
			return nil, 0, ctx.Err()
		}
		if c == nil {
			if c, err = f.fetch(ctx, after); err != nil {
				if (len(got) > 0 || holds) && ctx.Err() == nil {
					return got, after, nil // it will show again
				}
				return nil, 0, err
			}
		}
		in := c.lane(l)
		f.mu.Lock()
		in = l.between(in, l.readTo)
		l.readTo = max(l.readTo, l.bound(c.through))
		through = l.readTo
		if len(got) == 0 && !holds && len(in) > 0 {
			l.idle, l.since = false, in[0].Time
		}
		f.mu.Unlock()
		if began.IsZero() && len(in) > 0 {
			began = time.Now()
		}
		switch {
		case l.consumer.HandleBatch == nil && len(in) > 0:
			return in, through, nil
		case len(got)+len(in) >= l.consumer.most(), !began.IsZero() && time.Since(began) >= gatherMost:
			got = append(got, in...)
			l.got = len(got)
			return got, through, nil
		case len(got)+len(in) == 0:
			l.engine.idle.Fire()
		}
		if got == nil && len(in) > 0 && l.got > len(in) { // there are likely to be as many as the last time
			got = make([]Input, 0, l.got)
		}
		got = append(got, in...)
	}
}

// wait blocks until the feed has something for the lane, and reports false if there is something else for it.
func (f *feed) wait(ctx context.Context, l *lane) bool {
	due, stop := l.quarantine.alarm()
	defer stop()
	select {
	case <-l.wake:
		return true
	case <-ctx.Done():
	case <-l.nudge:
	case <-due:
	}
	f.unpark(l)
	return false
}

// between drops the events up to a position, and those that are not the lane's any more.
func (l *lane) between(in []Input, after eventstore.Position) []Input {
	for len(in) > 0 && in[0].Position <= after {
		in = in[1:]
	}
	for len(in) > 0 && l.bound(in[len(in)-1].Position) < in[len(in)-1].Position {
		in = in[:len(in)-1]
	}
	return in
}

// bound is how far the lane may go towards a position.
func (l *lane) bound(p eventstore.Position) eventstore.Position {
	if u := l.shape.until; u > 0 {
		return min(p, u)
	}
	return p
}

// ended reports whether the lane has gone as far as it may.
func (l *lane) ended() bool { return l.shape.until > 0 && l.readTo >= l.shape.until }

// park lets a lane wait at the end of the log, or at what it takes for the end: if it is ahead of all that
// was read, the end is where it is.
func (f *feed) park(l *lane) {
	if f.waiting == 0 {
		f.tail = max(f.tail, l.readTo)
	}
	f.lanes[l] = true
	f.waiting++
	f.free()
}

// free counts a lane that is no longer busy.
func (f *feed) free() {
	if f.busy--; f.busy == 0 {
		f.quiet()
	}
	f.waits.Fire()
}

// occupy counts a lane that no longer waits.
func (f *feed) occupy(l *lane) {
	f.lanes[l] = false
	f.waiting--
	f.busy++
}

// awaitLane blocks until some lane waits, or there is none, so that nobody reads ahead of all lanes.
func (f *feed) awaitLane(ctx context.Context) {
	for ctx.Err() == nil {
		changed := f.waits.Wait()
		f.mu.Lock()
		ready := f.waiting > 0 || f.busy == 0
		f.mu.Unlock()
		if ready {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// unpark ends a lane's wait, if nothing else has.
func (f *feed) unpark(l *lane) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l.idle = false
	if f.lanes[l] {
		f.occupy(l)
		return
	}
	select {
	case <-l.wake: // it was woken meanwhile, and will look by itself
	default:
	}
}

// kept returns a chunk that holds what follows a position.
func (f *feed) kept(after eventstore.Position) *chunk {
	for i, c := range slices.Backward(f.chunks) {
		if c.after <= after && after < c.through {
			f.chunks = append(append(f.chunks[:i], f.chunks[i+1:]...), c)
			return c
		}
	}
	return nil
}

// keep keeps a chunk for the lanes that are near, and forgets those that were not used for longest.
func (f *feed) keep(c *chunk) {
	f.chunks = append(f.chunks, c)
	f.bytes += c.bytes
	drop := 0
	for len(f.chunks)-drop > keptChunks || f.bytes > keptBytes && drop < len(f.chunks)-1 {
		f.bytes -= f.chunks[drop].bytes
		drop++
	}
	f.chunks = slices.Delete(f.chunks, 0, drop)
}

// fetch reads what follows a position, once for all who ask at the same time.
func (f *feed) fetch(ctx context.Context, after eventstore.Position) (*chunk, error) {
	for {
		f.mu.Lock()
		r, others := f.reading[after]
		if !others {
			r = &reading{done: make(chan struct{})}
			f.reading[after] = r
		}
		f.mu.Unlock()
		if !others {
			r.chunk, r.err = f.read(ctx, after)
			f.mu.Lock()
			delete(f.reading, after)
			if r.err == nil && r.chunk.through > after {
				f.keep(r.chunk)
			}
			f.mu.Unlock()
			close(r.done)
			return r.chunk, r.err
		}
		select {
		case <-r.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if r.err == nil {
			return r.chunk, nil
		} // else the reader may have been told to stop, which is not about us: read ourselves
	}
}

func (f *feed) read(ctx context.Context, after eventstore.Position) (*chunk, error) {
	c := &chunk{after: after, splits: make([]split, f.consumers)}
	scratch, _ := f.scratch.Get().(*[]eventstore.Event)
	if scratch == nil {
		scratch = new([]eventstore.Event)
	}
	defer func() {
		clear(*scratch)
		*scratch = (*scratch)[:0]
		f.scratch.Put(scratch)
	}()
	size, full := 0, eventstore.Position(0)
	r := eventstore.Range{After: after, Limit: chunkEvents, Through: &c.through}
	for e, err := range f.store.Read(ctx, f.query, r) {
		if err != nil {
			return nil, err
		}
		if n := len(*scratch); size > chunkBytes && e.Position > (*scratch)[n-1].Position {
			full = (*scratch)[n-1].Position
			break
		}
		size += len(e.Data)
		*scratch = append(*scratch, e)
	}
	c.events, c.bytes = slices.Clone(*scratch), size
	eventstore.Share(c.events)
	if full > 0 {
		c.through = full
	}
	return c, nil
}

// lane returns the chunk's events for a lane.
func (c *chunk) lane(l *lane) []Input {
	s := &c.splits[l.consumer.index]
	if made := s.made.Load(); made != nil && made.shape == l.shape {
		return made.lanes[l.partition]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	made := s.made.Load()
	if made == nil || made.shape != l.shape {
		made = &sorted{l.shape, l.consumer.split(l.shape, c.events)}
		s.made.Store(made)
	}
	return made.lanes[l.partition]
}

// sortedFor reports whether lane need not call the user's functions.
func (c *chunk) sortedFor(l *lane) bool {
	made := c.splits[l.consumer.index].made.Load()
	return made != nil && made.shape == l.shape
}

// advance hands a chunk that was read at the end of the log to the lanes that wait there. Those that it has
// nothing for have read it too.
func (f *feed) advance(c *chunk) {
	f.mu.Lock()
	waiting := make([]*lane, 0, len(f.lanes))
	for l, waits := range f.lanes {
		if waits {
			waiting = append(waiting, l)
		}
	}
	f.mu.Unlock()
	for _, l := range waiting {
		c.lane(l) // split outside the lock: key functions are the user's
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for l, waits := range f.lanes {
		if !waits || l.ended() {
			continue
		}
		if !c.sortedFor(l) || len(l.between(c.lane(l), l.readTo)) > 0 {
			f.occupy(l)
			l.wake <- struct{}{}
		} else {
			l.readTo = max(l.readTo, l.bound(c.through))
		}
	}
	f.tail = max(f.tail, c.through)
}
