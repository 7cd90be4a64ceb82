package organs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// post puts commands into the log, all in one commit.
func post(t testing.TB, st *eventstore.Store, commands ...spine.Command) {
	t.Helper()
	events := make([]eventstore.Payload, len(commands))
	for i, c := range commands {
		events[i] = spine.Post(c)
	}
	if _, err := st.Emit(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
}

// wantReplies compares the replies to a command, one "stream type data" each.
func wantReplies(t testing.TB, st *eventstore.Store, id uuid.UUID, want ...string) {
	t.Helper()
	var got []string
	for _, e := range events(t, st, eventstore.WithTags(spine.CommandTag(id))) {
		if e.Stream != eventstore.StreamOf("command", id.String()) {
			t.Errorf("a reply to command %s is in stream %s", id, e.Stream)
		}
		got = append(got, fmt.Sprintf("%s %s", e.Type, e.Data))
	}
	if !slices.Equal(got, want) {
		t.Errorf("replies to command %s are %q, want %q", id, got, want)
	}
}

func TestCommandWithAnIDHasOneEffectAndOneReplyHoweverOftenItComes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		command spine.Command
		reply   string
		balance int
		refused bool
	}{
		"accepted":   {Withdraw{"1", 4}, `command accepted {"Command":"withdraw","Events":1}`, 6, false},
		"refused":    {Withdraw{"1", 11}, `command rejected {"Command":"withdraw","Reason":"insufficient funds"}`, 10, true},
		"no need to": {Empty{"2"}, `command accepted {"Command":"empty","Events":0}`, 10, false},
	} {
		for _, sentFirst := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/sent first %t", name, sentFirst), func(t *testing.T) {
				t.Parallel()
				backend := &spied{Backend: memory.New()}
				st := open(t, backend)
				appendTo(t, st, "account-1", Deposited{10})
				id := uuid.New()
				with := spine.WithID(id, c.command)
				var answers []string
				sendIt := func(sp *spine.Spine) {
					r, err := sp.Send(t.Context(), with)
					if _, refused := errors.AsType[*spine.RejectedError](err); refused != c.refused || err != nil && !refused {
						t.Fatalf("sent: %+v, %v", r, err)
					}
					answers = append(answers, fmt.Sprintf("%d %d %d", r.First, r.Position, r.Version()))
				}
				for round := range 3 { // each is a Spine of its own, as after a restart
					sp := newSpine(t, st, accounts())
					if sentFirst || round > 0 {
						sendIt(sp)
					}
					for range 10 {
						post(t, st, with)
					}
					backend.unknown = 1 // of the next commit nobody hears that it was written
					drain(t, sp)
					sendIt(sp)
				}
				wantReplies(t, st, id, c.reply)
				wantBalance(t, st, "1", c.balance)
				if slices.Sort(answers); answers[0] != answers[len(answers)-1] {
					t.Errorf("its senders got different answers: %q", answers)
				}
				if p := parkedOf(t, st, "account"); len(p) > 0 {
					t.Errorf("parked: %+v", p)
				}
			})
		}
	}
}

func TestPostedCommandIsRepliedToInOneCommitWithItsEvents(t *testing.T) {
	t.Parallel()
	backend := &spied{Backend: memory.New()}
	st := open(t, backend)
	appendTo(t, st, "account-1", Deposited{10})
	id := uuid.New()
	post(t, st, spine.WithID(id, Withdraw{"1", 3}))
	before := len(backend.commits)
	drain(t, newSpine(t, st, accounts()))
	var got []string
	for _, c := range backend.commits[before:] {
		for _, a := range c.Appends {
			got = append(got, fmt.Sprintf("%s %s", a.Stream, a.Events[0].Type))
		}
		if len(c.Appends) > 0 && len(c.Checkpoints) == 0 {
			t.Error("the commit has no checkpoint")
		}
	}
	want := []string{"command-" + id.String() + " command accepted", "account-1 withdrawn"}
	if !slices.Equal(got, want) {
		t.Errorf("commits: %q, want one of %q", got, want)
	}
}

