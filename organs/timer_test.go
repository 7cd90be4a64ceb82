package organs_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// An invoice is to be paid within a week after it was last changed; else it is called overdue.
type (
	Bill struct { // issues the invoice, or changes it
		Invoice string
		Amount  int
	}
	Pay struct{ Invoice string }

	Billed  struct{ Amount int }
	Paid    struct{}
	Elapsed struct {
		Invoice    string
		Generation int
	}
	Overdue struct{ Generation int }

	Invoice struct {
		Amount, Generation int
		Paid               bool
	}
)

func (Bill) CommandType() string { return "bill" }
func (c Bill) StreamID() string  { return c.Invoice }
func (Pay) CommandType() string  { return "pay" }
func (c Pay) StreamID() string   { return c.Invoice }
func (Billed) EventType() string { return "billed" }
func (Paid) EventType() string   { return "paid" }

func (Elapsed) EventType() string { return "deadline elapsed" }
func (Overdue) EventType() string { return "overdue" }

const week = 7 * 24 * time.Hour

func deadline(invoice string, generation int) organs.Timer {
	return organs.Timer{Owner: "invoice-" + invoice, Name: "deadline", Generation: generation}
}

// invoices stop the deadline when they are paid; or never, and then only the generation tells.
func invoices(stops bool) organs.Aggregate[Invoice] {
	return organs.Aggregate[Invoice]{
		Category: "invoice",
		Evolve: organs.Evolve[Invoice]{
			organs.On(func(i *Invoice, e Billed) { i.Amount, i.Generation = e.Amount, i.Generation+1 }),
			organs.On(func(i *Invoice, _ Paid) { i.Paid = true }),
		},
		Decide: organs.Decide[Invoice]{
			organs.Handle(func(i Invoice, c spine.Received[Bill]) (organs.Events, error) {
				id, next := c.Command.Invoice, i.Generation+1
				out := organs.Events{Billed{c.Command.Amount}}
				if stops && i.Generation > 0 {
					out = append(out, organs.Stop(deadline(id, i.Generation)))
				}
				return append(out, organs.Set(deadline(id, next), c.Time.Add(week), Elapsed{id, next})), nil
			}),
			organs.Handle(func(i Invoice, c Pay) (organs.Events, error) {
				if i.Paid {
					return nil, errors.New("paid already")
				}
				out := organs.Events{Paid{}}
				if stops {
					out = append(out, organs.Stop(deadline(c.Invoice, i.Generation)))
				}
				return out, nil
			}),
			organs.When(func(e Elapsed) string { return e.Invoice }, func(i Invoice, e Elapsed) (organs.Events, error) {
				if i.Paid || e.Generation != i.Generation {
					return nil, nil
				}
				return organs.Events{Overdue{e.Generation}}, nil
			}),
		},
	}
}

// next drains, and returns when the next schedule is due; zero for never. It takes some of a bubble's time.
func next(t *testing.T, sp *spine.Spine) time.Time {
	t.Helper()
	due, err := sp.Drain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return due
}

func sleepUntil(due time.Time) { time.Sleep(time.Until(due)) }

func count(t *testing.T, st *eventstore.Store, types ...string) int {
	t.Helper()
	return len(events(t, st, eventstore.OfType(types...)))
}

func TestTimerFiresOnceAndNeverEarly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		backend := memory.New()
		st := open(t, backend)
		sp := newSpine(t, st, invoices(true))
		due := time.Now().Add(week)
		send(t, sp, Bill{"1", 100})
		if at := next(t, sp); !at.Equal(due) {
			t.Errorf("the next schedule is due at %s, want %s", at, due)
		}
		sleepUntil(due.Add(-time.Microsecond))
		if n, at, err := backend.Fire(t.Context(), 10); n != 0 || !at.Equal(due) || err != nil {
			t.Errorf("a microsecond early: %d fired, the next at %s, %v", n, at, err)
		}
		sleepUntil(due)
		for range 2 {
			if at := next(t, sp); !at.IsZero() || count(t, st, "deadline elapsed") != 1 || count(t, st, "overdue") != 1 {
				t.Errorf("when it was due: %v, the next at %s", events(t, st, eventstore.InStream("invoice-1")), at)
			}
		}
		e := events(t, st, eventstore.OfType("deadline elapsed"))[0]
		if e.Stream != "invoice-1" || e.Time.Before(due) || string(e.Data) != `{"Invoice":"1","Generation":1}` {
			t.Errorf("it fired as %+v, due was %s", e, due)
		}
	})
}

func TestRunningSpineFiresTimersByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := open(t, memory.New())
		sp := newSpine(t, st, accounts(organs.Handle(func(_ Account, c spine.Received[Close]) (organs.Events, error) {
			return organs.Events{organs.At(c.Time.Add(time.Minute), Reported{1})}, nil
		})))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- sp.Run(ctx) }()
		start := time.Now()
		send(t, sp, Close{"1"})
		post(t, st, Close{"1"})
		time.Sleep(time.Minute + time.Second)
		all := events(t, st, eventstore.OfType("reported"))
		if len(all) != 2 || all[0].Time.Sub(start) < time.Minute {
			t.Errorf("a second late there is %+v", all)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestTimersThatFellDueInDowntimeFireOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		backend := memory.New()
		st := open(t, backend)
		for _, id := range []string{"1", "2"} {
			send(t, newSpine(t, st, invoices(true)), Bill{id, 100})
		}
		time.Sleep(10 * week) // nobody runs
		for range 2 {
			if at := next(t, newSpine(t, open(t, backend), invoices(true))); !at.IsZero() {
				t.Errorf("the next at %s", at)
			}
		}
		if count(t, st, "deadline elapsed") != 2 || count(t, st, "overdue") != 2 {
			t.Errorf("log: %+v", events(t, st, eventstore.All()))
		}
	})
}

func TestStoppedTimerNeverFiresThoughItsSettingIsSentAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		backend := &spied{Backend: memory.New()}
		st := open(t, backend)
		sp := newSpine(t, st, invoices(true))
		send(t, sp, Bill{"1", 100})
		setting := backend.commits[0]
		time.Sleep(week - time.Hour)
		send(t, sp, Pay{"1"})
		if r, err := st.Commit(t.Context(), setting); r.First != 1 || err != nil || len(setting.Schedules) != 1 {
			t.Errorf("sent again: %+v, %v", r, err)
		}
		if at := next(t, sp); !at.IsZero() {
			t.Errorf("the next at %s", at)
		}
		time.Sleep(10 * week)
		if next(t, sp); count(t, st, "deadline elapsed") != 0 {
			t.Error("it fired")
		}
	})
}

func TestOwnerPassesOverAnotherGeneration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := open(t, memory.New())
		sp := newSpine(t, st, invoices(false)) // so that every generation fires
		for day := range 3 {
			send(t, sp, Bill{"1", 100 + day})
			time.Sleep(24 * time.Hour)
		}
		for at := next(t, sp); !at.IsZero(); at = next(t, sp) {
			sleepUntil(at)
		}
		wantLog(t, st, eventstore.OfType("overdue"), `invoice-1@7 overdue {"Generation":3}`)
		if n := count(t, st, "deadline elapsed"); n != 3 {
			t.Errorf("%d timers fired, want 3", n)
		}
	})
}

func TestSettingATimerAnewTakesTheNextGeneration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := open(t, memory.New())
		sp := newSpine(t, st, invoices(true))
		due := time.Now().Add(week)
		for range 3 { // one after the other through the log, so that one batch both sets and stops
			post(t, st, Bill{"1", 1}, Bill{"1", 2})
		}
		if at := next(t, sp); !at.Equal(due) {
			t.Errorf("the next at %s, want %s", at, due)
		}
		sleepUntil(due)
		if at := next(t, sp); !at.IsZero() || count(t, st, "deadline elapsed") != 1 {
			t.Errorf("%d timers fired, the next at %s", count(t, st, "deadline elapsed"), at)
		}
		wantLog(t, st, eventstore.OfType("overdue"), `invoice-1@8 overdue {"Generation":6}`)
	})
}

func TestTimerIsSetOnlyOnce(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	var due time.Time
	sp := newSpine(t, st, accounts(organs.Handle(func(_ Account, c Remind) (organs.Events, error) {
		set := organs.Set(organs.Timer{Owner: "account-1", Name: "x"}, due, Refused{})
		if c.Alone {
			return organs.Events{set}, nil
		}
		return organs.Events{Reported{1}, set}, nil
	})))
	first := time.Now().Add(week)
	due = first
	send(t, sp, Remind{false})
	due = due.Add(week)
	if _, err := sp.Send(t.Context(), Remind{false}); !errors.Is(err, eventstore.ErrIDReused) {
		t.Errorf("error is %v, want ErrIDReused", err)
	}
	send(t, sp, Remind{true})
	if at := next(t, sp); at.After(first) || count(t, st, "reported") != 1 {
		t.Errorf("it is due at %s, as it was set later", at)
	}
}

// Remind sets a timer.
type Remind struct{ Alone bool }

func (Remind) CommandType() string { return "set timer" }
func (Remind) StreamID() string    { return "1" }

func TestTimerIDIsTheSameInEveryProcess(t *testing.T) {
	t.Parallel()
	timer := organs.Timer{Owner: "invoice-1", Name: "deadline", Generation: 3}
	if id := timer.ID(); id.String() != "bb178eef-bfaf-55df-baa9-3b763208a9b6" || id.Version() != 5 {
		t.Errorf("id of %s is %s", timer, id)
	}
	others := []organs.Timer{
		{Owner: "invoice-1", Name: "deadline", Generation: 13},
		{Owner: "invoice-1", Name: "deadline 3"},
		{Owner: "invoice-1deadline", Name: "3"},
		{Owner: "invoice-2", Name: "deadline", Generation: 3},
		{Owner: "invoice-1", Name: "deadline", Generation: -3},
	}
	seen := map[uuid.UUID]bool{timer.ID(): true}
	for _, o := range others {
		if seen[o.ID()] {
			t.Errorf("%s has the id of another", o)
		}
		seen[o.ID()] = true
	}
}
