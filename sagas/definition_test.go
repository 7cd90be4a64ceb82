package sagas_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

func book() sagas.Action[trip] {
	return sagas.Command(func(t trip) bookFlight { return bookFlight{t.ID} })
}

func cancel() sagas.Action[trip] {
	return sagas.Command(func(t trip) cancelFlight { return cancelFlight{t.ID} })
}

func charging() sagas.Action[trip] {
	return sagas.Call(func(context.Context, trip, uuid.UUID) (cardCharged, error) { return cardCharged{}, nil })
}

func bookedFlight() sagas.Outcome[trip] {
	return sagas.Success(func(*trip, flightBooked) {})
}

// sound is a saga without a fault.
func sound(nodes ...sagas.Node[trip]) sagas.Saga[trip] {
	if len(nodes) == 0 {
		nodes = []sagas.Node[trip]{sagas.Step[trip]{ID: "a", Do: book()}}
	}
	return sagas.Saga[trip]{Name: "trip", Start: sagas.StartBy(func(c bookTrip) (trip, error) { return trip{ID: c.Trip}, nil }), Steps: nodes}
}

type pointed struct{}

func (*pointed) CommandType() string { return "pointed" }
func (*pointed) StreamID() string    { return "1" }

// wantFaults compares the faults of an organ, all reported together, one a line.
func wantFaults(t *testing.T, o spine.Organ, want ...string) {
	t.Helper()
	st := memory.Open(memory.Config{})
	t.Cleanup(func() { _ = st.Close() })
	_, err := o.Attach(st)
	got := ""
	if err != nil {
		got = err.Error()
	}
	if all := strings.Join(want, "\n"); got != all {
		t.Errorf("its faults are\n%s\nwant\n%s", got, all)
	}
}