func TestRefusalOfAPostedCommandIsNoFailure(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	sp := newSpine(t, st, accounts(organs.Handle(func(Account, Close) (organs.Events, error) {
		return organs.Events{Withdrawn{1}}, spine.Park(errFunds) // neither parked, nor are its events written
	})))
	appendTo(t, st, "account-1", Deposited{10})
	ids := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	post(t, st, spine.WithID(ids[0], Withdraw{"1", 11}), spine.WithID(ids[1], Close{"1"}), spine.WithID(ids[2], Withdraw{"1", 10}))
	drain(t, sp)
	wantReplies(t, st, ids[0], `command rejected {"Command":"withdraw","Reason":"insufficient funds"}`)
	wantReplies(t, st, ids[1], `command rejected {"Command":"close","Reason":"insufficient funds"}`)
	wantReplies(t, st, ids[2], `command accepted {"Command":"withdraw","Events":1}`)
	wantBalance(t, st, "1", 0)
	if s := sp.Stats().Organs[0]; s.Failed != 0 || len(parkedOf(t, st, "account")) > 0 {
		t.Errorf("a refusal counts as a failure: %+v", s)
	}
}

func TestPostedCommandThatFailsIsParkedAndHoldsUpOnlyItsEntity(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	as := accounts(organs.Handle(func(Account, Close) (organs.Events, error) { panic("no idea") }))
	as.Policy.Partitions = 1
	post(t, st, Close{"1"}, Withdraw{"1", 0}, Empty{"2"}, Withdraw{"2", 0}, Withdraw{strings.Repeat("x", 255), 0})
	drain(t, newSpine(t, st, as))
	var got []string
	for _, p := range parkedOf(t, st, "account") {
		got = append(got, fmt.Sprintf("%.3s %d", p.Key, p.Attempts))
	}
	if want := []string{"1 1", "1 0", "xxx 1"}; !slices.Equal(got, want) {
		t.Errorf("parked %q, want %q", got, want)
	}
	if n := len(events(t, st, eventstore.OfType("command accepted"))); n != 2 {
		t.Errorf("%d replies, want both of the other entity", n)
	}
}

func TestPostedCommandsOfOneEntityAreDecidedOnProvisionalStates(t *testing.T) {
	t.Parallel()
	backend := &spied{Backend: memory.New()}
	st := open(t, backend)
	const n = 40
	var saw []int
	sp := newSpine(t, st, organs.Aggregate[Account]{
		Category: "account", Evolve: evolve(),
		Decide: organs.Decide[Account]{
			organs.Handle(func(a Account, c Withdraw) (organs.Events, error) {
				saw = append(saw, a.Balance)
				return withdraw(a, c)
			}),
			organs.When(payer, pay),
		},
	})
	appendTo(t, st, "account-a", Deposited{n - 1})
	for range n / 2 { // commands and events by turns
		post(t, st, Withdraw{"a", 1})
		request(t, st, "a", 1)
	}
	before := len(backend.commits)
	drain(t, sp)
	for i, balance := range saw {
		if balance != n-1-2*i {
			t.Fatalf("command %d saw %d, want %d", i+1, balance, n-1-2*i)
		}
	}
	together := 0
	for _, c := range backend.commits[before:] {
		own := 0
		for _, a := range c.Appends {
			if a.Stream == "account-a" {
				own += len(a.Events)
			}
		}
		together = max(together, own)
	}
	if len(saw) != n/2 || together < 2 || sp.Stats().Organs[0].Conflicts != 0 {
		t.Errorf("%d commands, at most %d events of the entity in one commit, %d conflicts", len(saw), together, sp.Stats().Organs[0].Conflicts)
	}
	wantBalance(t, st, "a", 0)
	if n := len(events(t, st, eventstore.OfType("refused"))); n != 1 {
		t.Errorf("%d payments refused, want the last", n)
	}
}

// What writes only elsewhere, or nothing, rests on what its batch has written before.
func TestPostedCommandThatWritesElsewhereSeesWhatItsBatchHasWritten(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	sp := newSpine(t, st, accounts(organs.Handle(func(a Account, _ Close) (organs.Events, error) {
		return organs.Events{eventstore.In("report-1", Reported(a))}, nil
	})))
	appendTo(t, st, "account-1", Deposited{10})
	last := uuid.New()
	post(t, st, Withdraw{"1", 4}, Close{"1"}, Withdraw{"1", 5}, Close{"1"}, Empty{"1"}, Empty{"1"}, spine.WithID(last, Withdraw{"1", 1}))
	drain(t, sp)
	wantLog(t, st, eventstore.InStream("report-1"), `report-1@1 reported {"Balance":6}`, `report-1@2 reported {"Balance":1}`)
	wantReplies(t, st, last, `command rejected {"Command":"withdraw","Reason":"insufficient funds"}`)
	wantBalance(t, st, "1", 0)
	if p := parkedOf(t, st, "account"); len(p) > 0 {
		t.Errorf("parked: %+v", p)
	}
}

