package organs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// drainUntil drains, and returns in how long the next schedule is due; 0 for never.
func drainUntil(t *testing.T, sp *spine.Spine) time.Duration {
	t.Helper()
	next, err := sp.Drain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if next.IsZero() {
		return 0
	}
	return time.Until(next)
}

func count(t *testing.T, st *eventstore.Store, types ...string) int {
	t.Helper()
	return len(events(t, st, eventstore.OfType(types...)))
}

func TestTimerFiresOnceAndNeverEarly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := open(t, memory.New())
		sp := newSpine(t, st, invoices(true))
		due := time.Now().Add(week)
		send(t, sp, Bill{"1", 100})
		if d := drainUntil(t, sp); d != week {
			t.Errorf("the next schedule is due in %s, want %s", d, week)
		}
		time.Sleep(week - time.Microsecond)
		if drainUntil(t, sp); count(t, st, "deadline elapsed", "overdue") != 0 {
			t.Error("it fired a microsecond early")
		}
		time.Sleep(time.Microsecond)
		for range 2 {
			if d := drainUntil(t, sp); d != 0 || count(t, st, "deadline elapsed") != 1 || count(t, st, "overdue") != 1 {
				t.Errorf("when it was due: %v, and %s to the next", events(t, st, eventstore.InStream("invoice-1")), d)
			}
		}
		e := events(t, st, eventstore.OfType("deadline elapsed"))[0]
		if e.Stream != "invoice-1" || !e.Time.Equal(due) || string(e.Data) != `{"Invoice":"1","Generation":1}` {
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
			if d := drainUntil(t, newSpine(t, open(t, backend), invoices(true))); d != 0 {
				t.Errorf("%s to the next", d)
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
		if d := drainUntil(t, sp); d != 0 {
			t.Errorf("%s to the next", d)
		}
		time.Sleep(10 * week)
		if drainUntil(t, sp); count(t, st, "deadline elapsed") != 0 {
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
		for drainUntil(t, sp) > 0 {
			time.Sleep(24 * time.Hour)
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
		for range 3 { // one after the other through the log, so that one batch both sets and stops
			post(t, st, Bill{"1", 1}, Bill{"1", 2})
		}
		if d := drainUntil(t, sp); d != week {
			t.Errorf("%s to the next", d)
		}
		time.Sleep(week)
		if d := drainUntil(t, sp); d != 0 || count(t, st, "deadline elapsed") != 1 {
			t.Errorf("%d timers fired, %s to the next", count(t, st, "deadline elapsed"), d)
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
	due = time.Now().Add(week)
	send(t, sp, Remind{false})
	due = due.Add(week)
	if _, err := sp.Send(t.Context(), Remind{false}); !errors.Is(err, eventstore.ErrIDReused) {
		t.Errorf("error is %v, want ErrIDReused", err)
	}
	send(t, sp, Remind{true})
	if d := drainUntil(t, sp); d > week || count(t, st, "reported") != 1 {
		t.Errorf("it is due in %s, as it was set later", d)
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

func TestWhatIsPlannedGoesWhereItWouldHaveGoneAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := open(t, memory.New())
		soon := time.Now().Add(time.Minute)
		plans := organs.Events{
			organs.At(soon, Reported{1}),
			organs.At(soon, eventstore.In("report-1", Reported{2})),
			eventstore.In("report-2", organs.At(soon, Reported{3})),
			organs.Set(organs.Timer{Owner: "o", Name: "n"}, soon, eventstore.In("report-3", eventstore.Draft{Payload: Reported{4}, Tags: []string{"t"}})),
			organs.Set(organs.Timer{Owner: "o", Name: "gone"}, soon, Reported{5}),
			organs.Stop(organs.Timer{Owner: "o", Name: "gone"}),
			organs.Stop(organs.Timer{Owner: "o", Name: "never was"}),
		}
		d := enrolment()
		d.Decide = func(Seats, Enrol) (organs.Events, error) { return plans[:3], nil }
		sp := newSpine(t, st, d, bookkeeper(func(context.Context, Deposited) (organs.Events, error) { return plans, nil }))
		send(t, sp, Enrol{"go", "ann"})
		appendTo(t, st, "account-1", Deposited{1})
		if d := drainUntil(t, sp); d != time.Minute {
			t.Errorf("%s to the next", d)
		}
		wantLog(t, st, eventstore.All(), `account-1@1 deposited {"Amount":1}`)
		time.Sleep(time.Minute)
		drainUntil(t, sp)
		wantLog(t, st, eventstore.OfType("reported"),
			`course-go@1 reported {"Balance":1}`, `report-1@1 reported {"Balance":2}`, `report-2@1 reported {"Balance":3}`,
			`account-1@2 reported {"Balance":1}`, `report-1@2 reported {"Balance":2}`, `report-2@2 reported {"Balance":3}`, `report-3@1 reported {"Balance":4}`)
		cause := events(t, st, eventstore.OfType("deposited"))[0]
		if e := events(t, st, eventstore.WithTags("t"))[0]; e.Metadata.Causation != cause.ID || e.Metadata.Correlation != cause.Metadata.Correlation {
			t.Errorf("metadata is %+v, want it to follow from %s", e.Metadata, cause.ID)
		}
	})
}

func TestDelayedEventIsScheduledUnderAnIDThatFollowsFromItsOwn(t *testing.T) {
	t.Parallel()
	var ids []uuid.UUID
	for _, event := range []string{"a", "a", "b"} {
		backend := memory.New()
		st := open(t, backend)
		d := enrolment()
		d.Decide = func(Seats, Enrol) (organs.Events, error) {
			draft := eventstore.Draft{Payload: Reported{1}, ID: uuid.NewSHA1(uuid.NameSpaceOID, []byte(event))}
			return organs.Events{organs.At(time.Now().Add(week), draft)}, nil
		}
		send(t, newSpine(t, st, d), Enrol{"go", "ann"})
		for s, err := range backend.Scheduled(t.Context()) {
			if ids = append(ids, s.ID); err != nil || s.ID.Version() != 5 || s.ID == s.Append.Events[0].ID {
				t.Errorf("schedule %+v, %v", s, err)
			}
		}
	}
	if len(ids) != 3 || ids[0] != ids[1] || ids[0] == ids[2] {
		t.Errorf("ids are %s, want those of equal events equal", ids)
	}
}

// A decision that only plans appends nothing that could prove its state current.
func TestDecisionThatOnlyPlansRestsOnTheCurrentState(t *testing.T) {
	t.Parallel()
	backend := memory.New()
	st, elsewhere := open(t, backend), open(t, backend)
	var meanwhile []int
	due := time.Now().Add(week)
	var saw []int
	sp := newSpine(t, st, accounts(organs.Handle(func(a Account, _ Close) (organs.Events, error) {
		saw = append(saw, a.Balance)
		if len(meanwhile) > 0 {
			appendTo(t, elsewhere, "account-1", Deposited{meanwhile[0]})
			meanwhile = meanwhile[1:]
		}
		return organs.Events{organs.At(due, Reported(a))}, nil
	})))
	appendTo(t, st, "account-1", Deposited{1})
	send(t, sp, Withdraw{"1", 1})
	appendTo(t, elsewhere, "account-1", Deposited{2})
	meanwhile = []int{4, 8}
	send(t, sp, Close{"1"})
	var got []string
	for s, err := range backend.Scheduled(t.Context()) {
		if got = append(got, string(s.Append.Events[0].Data)); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{`{"Balance":14}`}; !slices.Equal(got, want) {
		t.Errorf("scheduled %q after deciding on %v, want %q", got, saw, want)
	}
	if n := sp.Stats().Organs[0].Conflicts; n != 1 {
		t.Errorf("%d conflicts, want 1: only the last look had a rival behind it", n)
	}
}

func TestDelayedCommandIsDecidedWhenItIsDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := open(t, memory.New())
		id, bad := uuid.New(), uuid.New()
		delay := bookkeeper(func(_ context.Context, e Deposited) (organs.Events, error) {
			due := time.Now().Add(time.Hour)
			return organs.Events{
				organs.At(due, spine.Post(spine.WithID(id, Withdraw{"1", e.Amount}))),
				organs.Set(organs.Timer{Owner: "1", Name: "more"}, due, spine.Post(spine.WithID(bad, Withdraw{"1", 1}))),
			}, nil
		})
		delay.Sends = []spine.Command{Withdraw{}}
		sp := newSpine(t, st, accounts(), delay)
		appendTo(t, st, "account-1", Deposited{10})
		if d := drainUntil(t, sp); d != time.Hour {
			t.Errorf("%s to the next", d)
		}
		wantBalance(t, st, "1", 10)
		time.Sleep(time.Hour)
		drainUntil(t, sp)
		wantBalance(t, st, "1", 0)
		wantReplies(t, st, id, `command accepted {"Command":"withdraw","Events":1}`)
		wantReplies(t, st, bad, `command rejected {"Command":"withdraw","Reason":"insufficient funds"}`)
	})
}

func TestPlansAreForHandlersOnly(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	due := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	timer := organs.Timer{Owner: "account-1", Name: "reminder", Generation: 2}
	for want, p := range map[string]eventstore.Payload{
		`at 2026-01-02T03:04:05Z: organs_test.Reported{Balance:1} in report-1 is a plan`:                 organs.At(due, eventstore.In("report-1", Reported{1})),
		`set "reminder" #2 of account-1 at 2026-01-02T03:04:05Z: organs_test.Refused{Reason:} is a plan`: organs.Set(timer, due, Refused{}),
		`stop "reminder" #2 of account-1 is a plan`:                                                      organs.Stop(timer),
	} {
		if _, err := st.Emit(t.Context(), p); !errors.Is(err, eventstore.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("emit: %v, want %q", err, want)
		}
		if _, err := st.Append(t.Context(), "account-1", eventstore.Any, eventstore.In("account-1", p)); !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("append: %v", err)
		}
	}
}

