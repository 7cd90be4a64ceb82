package organs_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

func TestSendDecidesAndCommits(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	sp := newSpine(t, st, accounts())
	appendTo(t, st, "account-1", Deposited{30})
	for i, want := range []eventstore.Result{{First: 2, Position: 2}, {First: 3, Position: 3}} {
		r := send(t, sp, Withdraw{"1", 10})
		if r.First != want.First || r.Position != want.Position || r.Version() != eventstore.Version(i+2) {
			t.Errorf("result is %+v, want %+v at version %d", r, want, i+2)
		}
	}
	wantLog(t, st, eventstore.All(),
		`account-1@1 deposited {"Amount":30}`, `account-1@2 withdrawn {"Amount":10}`, `account-1@3 withdrawn {"Amount":10}`)
}

func TestRefusalIsARejectionWithItsReasonAndWritesNothing(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	sp := newSpine(t, st, accounts(organs.Handle(func(Account, Close) (organs.Events, error) {
		return organs.Events{Withdrawn{1}}, fmt.Errorf("not today: %w", errFunds)
	})))
	appendTo(t, st, "account-1", Deposited{5})
	for _, c := range []spine.Command{Withdraw{"1", 10}, Close{"1"}} {
		_, err := sp.Send(t.Context(), c)
		rejected, ok := errors.AsType[*spine.RejectedError](err)
		if !ok || rejected.Command != c.CommandType() || !errors.Is(err, errFunds) {
			t.Errorf("%T: error is %v, want a *RejectedError for %v", c, err, errFunds)
		}
	}
	wantLog(t, st, eventstore.All(), `account-1@1 deposited {"Amount":5}`)
}

// A refusal and an empty decision commit nothing that could prove their state current.
func TestRefusalAndEmptyDecisionLookAtTheStreamAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []spine.Command{Withdraw{"1", 10}, Empty{"1"}} {
		t.Run(c.CommandType(), func(t *testing.T) {
			t.Parallel()
			backend := memory.New()
			st, elsewhere := open(t, backend), open(t, backend)
			sp := newSpine(t, st, accounts())
			appendTo(t, st, "account-1", Deposited{10})
			send(t, sp, Withdraw{"1", 10}) // and now the cache says 0
			appendTo(t, elsewhere, "account-1", Deposited{10})
			if r := send(t, sp, c); r.Position != 4 {
				t.Errorf("%s was decided on an old state: %+v", c.CommandType(), r)
			}
			wantBalance(t, st, "1", 0)
		})
	}
}

func TestEmptyDecisionReturnsWhereItsStateStands(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	sp := newSpine(t, st, accounts())
	appendTo(t, st, "account-1", Deposited{10}, Withdrawn{10})
	appendTo(t, st, "account-2", Deposited{10})
	if r := send(t, sp, Empty{"1"}); r.First != 0 || r.Position != 3 || r.Version() != 2 {
		t.Errorf("result is %+v, want the head, 3, and version 2", r)
	}
}

// Close reports the balance to another stream, and appends nothing to its own.
type Close struct{ Account string }

func (Close) CommandType() string { return "close" }
func (c Close) StreamID() string  { return c.Account }

type Reported struct{ Balance int }

func (Reported) EventType() string { return "reported" }

func TestDecisionThatWritesElsewhereRestsOnTheCurrentState(t *testing.T) {
	t.Parallel()
	backend := memory.New()
	st, elsewhere := open(t, backend), open(t, backend)
	var meanwhile []int
	sp := newSpine(t, st, accounts(organs.Handle(func(a Account, _ Close) (organs.Events, error) {
		if len(meanwhile) > 0 {
			appendTo(t, elsewhere, "account-1", Deposited{meanwhile[0]})
			meanwhile = meanwhile[1:]
		}
		return organs.Events{eventstore.In("report-1", Reported(a))}, nil
	})))
	appendTo(t, st, "account-1", Deposited{1})
	send(t, sp, Close{"1"})
	appendTo(t, elsewhere, "account-1", Deposited{2})
	send(t, sp, Close{"1"}) // before it, somebody wrote
	send(t, sp, Withdraw{"1", 1})
	send(t, sp, Close{"1"}) // before it, we wrote ourselves
	meanwhile = []int{4, 8}
	send(t, sp, Close{"1"}) // while it decides, somebody writes; and once more behind its last look
	wantLog(t, st, eventstore.InStream("report-1"), `report-1@1 reported {"Balance":1}`,
		`report-1@2 reported {"Balance":3}`, `report-1@3 reported {"Balance":2}`, `report-1@4 reported {"Balance":14}`)
	if n := sp.Stats().Organs[0].Conflicts; n != 1 {
		t.Errorf("%d conflicts, want 1: only the last look had a rival behind it", n)
	}
}