func TestPostedCommandIsDecidedAgainAfterAConflict(t *testing.T) {
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
	id := uuid.New()
	post(t, st, spine.WithID(id, Close{"1"}))
	drain(t, sp)
	if fmt.Sprint(saw) != "[1 2 3]" {
		t.Errorf("decided on %v, want [1 2 3]", saw)
	}
	wantReplies(t, st, id, `command accepted {"Command":"close","Events":1}`)
	wantBalance(t, st, "1", 0)
}

// Fold, commands through the log, commands sent and events, all on one entity in two processes.
func TestPostedAndSentCommandsAndEventsLoseNoUpdateOfEachOther(t *testing.T) {
	t.Parallel()
	backend := memory.New()
	st := open(t, backend)
	const n = 60
	appendTo(t, st, "account-a", Deposited{5 * n})
	ctx, cancel := context.WithCancel(t.Context())
	var runs, sends sync.WaitGroup
	for range 2 {
		sp := newSpine(t, open(t, backend), accounts(organs.When(payer, pay)))
		runs.Go(func() {
			if err := sp.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		sends.Go(func() {
			for range n {
				id := uuid.New()
				with := spine.WithID(id, Withdraw{"a", 1})
				post(t, st, with)
				send(t, sp, with) // the same, so that both may decide it
				post(t, st, Withdraw{"a", 1})
			}
		})
	}
	request(t, st, "a", slices.Repeat([]int{1}, n)...)
	sends.Wait()
	cancel()
	runs.Wait()
	drain(t, newSpine(t, st, accounts(organs.When(payer, pay)))) // what is left
	wantBalance(t, st, "a", 0)
	if got, p := len(events(t, st, eventstore.OfType("command accepted"))), parkedOf(t, st, "account"); got != 4*n || len(p) > 0 {
		t.Errorf("%d replies, parked: %+v", got, p)
	}
}

// What is undone before it was done is not done later.
func TestCommandThatWasRevokedIsNeverDecided(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	sp := newSpine(t, st, accounts())
	appendTo(t, st, "account-1", Deposited{10})
	late, undo := uuid.New(), uuid.New()
	revoking := spine.Revoking(late, undo, Empty{"1"})
	post(t, st, revoking)
	drain(t, sp)
	post(t, st, spine.WithID(late, Withdraw{"1", 1}), revoking)
	drain(t, sp)
	wantBalance(t, st, "1", 0)
	reply := `command accepted {"Command":"empty","Events":1}`
	for _, id := range []uuid.UUID{late, undo} {
		replies := events(t, st, eventstore.WithTags(spine.CommandTag(id)))
		if len(replies) != 1 || fmt.Sprintf("%s %s", replies[0].Type, replies[0].Data) != reply {
			t.Errorf("replies to %s are %v, want %s", id, replies, reply)
		}
	}
	appendTo(t, st, "account-1", Deposited{10})
	if _, err := sp.Send(t.Context(), spine.WithID(late, Withdraw{"1", 1})); err != nil {
		t.Error(err)
	}
	wantBalance(t, st, "1", 10)

	done, undone := uuid.New(), uuid.New() // and what was done already stays
	for _, c := range []spine.Command{spine.WithID(done, Withdraw{"1", 4}), spine.Revoking(done, undone, Empty{"1"})} {
		if _, err := sp.Send(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(events(t, st, eventstore.OfType("withdrawn"))); n != 3 {
		t.Errorf("%d withdrawals, want 3", n)
	}
	wantBalance(t, st, "1", 0)
}

// Whom a command's sender names is told of all that comes of it, and of nothing else.
func TestWhatFollowsInheritsWhoWaitsForIt(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	sp := newSpine(t, st, accounts(organs.When(payer, pay)))
	appendTo(t, st, "account-1", Deposited{10})
	command := spine.Post(spine.WithID(uuid.New(), Withdraw{"1", 4}))
	request := eventstore.In("payment-1.1", Requested{"1", 3})
	for _, p := range []eventstore.Payload{eventstore.Draft{Payload: command, ReplyTo: "a"}, eventstore.Draft{Payload: request, ReplyTo: "b"}} {
		if _, err := st.Emit(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	drain(t, sp)
	var got []string
	for _, e := range events(t, st, eventstore.All()) {
		got = append(got, e.Type+" "+e.Metadata.ReplyTo)
	}
	slices.Sort(got)
	if want := []string{"command accepted a", "deposited ", "requested b", "withdraw a", "withdrawn a", "withdrawn b"}; !slices.Equal(got, want) {
		t.Errorf("the log has %q, want %q", got, want)
	}
}
