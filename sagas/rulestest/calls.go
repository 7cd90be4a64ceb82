package rulestest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/sagas"
)

// service is one that is called: what it does the nth time is the nth of its answers, and yes when there is none.
type service struct {
	mu      sync.Mutex
	answers []func(ctx context.Context) error
	keys    []uuid.UUID
}

func (s *service) call(ctx context.Context, step string, key uuid.UUID) (did, error) {
	s.mu.Lock()
	s.keys = append(s.keys, key)
	n := len(s.keys)
	s.mu.Unlock()
	if n <= len(s.answers) {
		if err := s.answers[n-1](ctx); err != nil {
			return did{}, err
		}
	}
	return did{step}, nil
}

// called are the keys of all calls.
func (s *service) called() []uuid.UUID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.keys)
}

var errDown = errors.New("down")

func down(context.Context) error    { return errDown }
func refuses(context.Context) error { return sagas.Refuse(errNo) }
func panics(context.Context) error  { panic("lost its mind") }

func hangs(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// calling is a step that calls a service, and another one to undo it.
func calling(id string, do, undo *service) sagas.Step[trip] {
	s := sagas.Step[trip]{
		ID: id,
		Do: sagas.Call(func(ctx context.Context, _ trip, key uuid.UUID) (did, error) { return do.call(ctx, id, key) }),
		On: sagas.Outcomes[trip]{sagas.Success(func(s *trip, e did) { s.Did = append(s.Did, e.Step) })},
	}
	if undo != nil {
		s.Undo = sagas.Call(func(ctx context.Context, _ trip, key uuid.UUID) (undid, error) {
			d, err := undo.call(ctx, id, key)
			return undid(d), err
		})
	}
	return s
}

// calls is about steps that call services.
func calls() []rule {
	type answers = []func(context.Context) error
	return []rule{
		{"a call's event settles its step", func(t *trial) {
			s := &service{}
			p := t.stage(saga(calling("a", s, nil), does("b")))
			p.run("1")
			p.want("1", "sent a", "succeeded a", "sent b", "succeeded b", "turned completed")
			if got := p.show("1"); string(got.Result) != `{"ID":"1","Did":["a","b"]}` {
				t.Errorf("it remembers %s", got.Result)
			}
			if keys := s.called(); len(keys) != 1 || keys[0] == uuid.Nil {
				t.Errorf("it was called with %v", keys)
			}
		}},
		{"a call that refuses turns the saga back, and a call undoes one", func(t *trial) {
			s, back := &service{}, &service{}
			p := t.stage(saga(calling("a", s, back), calling("b", &service{answers: answers{refuses}}, back)))
			p.run("1")
			p.want("1", "sent a", "succeeded a", "sent b", "refused b: no", "turned compensating: b: no",
				"sent undo a", "succeeded undo a", "turned compensated")
			if n := len(back.called()); n != 1 {
				t.Errorf("%d calls undid it, want 1", n)
			}
		}},
		{"a call that fails, panics or hangs is made again with the same key", func(t *trial) {
			s := &service{answers: answers{down, panics, hangs, down}}
			p := t.stage(saga(t.within(calling("a", s, nil), 6, 9)))
			p.run("1")
			p.wantState("1", sagas.Completed)
			keys := s.called()
			if len(keys) != 5 || slices.ContainsFunc(keys, func(k uuid.UUID) bool { return k != keys[0] }) {
				t.Errorf("it was called with %v", keys)
			}
			p.wantParked()
		}},
		{"a call that fails until its attempts are used up is undone, for nobody knows what came of it", func(t *trial) {
			s, back := &service{answers: answers{down, down, down}}, &service{answers: answers{down}}
			a := calling("a", s, back)
			a.Retry = t.tries(3)
			a.UndoRetry = t.tries(3)
			p := t.stage(saga(a))
			p.run("1")
			p.want("1", "sent a", "waiting a: down", "sent a, attempt 2", "waiting a: down", "sent a, attempt 3", "unknown a: down",
				"turned compensating: a: down", "sent undo a", "waiting undo a: down", "sent undo a, attempt 2", "succeeded undo a", "turned compensated")
			if do, undo := s.called(), back.called(); len(do) != 3 || len(undo) != 2 || undo[0] != undo[1] || do[0] == undo[0] {
				t.Errorf("it was called with %v, and to undo it with %v", do, undo)
			}
		}},
		{"a call that was undone before it was made is made no more", func(t *trial) {
			s := &service{}
			a := t.within(calling("a", s, nil), 3, 1)
			a.Undo = does("a").Undo
			p := t.stage(saga(a))
			p.Drain(p.sp)
			t.must(p.Store.Pause(p.Ctx, "saga.trip.call"))
			p.run("1")
			p.wantState("1", sagas.Compensated)
			t.must(p.Store.Resume(p.Ctx, "saga.trip.call"))
			p.end()
			if n := len(s.called()); n != 0 {
				t.Errorf("it was called %d times", n)
			}
		}},
		{"a breaker holds calls back from a service that is down, which are no attempts, and lets them through again", func(t *trial) {
			s := &service{answers: slices.Repeat(answers{down}, 4)}
			open := 20 * t.unit
			a := calling("a", s, nil)
			a.Retry = sagas.Retry{Attempts: 6, Base: t.unit / 4, Most: t.unit / 4}
			a.Do = a.Do.Guarded(sagas.Breaker{Failures: 2, Open: open})
			p := t.stage(saga(a))
			p.run("1")
			p.wantState("1", sagas.Completed)
			if n := len(s.called()); n != 5 {
				t.Errorf("it was called %d times, want 5", n)
			}
			held, tries, opened := 0, 0, time.Time{}
			for _, e := range p.show("1").Entries {
				switch {
				case e.What == sagas.Waiting && e.Why == errDown.Error():
					if tries++; tries >= 2 && !opened.IsZero() && e.Time.Sub(opened) < open/2 {
						t.Errorf("it was called again already %s after the breaker had opened", e.Time.Sub(opened))
					}
					if tries >= 2 {
						opened = e.Time
					}
				case e.What == sagas.Waiting:
					held++
				}
			}
			if tries != 4 || held == 0 {
				t.Errorf("%d attempts failed and %d were held back", tries, held)
			}
			if n := len(p.at("1", "sent a, attempt 5")); n == 0 {
				t.Errorf("it came to %q", told(p.show("1")))
			}
		}},
		{"calls are made at once", func(t *trial) {
			const n = 4
			all := make(chan struct{}, n)
			met := make(chan struct{})
			meet := func(ctx context.Context) error {
				if all <- struct{}{}; len(all) == n {
					close(met)
				}
				select {
				case <-met:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			var group sagas.Parallel[trip]
			for i := range n {
				group = append(group, calling(fmt.Sprint("a", i), &service{answers: answers{meet}}, nil))
			}
			p := t.stage(saga(group))
			p.run("1")
			p.wantState("1", sagas.Completed)
			if len(p.show("1").Entries) != 2*n+1 {
				t.Errorf("it came to %q", told(p.show("1")))
			}
		}},
	}
}
