package spine

import (
	"sync"
	"time"
)

// hands counts the deliveries that a team has, and knows how long they take.
type hands struct {
	changed chan struct{} // there are fewer

	mu   sync.Mutex
	all  int           // not settled yet
	open int           // those that need a worker yet
	pace time.Duration // how long a worker has one: an average, in which the last ones count most
}

func newHands() hands { return hands{changed: make(chan struct{}, 1), pace: spareTime} }

// room is how many deliveries to take: limit of any kind, for which workers are free, and ahead of those that are new. A team
// with much in its hands lets some room gather first, and takes half of what it can hold at most: so one half is taken while
// another is handled and committed.
func (h *hands) room(workers int, patience time.Duration) (limit, ahead int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	spare := int(min(spareMost, time.Duration(workers)*(patience/100)/h.pace))
	room := workers + spare - h.all
	if room <= 0 || h.all > 0 && room < spare/4 {
		return 0, 0
	}
	room = min(room, max(workers, (workers+spare)/2))
	limit = max(0, min(room, workers-h.open))
	return limit, room - limit
}

func (h *hands) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all
}

// take counts deliveries that were taken.
func (h *hands) take(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all, h.open = h.all+n, h.open+n
}

// done counts one that is settled.
func (h *hands) done() {
	h.mu.Lock()
	h.all--
	h.mu.Unlock()
	h.fire()
}

// need counts one that needs a worker once more.
func (h *hands) need() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open++
}

// free counts one that needs no worker any more.
func (h *hands) free() {
	h.mu.Lock()
	h.open--
	h.mu.Unlock()
	h.fire()
}

// handled notes how long a worker had a delivery.
func (h *hands) handled(took time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pace = max(1, h.pace+(took-h.pace)/8)
}

// slow has nothing taken ahead until it is seen that handling is fast.
func (h *hands) slow() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pace = max(h.pace, spareTime)
}

func (h *hands) fire() {
	select {
	case h.changed <- struct{}{}:
	default:
	}
}
