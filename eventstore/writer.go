package eventstore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/necrostack/necrostack/internal/signal"
)

// A writer gathers commits into batches: while one batch is being written, the next one forms. There is no
// timer, so a lone commit goes out at once. It has a goroutine only while there is something to write.
type writer struct {
	backend Backend
	prompt  bool // the backend is a Prompt
	moved   *signal.Signal
	ctx     context.Context //nolint:containedctx // the store's own: a batch must outlive each of its callers
	cancel  context.CancelFunc

	mu      sync.Mutex
	queue   []*request
	running bool
	closed  bool
	idle    sync.Cond // running has become false

	requests sync.Pool // of *request: a commit in memory costs little more than its allocations
	lent     []Commit  // reused between batches, by the goroutine
}

// request is one commit on its way.
type request struct {
	commit  Commit
	outcome Outcome
	done    chan struct{} // filled when outcome stands
}

// take returns the outcome, and the request to the pool. Nobody else may know the request any more.
func (w *writer) take(r *request) (Result, error) {
	o := r.outcome
	r.commit, r.outcome = Commit{}, Outcome{}
	w.requests.Put(r)
	return o.Result, o.Err
}

func newWriter(b Backend, moved *signal.Signal) *writer {
	_, prompt := b.(Prompt)
	w := &writer{backend: b, prompt: prompt, moved: moved}
	w.idle.L = &w.mu
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

func (w *writer) write(ctx context.Context, c Commit) (Result, error) {
	if ctx.Err() != nil {
		return Result{}, fmt.Errorf("commit: %w", context.Cause(ctx))
	}
	r, _ := w.requests.Get().(*request)
	if r == nil {
		r = &request{done: make(chan struct{}, 1)}
	}
	r.commit = c
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return Result{}, fmt.Errorf("commit: %w", ErrClosed)
	}
	if !w.running && w.prompt {
		w.running = true
		w.mu.Unlock()
		return w.alone(ctx, r)
	}
	w.queue = append(w.queue, r)
	if !w.running {
		w.running = true
		go w.run()
	}
	w.mu.Unlock()
	select {
	case <-r.done:
		return w.take(r)
	case <-ctx.Done():
		return w.giveUp(ctx, r)
	}
}

// alone writes a request that nothing else is written with, where it is: the way to another goroutine and back takes a
// good part of what a commit does. What has come meanwhile is the goroutine's.
func (w *writer) alone(ctx context.Context, r *request) (Result, error) {
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.queue) > 0 {
			go w.run()
		} else {
			w.running = false
			w.idle.Broadcast()
		}
	}()
	w.commit(ctx, []*request{r})
	<-r.done
	return w.take(r)
}

// giveUp takes a request out of the queue, or reports that it is too late for that.
func (w *writer) giveUp(ctx context.Context, r *request) (Result, error) {
	w.mu.Lock()
	i := slices.Index(w.queue, r)
	if i >= 0 {
		w.queue = slices.Delete(w.queue, i, i+1)
	}
	w.mu.Unlock()
	if i >= 0 {
		return Result{}, fmt.Errorf("commit: %w", context.Cause(ctx))
	}
	select {
	case <-r.done:
		return w.take(r)
	default:
		return Result{}, &OutcomeUnknownError{Commit: r.commit.clone(), Err: context.Cause(ctx)}
	}
}

// run writes batches until the queue is empty.
func (w *writer) run() {
	for {
		w.mu.Lock()
		batch := w.gather()
		if len(batch) == 0 {
			w.running = false
			w.idle.Broadcast()
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		w.commit(w.ctx, batch)
		w.yield()
	}
}

// yield lets those run who have just got their outcomes, as long as more commits come of it: they go with the next batch,
// rather than wait for the one after it. What has a fixed price, such as a flush, is paid half as often then.
func (w *writer) yield() {
	for before := -1; ; {
		w.mu.Lock()
		waiting := len(w.queue)
		w.mu.Unlock()
		if waiting == 0 || waiting == before {
			return
		}
		before = waiting
		runtime.Gosched()
	}
}

// gather takes from the queue what may go together. What depends on it stays, and goes first next time.
func (w *writer) gather() []*request {
	if len(w.queue) <= 1 {
		batch := w.queue
		w.queue = nil
		return batch
	}
	var b batch
	taken, held := make([]*request, 0, len(w.queue)), w.queue[:0]
	for i, r := range w.queue {
		if len(held) == maxHeld || b.full() {
			held = append(held, w.queue[i:]...)
			break
		}
		if b.add(&r.commit) {
			taken = append(taken, r)
		} else {
			held = append(held, r)
		}
	}
	clear(w.queue[len(held):])
	w.queue = held
	return taken
}

// commit writes a batch. One that the server refuses is halved until the commit to blame stands alone.
func (w *writer) commit(ctx context.Context, batch []*request) {
	w.lent = w.lent[:0]
	for _, r := range batch {
		w.lent = append(w.lent, r.commit)
	}
	outcomes, err := w.backend.Commit(ctx, w.lent)
	clear(w.lent)
	if err == nil && len(outcomes) != len(batch) {
		err = fmt.Errorf("backend %T returned %d outcomes for %d commits: %w", w.backend, len(outcomes), len(batch), ErrOutcomeUnknown)
	}
	if errors.Is(err, ErrRefused) && len(batch) > 1 {
		w.commit(ctx, batch[:len(batch)/2])
		w.commit(ctx, batch[len(batch)/2:])
		return
	}
	moved := false
	for i, r := range batch {
		if err != nil {
			r.outcome.Err = err
		} else {
			r.outcome = outcomes[i]
		}
		if p := r.outcome.Result.Position; p > 0 {
			r.outcome.Result.First = p - Position(r.commit.events()) + 1
		}
		if r.outcome.Err != nil {
			r.outcome = Outcome{Err: describe(r)}
		}
		moved = moved || len(r.commit.Checkpoints) > 0
		r.done <- struct{}{} // r is the caller's now
	}
	if moved {
		w.moved.Fire()
	}
}

// describe wraps a failure, with the commit itself when nobody knows what became of it.
func describe(r *request) error {
	err := r.outcome.Err
	if !errors.Is(err, ErrOutcomeUnknown) {
		return fmt.Errorf("commit: %w", err)
	}
	return &OutcomeUnknownError{Commit: r.commit.clone(), Err: err}
}

// close refuses new requests and waits for those under way.
func (w *writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for w.running {
		w.idle.Wait()
	}
	w.cancel()
}
