package postgres_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
)

// An order has a committer commit something once, on a connection that is made for it.
type order struct {
	Commits int  // at once
	Events  int  // of each
	Bytes   int  // of each event
	Spread  bool // each event in a stream of its own
}

// outcome is what has become of an order.
type outcome struct {
	Lasts []eventstore.Position // of the commits
	Fault string
}

// committerProgram carries out orders. For each it opens a store and says so; it commits when it hears anything.
func committerProgram(ctx context.Context, p *parent) error {
	var dsn string
	if err := p.hear(&dsn); err != nil {
		return err
	}
	for {
		var o order
		if err := p.hear(&o); err != nil {
			return err
		}
		s, err := postgres.Open(ctx, dsn, postgres.Config{Store: eventstore.Config{MaxEvents: 1_000_000}})
		if err != nil {
			return err
		}
		var begin string
		if err := errors.Join(p.tell("ready"), p.hear(&begin), p.tell(o.carryOut(ctx, s)), s.Close()); err != nil {
			return err
		}
	}
}

func (o order) carryOut(ctx context.Context, s *eventstore.Store) (all outcome) {
	all.Lasts = make([]eventstore.Position, o.Commits)
	faults := make([]error, o.Commits)
	var running sync.WaitGroup
	for i := range o.Commits {
		running.Go(func() {
			r, err := s.Commit(ctx, o.commit())
			all.Lasts[i], faults[i] = r.Position, err
		})
	}
	running.Wait()
	if err := errors.Join(faults...); err != nil {
		all.Fault = err.Error()
	}
	return all
}

func (o order) commit() (c eventstore.Commit) {
	data := json.RawMessage(`"` + strings.Repeat("x", o.Bytes) + `"`)
	for n := range o.Events {
		if n == 0 || o.Spread {
			c.Appends = append(c.Appends, eventstore.Append{Stream: eventstore.StreamOf("order", uuid.NewString())})
		}
		a := &c.Appends[len(c.Appends)-1]
		a.Events = append(a.Events, eventstore.Event{ID: uuid.New(), Type: "ordered", Data: data})
	}
	return c
}
