package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// A watch is a reader's task: what it asks for, and how much of it at once.
type watch struct {
	Name  string
	Items []eventstore.Item
	Limit int
}

func (w watch) query() eventstore.Query { return eventstore.Match(w.Items...) }

// A report is how far a reader has come, and what it was given since it last reported.
type report struct {
	Name    string              `json:"name"`
	Through eventstore.Position `json:"through"`
	Seen    []sighting          `json:"seen"`
	Failed  string              `json:"failed"` // a read or a wait, which the reader has made again
	Fault   string              `json:"fault"`  // what no reader can go on from
}

// follow reads from Through to Through, and waits when it has nothing to read, until it has come to the position that
// is put into end, or when ctx has ended.
func follow(ctx context.Context, s *eventstore.Store, w watch, end <-chan eventstore.Position, tell func(report) error) error {
	waits, wake := context.WithCancel(ctx)
	defer wake()
	last := make(chan eventstore.Position, 1)
	go func() {
		select {
		case at := <-end:
			last <- at
			wake() // there is nothing to wait for any more
		case <-ctx.Done():
		}
	}()
	at, until := eventstore.Position(0), eventstore.Position(-1)
	for ctx.Err() == nil {
		select {
		case until = <-last:
		default:
		}
		seen, through, err := look(ctx, s, w, at)
		r := report{Name: w.Name, Seen: seen, Through: through}
		switch {
		case err != nil:
			r.Failed, r.Through = fmt.Sprintf("read (retryable %t): %v", eventstore.IsRetryable(err), err), at
		case through < at:
			r.Fault = fmt.Sprintf("a read after %d came through %d", at, through)
		}
		if n := len(seen); n > 0 && err != nil {
			r.Through = seen[n-1].Position // what it was given it has
		}
		at = r.Through
		idle := err == nil && (w.Limit == 0 || len(seen) < w.Limit)
		if idle && at != until && waits.Err() == nil {
			if len(seen) > 0 {
				if err := tell(r); err != nil {
					return err
				}
				r = report{Name: w.Name, Through: at}
			}
			if _, err := s.Wait(waits, eventstore.Pulse{Head: at}); err != nil {
				r.Failed = fmt.Sprintf("wait (retryable %t): %v", eventstore.IsRetryable(err), err)
			}
		}
		if err := tell(r); err != nil || r.Fault != "" || until >= 0 && at >= until {
			return err
		}
		if r.Failed != "" {
			time.Sleep(10 * time.Millisecond)
		}
	}
	return nil
}

// look reads once.
func look(ctx context.Context, s *eventstore.Store, w watch, after eventstore.Position) (seen []sighting, through eventstore.Position, err error) {
	for e, err := range s.Read(ctx, w.query(), eventstore.Range{After: after, Limit: w.Limit, Through: &through}) {
		if err != nil {
			return seen, 0, err
		}
		seen = append(seen, sighting{e.Position, e.ID})
	}
	return seen, through, nil
}

// readersConfig is what a process of readers is told.
type readersConfig struct {
	DSN     string
	Watches []watch
}

// readersProgram follows the log, and ends at the position that it is told.
func readersProgram(ctx context.Context, p *parent) error {
	var cfg readersConfig
	if err := p.hear(&cfg); err != nil {
		return err
	}
	s, err := connectAnyhow(ctx, cfg.DSN, 4)
	if err != nil {
		return err
	}
	if err := p.tell(report{}); err != nil {
		return err
	}
	var running sync.WaitGroup
	ends, faults := make([]chan eventstore.Position, len(cfg.Watches)), make([]error, len(cfg.Watches))
	for i, w := range cfg.Watches {
		ends[i] = make(chan eventstore.Position, 1)
		running.Go(func() { faults[i] = follow(ctx, s, w, ends[i], func(r report) error { return p.tell(r) }) })
	}
	var until eventstore.Position
	if err := p.hear(&until); err != nil {
		return err
	}
	for _, end := range ends {
		end <- until
	}
	running.Wait()
	return errors.Join(faults...)
}
