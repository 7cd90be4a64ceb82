package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
)

// work is all that programs do with a log. It can be done any number of times, under other names, and keeps the first
// error.
type work struct {
	context.Context
	role  *pgxpool.Pool
	name  string
	log   *postgres.Backend
	store *eventstore.Store
	err   error
}

// doAllWork does it once. It ends with the first error.
func doAllWork(ctx context.Context, role *pgxpool.Pool, name string) error {
	b, err := postgres.New(ctx, role, postgres.Config{ManualMigration: true})
	if err != nil {
		return err
	}
	w := &work{Context: ctx, role: role, name: name, log: b, store: eventstore.New(b, eventstore.Config{})}
	for _, part := range []func(){w.appends, w.consumes, w.waits, w.operates, w.withinTransaction, w.reads} {
		if part(); w.err != nil {
			break
		}
	}
	return errors.Join(w.err, w.store.Close())
}

func (w *work) try(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *work) commit(c eventstore.Commit) {
	_, err := w.store.Commit(w, c)
	w.try(err)
}

// append returns what appends two events with a tag to a stream.
func (w *work) append(to string) eventstore.Append {
	a, err := w.store.NewAppend(eventstore.StreamOf(to, w.name), eventstore.Any, happened{}, happened{})
	w.try(err)
	a.Events[0].Tags = []string{w.name}
	return a
}

func (w *work) appends() {
	_, err := w.store.Append(w, eventstore.StreamOf("one", w.name), eventstore.NoStream, happened{})
	w.try(err)
	tagged := w.append("tagged")
	tagged.Events = tagged.Events[:1]
	w.commit(eventstore.Commit{Appends: []eventstore.Append{tagged}})
	w.commit(eventstore.Commit{Appends: []eventstore.Append{w.append("many")}, Unless: []eventstore.Condition{{Query: eventstore.WithTags("no " + w.name)}}})
}

// consumes defines a consumer anew, owns it, and moves, parks and delivers.
func (w *work) consumes() {
	c, err := w.log.Define(w, eventstore.Consumer{Name: w.name, Partitions: 1, Hash: "h"})
	w.try(err)
	c.Partitions = 2
	c, err = w.log.Redefine(w, c)
	w.try(err)
	member := eventstore.Member{ID: w.name, Consumers: []string{w.name}}
	_, err = w.log.Renew(w, member, time.Minute)
	w.try(err)
	leases, err := w.log.Claim(w, w.name, w.name, c.Generation, []int{0, 1})
	w.try(err)
	if w.err != nil {
		return
	}
	entries := []uuid.UUID{uuid.New(), uuid.New()}
	moved := eventstore.Commit{Checkpoints: []eventstore.Checkpoint{{Consumer: w.name, Epoch: leases[0].Epoch, To: 1}}}
	for _, id := range entries {
		moved.Parks = append(moved.Parks, eventstore.Parked{ID: id, Consumer: w.name, Key: "k", Position: 1, Event: id})
		moved.Deliveries = append(moved.Deliveries, eventstore.Delivery{ID: uuid.New(), Consumer: w.name, Position: 1, Event: id})
	}
	w.commit(moved)
	w.commit(eventstore.Commit{Unparks: entries[:1]})
	taken, err := w.log.Take(w, w.name, eventstore.Taking{Limit: 2, Visibility: time.Minute})
	w.try(err)
	if len(taken) != 2 {
		w.try(fmt.Errorf("took %v", taken))
		return
	}
	ack := func(d eventstore.Delivery) eventstore.Ack {
		return eventstore.Ack{Consumer: w.name, ID: d.ID, Attempt: d.Attempt}
	}
	w.commit(eventstore.Commit{Acks: []eventstore.Ack{ack(taken[0])}, Returns: []eventstore.Return{{Ack: ack(taken[1]), Due: time.Unix(0, 0)}}})
	w.try(w.log.Release(w, w.name, leases[:1]))
	w.try(w.log.Leave(w, w.name))
}

// waits makes schedules, of which one fires and one is called off, and snapshots.
func (w *work) waits() {
	later := eventstore.Schedule{ID: uuid.New(), Due: time.Now().Add(time.Hour), Append: w.append("later")}
	w.commit(eventstore.Commit{Schedules: []eventstore.Schedule{{ID: uuid.New(), Due: time.Unix(0, 0), Append: w.append("due")}, later}})
	w.commit(eventstore.Commit{Cancels: []uuid.UUID{later.ID}})
	_, _, err := w.log.Fire(w, 10)
	w.try(err)
	for version := range 2 {
		w.try(w.log.Save(w, eventstore.Snapshot{Fold: "f", Stream: eventstore.StreamOf("one", w.name), Version: eventstore.Version(version + 1), Data: []byte("{}")}))
	}
}

func (w *work) operates() {
	of := eventstore.ParkedFilter{Consumer: w.name}
	_, err := w.store.Redrive(w, of)
	w.try(err)
	_, err = w.store.Discard(w, of)
	w.try(err)
	w.try(w.store.Pause(w, w.name))
	w.try(w.store.Resume(w, w.name))
	w.try(w.store.Reset(w, w.name, 0))
	_, err = postgres.CheckHealth(w, w.store)
	w.try(err)
}

func (w *work) withinTransaction() {
	w.try(pgx.BeginFunc(w, w.role, func(tx pgx.Tx) error {
		return postgres.AppendTx(w, tx, w.store, eventstore.StreamOf("one", w.name), eventstore.Exact(1), happened{})
	}))
}

func (w *work) reads() {
	for _, q := range []eventstore.Query{eventstore.InStream(eventstore.StreamOf("due", w.name)), eventstore.WithTags(w.name), eventstore.All()} {
		n := 0
		for _, err := range w.store.Read(w, q, eventstore.Range{}) {
			w.try(err)
			n++
		}
		if n == 0 {
			w.try(fmt.Errorf("nothing was read of %v", q))
		}
	}
	_, err := w.log.Snapshot(w, "f", eventstore.StreamOf("one", w.name))
	w.try(err)
	_, err = w.store.Consumers(w)
	w.try(err)
	_, err = w.store.Roster(w, w.name)
	w.try(err)
	_, _, err = w.log.Window(w, w.name)
	w.try(err)
	for _, err := range w.log.Scheduled(w) {
		w.try(err)
	}
	for _, err := range w.store.Parked(w, eventstore.ParkedFilter{}) {
		w.try(err)
	}
	_, err = w.store.Wait(w, eventstore.Pulse{})
	w.try(err)
}