func TestDecisionForSeveralStreamsIsOneCommit(t *testing.T) {
	t.Parallel()
	backend := &spied{Backend: memory.New()}
	st := open(t, backend)
	sp := newSpine(t, st, accounts(organs.Handle(func(a Account, _ Close) (organs.Events, error) {
		return organs.Events{
			Withdrawn{a.Balance}, eventstore.In("report-1", Reported{}), eventstore.In("account-1", Deposited{1}), Withdrawn{1},
		}, nil
	})))
	appendTo(t, st, "account-1", Deposited{9})
	r := send(t, sp, Close{"1"})
	wantLog(t, st, eventstore.All(), `account-1@1 deposited {"Amount":9}`, `account-1@2 withdrawn {"Amount":9}`,
		`report-1@1 reported {"Balance":0}`, `account-1@3 deposited {"Amount":1}`, `account-1@4 withdrawn {"Amount":1}`)
	if len(backend.commits) != 2 || r.First != 2 || r.Position != 5 || r.Version() != 4 {
		t.Errorf("%d commits, result %+v", len(backend.commits), r)
	}
	send(t, sp, Withdraw{"1", 0}) // all four are in the cached state
	if n := sp.Stats().Organs[0].Conflicts; n != 0 {
		t.Errorf("%d conflicts without a rival", n)
	}
}

func TestConflictLeadsToANewDecisionOnTheNewState(t *testing.T) {
	t.Parallel()
	backend := memory.New()
	st, elsewhere := open(t, backend), open(t, backend)
	var saw []int
	sp := newSpine(t, st, accounts(organs.Handle(func(a Account, _ Close) (organs.Events, error) {
		if saw = append(saw, a.Balance); len(saw) < 3 {
			appendTo(t, elsewhere, "account-1", Deposited{1})
		}
		return organs.Events{Withdrawn{a.Balance}}, nil
	})))
	appendTo(t, st, "account-1", Deposited{1})
	send(t, sp, Close{"1"})
	if fmt.Sprint(saw) != "[1 2 3]" || sp.Stats().Organs[0].Conflicts != 2 {
		t.Errorf("decided on %v with %d conflicts, want [1 2 3] with 2", saw, sp.Stats().Organs[0].Conflicts)
	}
	wantBalance(t, st, "1", 0)
}

func TestSendGivesUpAfterSoManyConflicts(t *testing.T) {
	t.Parallel()
	backend := memory.New()
	st, elsewhere := open(t, backend), open(t, backend)
	asked := 0
	cfg := once
	cfg.Conflicts = 3
	sp, err := spine.New(st, cfg, accounts(organs.Handle(func(Account, Close) (organs.Events, error) {
		asked++
		appendTo(t, elsewhere, "account-1", Deposited{1})
		return organs.Events{Withdrawn{1}}, nil
	})))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sp.Send(t.Context(), Close{"1"}); !errors.Is(err, eventstore.ErrConflict) || asked != 3 {
		t.Errorf("asked %d times, then %v; want 3 times, then ErrConflict", asked, err)
	}
}

func TestTwoProcessesLoseNoUpdate(t *testing.T) {
	t.Parallel()
	const senders, each = 16, 20
	backend := memory.New()
	st := open(t, backend)
	appendTo(t, st, "account-1", Deposited{1000})
	var wg sync.WaitGroup
	for range 2 {
		sp := newSpine(t, open(t, backend), accounts())
		for range senders {
			wg.Go(func() {
				for range each {
					if _, err := sp.Send(t.Context(), Withdraw{"1", 1}); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	wantBalance(t, st, "1", 1000-2*senders*each)
	if n := len(events(t, st, eventstore.All())); n != 1+2*senders*each {
		t.Errorf("%d events, want %d", n, 1+2*senders*each)
	}
}

func TestRacersForTheLastUnitHaveOneWinner(t *testing.T) {
	t.Parallel()
	backend := memory.New()
	st := open(t, backend)
	var sps []*spine.Spine
	for range 2 {
		sps = append(sps, newSpine(t, open(t, backend), accounts()))
	}
	for round := range 20 {
		id := fmt.Sprint(round)
		appendTo(t, st, eventstore.StreamOf("account", id), Deposited{1})
		var mu sync.Mutex
		won := 0
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				switch _, err := sps[i%2].Send(t.Context(), Withdraw{id, 1}); {
				case err == nil:
					mu.Lock()
					won++
					mu.Unlock()
				case !errors.Is(err, errFunds):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Errorf("round %d: %d winners", round, won)
		}
	}
}
