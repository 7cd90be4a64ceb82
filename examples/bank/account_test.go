package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func TestAnAccountGivesOnlyWhatIsInItAndToAccountsThatAreOpen(t *testing.T) {
	t.Parallel()
	store := memory.Open(memory.Config{})
	sp, err := spine.New(store, spine.Config{Middleware: []spine.Middleware{receivers(store)}}, accounts)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		command spine.Command
		refusal string
	}{
		{Deposit{"a", 1}, "there is no such account"},
		{Open{"a", "Ann"}, ""},
		{Open{"a", "Ann"}, "the account is open already"},
		{Deposit{"a", 0}, "the amount is 0.00, not 0.01 … 1000000000.00"},
		{Deposit{"a", -1}, "the amount is -0.01, not 0.01 … 1000000000.00"},
		{Deposit{"a", most + 1}, "the amount is 1000000000.01, not 0.01 … 1000000000.00"},
		{Deposit{"a", 100}, ""},
		{Withdraw{"a", 101}, "there is only 1.00 in the account"},
		{Withdraw{"a", 30}, ""},
		{Transfer{"a", "b", 10}, "there is no such account"},
		{Transfer{"a", "a", 10}, "sender and receiver are the same account"},
		{Open{"b", "Bob"}, ""},
		{Transfer{"a", "b", 71}, "there is only 0.70 in the account"},
		{Transfer{"a", "b", 70}, ""},
		{Withdraw{"a", 1}, "there is only 0.00 in the account"},
		{Withdraw{"b", 70}, ""}, // the receiver has it at once
	} {
		_, err := sp.Send(t.Context(), c.command)
		want := ""
		if c.refusal != "" {
			want = c.command.CommandType() + " rejected: " + c.refusal
		}
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%+v: got %q, want %q", c.command, got, want)
		}
	}
}

func TestGeneratedEventsAreTheSameEveryTimeAndCouldHaveBeenDecided(t *testing.T) {
	t.Parallel()
	few, many := generated(1_000), generated(5_000)
	if diff := cmp.Diff(few, many[:len(few)]); diff != "" {
		t.Errorf("the first events of more are others (-few +many):\n%s", diff)
	}
	state := map[eventstore.Stream]*Account{}
	ids := map[string]bool{}
	for i, d := range many {
		ids[d.ID.String()] = true
		a := state[d.Stream]
		if a == nil {
			a = &Account{}
			state[d.Stream] = a
		}
		var err error
		switch e := d.Payload.(type) {
		case Opened:
		case Deposited:
			err = a.takes(e.Cents)
		case Withdrawn:
			err = a.gives(e.Cents)
		case Received:
			err = a.takes(e.Cents)
		case Transferred:
			err = a.gives(e.Cents)
			pair := Received{e.From, e.Cents}
			if next := many[i+1]; next.Payload != pair || next.Stream != eventstore.StreamOf(category, e.To) || e.From == e.To {
				t.Errorf("event %d: %+v is followed by %+v in %s", i, e, next.Payload, next.Stream)
			}
		}
		if err != nil {
			t.Fatalf("event %d, %+v in %s: %v", i, d.Payload, d.Stream, err)
		}
		ev, err := eventstore.Encode(d)
		if err == nil {
			err = evolve.Apply(a, ev)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(state) != 49 || len(ids) != len(many) {
		t.Errorf("%d accounts, want 49; %d ids of %d events", len(state), len(ids), len(many))
	}
}