func TestFaultsOfADefinitionAreReportedTogether(t *testing.T) {
	t.Parallel()
	type step = sagas.Step[trip]
	type pivot = sagas.Pivot[trip]
	type savepoint = sagas.Savepoint[trip]
	with := func(change func(s *sagas.Saga[trip])) sagas.Saga[trip] {
		s := sound()
		change(&s)
		return s
	}
	long := strings.Repeat("n", 36)
	for name, c := range map[string]struct {
		saga sagas.Saga[trip]
		want []string
	}{
		"none": {sound(), nil},
		"nothing at all": {sagas.Saga[trip]{}, []string{
			`name "" is not 1 … 35 letters, digits and underscores in lower case, with a letter in front`,
			`there are no steps`,
			`Start is missing: make it with StartOn or StartBy`,
		}},
		"its name": {with(func(s *sagas.Saga[trip]) { s.Name = long }), []string{
			`name "` + long + `" is not 1 … 35 letters, digits and underscores in lower case, with a letter in front`,
		}},
		"its version and deadline": {with(func(s *sagas.Saga[trip]) { s.Version, s.Deadline = -1, -time.Second }), []string{
			`Version is -1`, `Deadline is -1s`,
		}},
		"its start": {with(func(s *sagas.Saga[trip]) { s.Start = sagas.StartBy[trip, bookTrip](nil) }), []string{`start by book trip is nil`}},
		"an event as its start": {with(func(s *sagas.Saga[trip]) { s.Start = sagas.StartOn[trip, flightBooked](nil) }), []string{
			`start on flight booked is nil`,
		}},
		"an Undo behind the pivot": {sound(pivot{ID: "p", Do: charging()}, step{ID: "a", Do: book(), Undo: cancel()}), []string{
			`step "a": has an Undo, but is behind the pivot, and never undone`,
		}},
		"an Undo of the pivot": {sound(pivot{ID: "p", Do: charging(), Undo: cancel()}), []string{
			`pivot "p": has an Undo, but is the step after which nothing is undone`,
		}},
		"a second pivot, a savepoint behind one and one at the end": {
			sound(pivot{ID: "p", Do: charging()}, pivot{ID: "q", Do: charging()}, savepoint{}), []string{
				`pivot "q": there is one before it`,
				`savepoint 3: is behind the pivot, where nothing turns back`,
			},
		},
		"savepoints": {
			sound(savepoint{}, step{ID: "a", Do: book()}, savepoint{Retry: sagas.Retry{Attempts: 1, Base: -1, Most: -1}}), []string{
				`savepoint 1: Retry.Attempts is 0: it says how often the saga goes forward again`,
				`savepoint 3: no step follows`,
				"savepoint 3: Retry: the base is -1ns\nat most it waits -1ns, and at first -1ns",
			},
		},
		"nodes": {sound(nil, sagas.Parallel[trip]{}, step{ID: "a", Do: book()}), []string{`node 1 is nil`, `node 2 has no steps`}},
		"ids": {
			sound(step{ID: "a", Do: book()}, step{Do: book()}, step{ID: "a/b", Do: book()}, sagas.Parallel[trip]{{ID: "a", Do: book()}}), []string{
				`step "": ID is not 1 … 60 letters, digits, '.', '_' and '-'`,
				`step "a/b": ID is not 1 … 60 letters, digits, '.', '_' and '-'`,
				`step "a": the ID is used twice`,
			},
		},
		"actions": {
			sound(step{ID: "a"}, step{ID: "b", Do: sagas.Command[trip, bookFlight](nil), Undo: sagas.Call[trip, cardCharged](nil)},
				step{ID: "c", Do: sagas.Command(func(trip) *pointed { return nil }), Undo: cancel().Guarded(sagas.Breaker{})},
				step{ID: "d", Do: charging().Guarded(sagas.Breaker{Failures: -1})}), []string{
				`step "a": it does nothing: Do is missing`,
				`step "b": Do: command book flight is nil`,
				`step "b": Undo: call for card charged is nil`,
				`step "c": Do: command *sagas_test.pointed is a pointer: take sagas_test.pointed`,
				`step "c": Undo: only a Call can be guarded`,
				`step "d": Do: breaker: Failures is -1 and Open is 0s`,
			},
		},
		"times": {
			sound(step{ID: "a", Do: book(), Timeout: -1, Retry: sagas.Retry{Base: 2, Most: 1}, UndoRetry: sagas.Retry{Base: -3}}), []string{
				`step "a": Retry: at most it waits 1ns, and at first 2ns`,
				`step "a": UndoRetry: the base is -3ns`,
				`step "a": its Timeout is -1ns`,
			},
		},
		"outcomes": {
			sound(
				step{ID: "a", Do: book(), On: sagas.Outcomes[trip]{sagas.Refusal(func(*trip, flightCancelled) {})}},
				step{ID: "b", Do: book(), On: sagas.Outcomes[trip]{bookedFlight(), bookedFlight(), {}, sagas.Success[trip, roomReserved](nil)}},
				step{ID: "c", Do: charging(), On: sagas.Outcomes[trip]{bookedFlight()}},
			), []string{
				`step "a": On lists no Success: nothing would settle it well`,
				`step "b": two outcomes flight booked`,
				`step "b": outcome 3 is empty: make it with Success or Refusal`,
				`step "b": outcome room reserved is nil`,
				`step "c": On does not list card charged, which the call returns`,
			},
		},
		"former versions": {with(func(s *sagas.Saga[trip]) {
			s.Version = 3
			one, twice, other, newer, nested := sound(), sound(), sound(), sound(), sound()
			other.Name, other.Version, newer.Version = "other", 2, 3
			nested.Version, nested.Former = 2, []sagas.Saga[trip]{sound()}
			s.Former = []sagas.Saga[trip]{one, twice, newer, other, nested}
		}), []string{
			`former version 1: there are two of this version`,
			"former version 3: its version is not below 3\nthere are two of this version",
			`former version 2: its name is "other"`,
			"former version 2: it has a Former itself: list all versions in the newest\nthere are two of this version",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantFaults(t, c.saga, c.want...)
		})
	}
}

func TestFaultsOfAProcessAreReportedTogether(t *testing.T) {
	t.Parallel()
	start := sagas.Start(func(trip, flightBooked) sagas.Actions { return nil })
	for name, c := range map[string]struct {
		process sagas.Process[trip]
		want    []string
	}{
		"none": {sagas.Process[trip]{Name: "watch", Key: eventstore.ByStream, React: sagas.Reactions[trip]{start}}, nil},
		"nothing at all": {sagas.Process[trip]{Version: -1, Missing: 9}, []string{
			`name "" is not 1 … 35 letters, digits and underscores in lower case, with a letter in front`,
			`Version is -1`,
			`Key is missing: it says which instance an event belongs to`,
			`Missing is 9`,
			`nothing begins an instance: one reaction has to be made by Start`,
		}},
		"reactions": {sagas.Process[trip]{Name: "watch", Key: eventstore.ByStream, React: sagas.Reactions[trip]{
			start, sagas.When(func(trip, flightBooked) sagas.Actions { return nil }),
			{},
			sagas.When[trip, roomReserved](nil), sagas.OnTimer[trip]("late", nil), sagas.OnTimer("", func(trip) sagas.Actions { return nil }),
		}}, []string{
			`two reactions to event flight booked`,
			`reaction 3 is empty: make it with Start, When or OnTimer`,
			`reaction to room reserved is nil`,
			`reaction to timer late is nil`,
			`timer is empty`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantFaults(t, c.process, c.want...)
		})
	}
}

