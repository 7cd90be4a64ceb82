package postgres_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
)

// A race is one round: racers read, wait for each other, and commit on condition that what they have read still holds.
type race struct {
	Round   int
	Shape   string
	Hammers string // what those append meanwhile who expect nothing: nothing, "others", or the "same" as the racers
}

// raceShapes are those of conditions. In the mixed one, half of the racers look at the type and half at the tag of the same event.
var raceShapes = []string{"type", "tag", "type and tag", "type against tag", "all", "stream", "version", "no stream"}

const (
	racedType = "seat taken"
	racedTag  = "seat:1"
)

// stream is what racers append to in raceShapes that are about a stream.
func (r race) stream() eventstore.Stream {
	if r.Shape == "no stream" {
		return eventstore.StreamOf("fresh", fmt.Sprint(r.Round))
	}
	return eventstore.StreamOf("raced", "1")
}

// query is what the nth racer looks at.
func (r race) query(n int) eventstore.Query {
	switch shape := r.Shape; {
	case shape == "type", shape == "type against tag" && n%2 == 0:
		return eventstore.OfType(racedType)
	case shape == "tag", shape == "type against tag":
		return eventstore.WithTags(racedTag)
	case shape == "type and tag":
		return eventstore.Match(eventstore.Item{Types: []string{racedType}, Tags: []string{racedTag}})
	case shape == "all":
		return eventstore.All()
	default:
		return eventstore.InStream(r.stream())
	}
}

// raced is an append of the nth writer that the others' conditions are about.
func (r race) raced(n int) eventstore.Append {
	e := eventstore.Event{ID: uuid.New(), Type: racedType, Tags: []string{racedTag}, Data: json.RawMessage("{}")}
	to := eventstore.StreamOf("racer", fmt.Sprint(n))
	switch r.Shape {
	case "type":
		e.Tags = nil
	case "tag":
		e.Type = fmt.Sprintf("type %d", n)
	case "stream", "version", "no stream":
		to = r.stream()
	}
	return eventstore.Append{Stream: to, Events: []eventstore.Event{e}}
}

// noise is an append that no condition is about.
func (r race) noise(n int) eventstore.Append {
	return eventstore.Append{Stream: eventstore.StreamOf("noise", fmt.Sprint(n%3)), Events: []eventstore.Event{
		{ID: uuid.New(), Type: "noise", Tags: []string{"noise"}, Data: json.RawMessage("{}")},
	}}
}

// finish is how a racer has come in.
type finish struct {
	Racer    int
	Kind     string
	ID       uuid.UUID           // of its event
	After    eventstore.Position // through which it had read
	Position eventstore.Position // of its event, if it has won; 0: unknown, or lost
	Broken   eventstore.Position // of the event that has broken its condition, where it was told
	Result   string              // "won", "lost", "stale": its snapshot was too old; anything else is a fault
}

// kinds are the ways to commit: by the store, or in a transaction of one's own.
var kinds = []struct {
	name string
	tx   pgx.TxIsoLevel
}{
	{"store", ""},
	{"store", ""},
	{"read committed", pgx.ReadCommitted},
	{"store", ""},
	{"repeatable read", pgx.RepeatableRead},
	{"store", ""},
	{"serializable", pgx.Serializable},
	{"read committed", pgx.ReadCommitted},
}

const (
	raceProcesses = 4
	raceRacers    = 2 // of each process
)

// racersConfig is what a process of racers is told.
type racersConfig struct {
	DSN     string
	Process int
}

// racersProgram has two racers, with a store each or, in half of the processes, with one for both, and one that expects
// nothing.
func racersProgram(ctx context.Context, p *parent) error {
	var cfg racersConfig
	if err := p.hear(&cfg); err != nil {
		return err
	}
	pool, err := pgxpool.New(ctx, cfg.DSN)
	if err != nil {
		return err
	}
	stores := make([]*eventstore.Store, raceRacers)
	for i := range stores {
		if i > 0 && cfg.Process%2 == 0 {
			stores[i] = stores[0]
			continue
		}
		if stores[i], err = postgres.OpenPool(ctx, pool, postgres.Config{}); err != nil {
			return err
		}
	}
	for {
		var r race
		if err := p.hear(&r); err != nil {
			return err
		}
		if err := run(ctx, p, r, cfg.Process, pool, stores); err != nil {
			return err
		}
	}
}