func TestBadPlansFailTheDecision(t *testing.T) {
	t.Parallel()
	due := time.Now().Add(week)
	timer := organs.Timer{Owner: "o", Name: "n"}
	for want, p := range map[string]eventstore.Payload{
		"event 2: timer: owner is empty\ntimer: name is empty":     organs.Set(organs.Timer{}, due, Refused{}),
		"event 2: timer: name \" n\" has space around it":          organs.Stop(organs.Timer{Owner: "o", Name: " n"}),
		"event 2: encode event: payload is nil":                    organs.At(due, nil),
		"event 2: encode event: payload is nil ":                   organs.Set(timer, due, (*Refused)(nil)),
		"event 2: encode unwritable":                               organs.At(due, Unwritable{}),
		"a plan within a plan":                                     organs.At(due, organs.Set(timer, due, Refused{})),
		"a plan within a plan ":                                    organs.At(due, eventstore.In("x", organs.Stop(timer))),
		"schedule 1: due 0001-01-01T00:00:00Z is not in the years": organs.At(time.Time{}, Refused{}),
	} {
		t.Run(strings.Fields(want)[0]+fmt.Sprint(len(want)), func(t *testing.T) {
			t.Parallel()
			st := open(t, memory.New())
			sp := newSpine(t, st, accounts(organs.Handle(func(Account, Close) (organs.Events, error) {
				return organs.Events{Withdrawn{1}, p}, nil
			})))
			_, err := sp.Send(t.Context(), Close{"1"})
			if !errors.Is(err, eventstore.ErrInvalid) || !strings.Contains(err.Error(), strings.TrimSpace(want)) {
				t.Errorf("error is %v, want %q", err, want)
			}
			wantLog(t, st, eventstore.All())
		})
	}
}