// A state with a field that JSON would leave out, or change, is not what it was when it is read again.
func TestAStateThatWouldNotBeReadAsItWasWrittenIsAFault(t *testing.T) {
	t.Parallel()
	type secretive struct {
		ID     string
		hidden string
	}
	s := sagas.Saga[secretive]{
		Name:  "trip",
		Start: sagas.StartBy(func(c bookTrip) (secretive, error) { return secretive{ID: c.Trip, hidden: "x"}, nil }),
		Steps: sagas.Sequence[secretive]{sagas.Step[secretive]{ID: "a", Do: sagas.Command(func(s secretive) bookFlight { return bookFlight{s.hidden} })}},
	}
	st := memory.Open(memory.Config{})
	defer st.Close()
	if _, err := s.Attach(st); err == nil || !strings.HasPrefix(err.Error(), "the state: ") {
		t.Errorf("its fault is %v", err)
	}
}

// What only the Spine can see: commands that nobody decides, sagas that wait for each other in a circle, and two of one name.
func TestSagasThatDoNotFitTogetherAreFaults(t *testing.T) {
	t.Parallel()
	outer := sound(sagas.Step[trip]{ID: "a", Do: sagas.Nested(func(t trip) reserveRoom { return reserveRoom{t.ID} })})
	inner := sound(sagas.Step[trip]{ID: "a", Do: sagas.Nested(func(t trip) bookTrip { return bookTrip{t.ID} })})
	inner.Name = "inner"
	inner.Start = sagas.StartBy(func(c reserveRoom) (trip, error) { return trip{ID: c.Trip}, nil })
	itself := sound(sagas.Step[trip]{ID: "a", Do: sagas.Nested(func(t trip) bookTrip { return bookTrip{t.ID} })})
	flights := organs.Aggregate[bool]{Category: "flight", Decide: organs.Decide[bool]{
		organs.Handle(func(bool, bookFlight) (organs.Events, error) { return nil, nil }),
	}}
	watch := sagas.Process[trip]{Name: "watch", Key: eventstore.ByStream, Sends: []spine.Command{issueTickets{}}, React: sagas.Reactions[trip]{
		sagas.Start(func(trip, flightBooked) sagas.Actions { return nil }),
	}}
	for name, c := range map[string]struct {
		organs []spine.Organ
		want   []string
	}{
		"nobody decides": {[]spine.Organ{sound(sagas.Step[trip]{ID: "a", Do: book(), Undo: cancel()})}, []string{
			`organ "saga.trip": sends command book flight, which no organ decides: Config.Elsewhere names those of other processes`,
			`organ "saga.trip": sends command cancel flight, which no organ decides: Config.Elsewhere names those of other processes`,
		}},
		"nobody decides for a process": {[]spine.Organ{watch}, []string{
			`organ "saga.watch": sends command issue tickets, which no organ decides: Config.Elsewhere names those of other processes`,
		}},
		"a circle": {[]spine.Organ{outer, inner}, []string{`organs wait for each other in a circle: saga.inner → saga.trip → saga.inner`}},
		"itself":   {[]spine.Organ{itself}, []string{`organs wait for each other in a circle: saga.trip → saga.trip`}},
		"one name": {[]spine.Organ{sound(), sound(), flights}, []string{`organ "saga.trip": the name is used twice`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := memory.Open(memory.Config{})
			defer st.Close()
			_, err := spine.New(st, spine.Config{}, c.organs...)
			if err == nil {
				t.Fatal("it is taken")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the faults are\n%v\nand not\n%s", err, want)
				}
			}
		})
	}
}

func TestAnIDThatNamesNoStreamBeginsNothing(t *testing.T) {
	t.Parallel()
	st := memory.Open(memory.Config{})
	defer st.Close()
	sp, err := spine.New(st, spine.Config{Elsewhere: []string{"book flight"}}, sound())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", " ", " a", "a\x00", "a\xff", strings.Repeat("a", 121)} {
		_, err := sp.Send(t.Context(), bookTrip{id})
		if _, rejected := errors.AsType[*spine.RejectedError](err); err == nil || !rejected && !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("%q begins a saga: %v", id, err)
		}
	}
	if _, err := sp.Send(t.Context(), bookTrip{strings.Repeat("a", 120)}); err != nil {
		t.Error(err)
	}
}
