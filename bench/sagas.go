package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

const (
	atOnce     = 200 // sagas that run at the same time
	inTurn     = 20  // sagas that each of them is followed by, and is itself the first of
	stepsEach  = 3   // of a saga
	oneByOne   = 200 // sagas that are measured alone
	beforehand = 20  // sagas before that: not measured
)

func (s *server) sagaFigures() []figure {
	return []figure{
		{
			name: "saga-steps", unit: "steps/s", ours: s.with(sagaSteps),
			what: "steps of 200 three-step sagas at a time: a command through the log, decided by an aggregate, and its event folded by the saga",
		},
		{
			name: "saga-latency-p50", unit: "ms", ours: s.with(sagaLatency), value: percentile(50),
			what: "half of the three-step sagas ended within this time of being sent for, one after the other, nothing else running",
		},
		{
			name: "saga-timer-lag-p99", unit: "ms", ours: s.with(timerLag), value: percentile(99), runs: 3,
			what: "99 % of 1,000 timers a second, with 100,000 pending, had their process ended within this time of being due",
		},
	}
}

// An order is reserved, paid and shipped, by an organ each.
type (
	fulfil  struct{ Order string }
	reserve struct{ Order, Article string }
	pay     struct {
		Order string
		Cents int64
	}
	ship struct{ Order, Receipt string }

	reserved struct{ Shelf string }
	paid     struct{ Receipt string }
	shipped  struct{ Parcel string }

	fulfilment struct {
		Order, Article, Shelf, Receipt, Parcel string
		Cents                                  int64
	}
)

func (fulfil) CommandType() string  { return "fulfil order" }
func (reserve) CommandType() string { return "reserve article" }
func (pay) CommandType() string     { return "pay order" }
func (ship) CommandType() string    { return "ship order" }

func (c fulfil) StreamID() string  { return c.Order }
func (c reserve) StreamID() string { return c.Order }
func (c pay) StreamID() string     { return c.Order }
func (c ship) StreamID() string    { return c.Order }

func (reserved) EventType() string { return "article reserved" }
func (paid) EventType() string     { return "order paid" }
func (shipped) EventType() string  { return "order shipped" }

var errTwice = errors.New("has happened already")

// participant is an organ that does one thing once for each order.
func participant[C spine.Command, E eventstore.Payload](category string, event E) spine.Organ {
	return organs.Aggregate[bool]{
		Category: category,
		Evolve:   organs.Evolve[bool]{organs.On(func(done *bool, _ E) { *done = true })},
		Decide: organs.Decide[bool]{organs.Handle(func(done bool, _ C) (organs.Events, error) {
			if done {
				return nil, errTwice
			}
			return organs.Events{event}, nil
		})},
	}
}

// fulfilmentSaga is the one that is measured.
func fulfilmentSaga() sagas.Saga[fulfilment] {
	return sagas.Saga[fulfilment]{
		Name: "fulfilment",
		Start: sagas.StartBy(func(c fulfil) (fulfilment, error) {
			return fulfilment{Order: c.Order, Article: "article-4711", Cents: 18553}, nil
		}),
		Steps: sagas.Sequence[fulfilment]{
			sagas.Step[fulfilment]{
				ID: "reserve",
				Do: sagas.Command(func(f fulfilment) reserve { return reserve{f.Order, f.Article} }),
				On: sagas.Outcomes[fulfilment]{sagas.Success(func(f *fulfilment, e reserved) { f.Shelf = e.Shelf })},
			},
			sagas.Pivot[fulfilment]{
				ID: "pay",
				Do: sagas.Command(func(f fulfilment) pay { return pay{f.Order, f.Cents} }),
				On: sagas.Outcomes[fulfilment]{sagas.Success(func(f *fulfilment, e paid) { f.Receipt = e.Receipt })},
			},
			sagas.Step[fulfilment]{
				ID: "ship",
				Do: sagas.Command(func(f fulfilment) ship { return ship{f.Order, f.Receipt} }),
				On: sagas.Outcomes[fulfilment]{sagas.Success(func(f *fulfilment, e shipped) { f.Parcel = e.Parcel })},
			},
		},
	}
}

// fulfilling is the saga with those that take part in it.
func fulfilling() []spine.Organ {
	return []spine.Organ{
		fulfilmentSaga(),
		participant[reserve]("article", reserved{Shelf: "C-17"}),
		participant[pay]("payment", paid{Receipt: "receipt-123456"}),
		participant[ship]("shipment", shipped{Parcel: "parcel-98765"}),
	}
}