// run runs one race: everybody reads, then says so, and waits for the start.
func run(ctx context.Context, p *parent, r race, process int, pool *pgxpool.Pool, stores []*eventstore.Store) error {
	racers, ready, faults := make([]*racer, len(stores)), sync.WaitGroup{}, make([]error, len(stores)+1)
	for i := range stores {
		n := process*raceRacers + i
		racers[i] = &racer{race: r, n: n, store: stores[i], finish: finish{Racer: n}}
		ready.Go(func() { faults[i] = racers[i].read(ctx, pool) })
	}
	ready.Wait()
	var start string
	if err := errors.Join(append(faults, p.tell("ready"), p.hear(&start))...); err != nil {
		return err
	}
	var running sync.WaitGroup
	for i := range racers {
		running.Go(func() { racers[i].run(ctx) })
	}
	if r.Hammers != "" {
		a := r.noise(process)
		if r.Hammers == "same" {
			a = r.raced(100 + process)
		}
		running.Go(func() {
			_, faults[len(stores)] = stores[0].Commit(ctx, eventstore.Commit{Appends: []eventstore.Append{a}})
		})
	}
	running.Wait()
	all := make([]finish, len(racers))
	for i := range racers {
		all[i] = racers[i].finish
	}
	return errors.Join(faults[len(stores)], p.tell(all))
}

// A racer has read, and is about to commit.
type racer struct {
	race
	n      int
	store  *eventstore.Store
	commit eventstore.Commit
	tx     pgx.Tx // nil: the store commits
	finish finish
}

// read reads what the condition is about, and stages the commit if it is one of a transaction, whose snapshot is from
// before.
func (r *racer) read(ctx context.Context, pool *pgxpool.Pool) (err error) {
	kind := kinds[(r.n+r.Round)%len(kinds)]
	r.finish.Kind = kind.name
	if kind.tx != "" {
		if r.tx, err = pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: kind.tx}); err != nil {
			return err
		}
		if _, err := r.tx.Exec(ctx, "SELECT 1"); err != nil {
			return err
		}
	}
	version := eventstore.Version(0)
	for e, err := range r.store.Read(ctx, r.query(r.n), eventstore.Range{Through: &r.finish.After}) {
		if err != nil {
			return err
		}
		version = e.Version
	}
	a := r.raced(r.n)
	r.finish.ID = a.Events[0].ID
	switch r.Shape {
	case "version":
		a.Expect = eventstore.Exact(version)
	case "no stream":
		a.Expect = eventstore.NoStream
	default:
		r.commit.Unless = []eventstore.Condition{{Query: r.query(r.n), After: r.finish.After}}
	}
	r.commit.Appends = []eventstore.Append{a}
	if r.tx != nil {
		return postgres.CommitTx(ctx, r.tx, r.store, r.commit)
	}
	return nil
}

// run commits, and keeps how that came in.
func (r *racer) run(ctx context.Context) {
	var result eventstore.Result
	var err error
	if r.tx != nil {
		err = postgres.Refusal(r.tx.Commit(ctx))
	} else {
		result, err = r.store.Commit(ctx, r.commit)
	}
	r.finish.Position = result.Position
	broken, _ := errors.AsType[*eventstore.ConditionError](err)
	switch {
	case err == nil:
		r.finish.Result = "won"
	case errors.Is(err, eventstore.ErrConflict):
		r.finish.Result = "lost"
		if broken != nil {
			r.finish.Broken = broken.Position
		}
	case eventstore.IsRetryable(err) && r.finish.Kind != "store" && r.finish.Kind != "read committed":
		r.finish.Result = "stale"
	default:
		r.finish.Result = err.Error()
	}
}
