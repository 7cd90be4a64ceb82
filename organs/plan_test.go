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
		if at := next(t, sp); !at.Equal(soon) {
			t.Errorf("the next at %s, want %s", at, soon)
		}
		wantLog(t, st, eventstore.All(), `account-1@1 deposited {"Amount":1}`)
		sleepUntil(soon)
		next(t, sp)
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
		due := next(t, sp)
		if early := time.Until(due); early > time.Hour || early < time.Hour-time.Minute {
			t.Errorf("the next in %s", early)
		}
		wantBalance(t, st, "1", 10)
		sleepUntil(due)
		next(t, sp)
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