// sagaSteps measures sagas of which each is followed by the next one when its end is seen in the log. The first of each do not
// count: they all begin at once, and what is done for the first time is.
func sagaSteps(ctx context.Context, l *log) (m measured, err error) {
	var start time.Time
	var took [atOnce][]time.Duration
	err = running(ctx, l.store, fulfilling(), func(ctx context.Context, sp *spine.Spine) error {
		w := newEndings()
		return w.during(ctx, l.store, func(ctx context.Context) error {
			var first sync.WaitGroup
			first.Add(atOnce)
			return together(atOnce, func(slot int) error {
				for k := range inTurn {
					began := time.Now()
					err := w.fulfil(ctx, sp, fmt.Sprintf("%d.%d", slot, k))
					if k > 0 {
						took[slot] = append(took[slot], time.Since(began))
					} else {
						first.Done()
						first.Wait()
						if slot == 0 {
							start = time.Now()
						}
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
		})
	})
	if err != nil {
		return m, err
	}
	m.took = slices.Concat(took[:]...)
	slices.Sort(m.took)
	m.rate = float64(len(m.took)*stepsEach) / time.Since(start).Seconds()
	return m, l.fulfilled(ctx, atOnce*inTurn)
}

// sagaLatency measures one saga after the other.
func sagaLatency(ctx context.Context, l *log) (m measured, err error) {
	start := time.Now()
	err = running(ctx, l.store, fulfilling(), func(ctx context.Context, sp *spine.Spine) error {
		w := newEndings()
		return w.during(ctx, l.store, func(ctx context.Context) error {
			for k := range beforehand + oneByOne {
				began := time.Now()
				if err := w.fulfil(ctx, sp, fmt.Sprint(k)); err != nil {
					return err
				}
				if k >= beforehand {
					m.took = append(m.took, time.Since(began))
				} else {
					start = time.Now()
				}
			}
			return nil
		})
	})
	if err != nil {
		return m, err
	}
	slices.Sort(m.took)
	m.rate = oneByOne / time.Since(start).Seconds()
	return m, l.fulfilled(ctx, beforehand+oneByOne)
}

// fulfilled checks that so many sagas have come to their end, in three steps that were each done once.
func (l *log) fulfilled(ctx context.Context, want int) error {
	return l.server.connected(ctx, func(conn *pgx.Conn) error {
		for typ, each := range map[string]int{
			"fulfil order": 0, "saga began": 1, "saga ended": 1, "command accepted": stepsEach, "command rejected": 0,
			"reserve article": 1, "article reserved": 1, "pay order": 1, "order paid": 1, "ship order": 1, "order shipped": 1,
		} {
			var got, streams int
			err := conn.QueryRow(ctx, fmt.Sprintf("SELECT count(*), count(DISTINCT stream) FROM %s WHERE type = $1", l.table()), typ).Scan(&got, &streams)
			if err == nil && (got != each*want || got != streams) {
				err = fmt.Errorf("%d sagas have led to %d events %q in %d streams, not %d", want, got, typ, streams, each*want)
			}
			if err != nil {
				return err
			}
		}
		var parked, completed int
		err := conn.QueryRow(ctx, fmt.Sprintf(`SELECT (SELECT count(*) FROM %s.parked),
			(SELECT count(*) FROM %s WHERE type = 'saga ended' AND data ->> 'state' = 'completed')`, l.schema, l.table())).Scan(&parked, &completed)
		if err == nil && (parked > 0 || completed != want) {
			err = fmt.Errorf("of %d sagas, %d are completed, and %d events are parked", want, completed, parked)
		}
		return err
	})
}

// endings tells who waits for it that an instance's end is in the log.
type endings struct {
	mu     sync.Mutex
	waited map[string]chan time.Time
}

func newEndings() *endings { return &endings{waited: map[string]chan time.Time{}} }

// of gets the time when the instance's end was seen.
func (w *endings) of(instance string) <-chan time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := make(chan time.Time, 1)
	w.waited[instance] = c
	return c
}

// fulfil sends for one saga, and waits for its end.
func (w *endings) fulfil(ctx context.Context, sp *spine.Spine, order string) error {
	ended := w.of(order)
	if _, err := sp.Send(ctx, fulfil{order}); err != nil {
		return err
	}
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// during reads the log while something is done: as a client would, that has the store and nothing else.
func (w *endings) during(ctx context.Context, store *eventstore.Store, do func(context.Context) error) error {
	ctx, stop := context.WithTimeoutCause(ctx, patience, errors.New("not all of them have ended"))
	defer stop()
	reads, end := context.WithCancel(ctx)
	read := make(chan error, 1)
	go func() {
		defer stop()
		read <- w.read(reads, store)
	}()
	err := do(ctx)
	end()
	return errors.Join(err, <-read)
}

// read tells of each end until ctx ends.
func (w *endings) read(ctx context.Context, store *eventstore.Store) error {
	var seen eventstore.Pulse
	after := eventstore.Position(0)
	query := eventstore.OfType(sagas.Ended{}.EventType())
	for ctx.Err() == nil {
		for ev, err := range store.Read(ctx, query, eventstore.Range{After: after, Through: &after}) {
			var e sagas.Ended
			if err == nil {
				e, err = eventstore.Decode[sagas.Ended](ev)
			}
			if err != nil {
				return unless(ctx, err)
			}
			w.tell(e.Instance)
		}
		var err error
		seen.Head = after
		if seen, err = store.Wait(ctx, seen); err != nil {
			return unless(ctx, err)
		}
	}
	return nil
}

// unless drops an error that the end of ctx is to blame for.
func unless(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // that is what it is for
	}
	return err
}

func (w *endings) tell(instance string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c, waited := w.waited[instance]; waited {
		delete(w.waited, instance)
		c <- time.Now()
	}
}
