package organs_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

func TestReceivedCommandKnowsItsSending(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	var got spine.Received[Withdraw]
	sp := newSpine(t, st, organs.Aggregate[Account]{
		Category: "account",
		Decide: organs.Decide[Account]{organs.Handle(func(_ Account, c spine.Received[Withdraw]) (organs.Events, error) {
			got = c
			return organs.Events{Withdrawn{c.Command.Amount}}, nil
		})},
	})
	ctx := eventstore.WithMetadata(t.Context(), eventstore.Metadata{Actor: "ann"})
	if _, err := sp.Send(ctx, Withdraw{"1", 5}); err != nil {
		t.Fatal(err)
	}
	if got.Command != (Withdraw{"1", 5}) || got.ID == uuid.Nil || got.Time.IsZero() || got.Metadata.Actor != "ann" {
		t.Errorf("received %+v", got)
	}
	m := events(t, st, eventstore.All())[0].Metadata
	if m.Causation != got.ID || m.Correlation != got.ID || m.Depth != 1 || m.Actor != "ann" {
		t.Errorf("metadata is %+v, want it to follow from command %s", m, got.ID)
	}
}

func TestCommandMayBeSentAsAPointer(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	sp := newSpine(t, st, accounts())
	appendTo(t, st, "account-1", Deposited{5})
	send(t, sp, &Withdraw{"1", 5})
	wantBalance(t, st, "1", 0)
	for _, c := range []spine.Command{nil, (*Withdraw)(nil)} {
		if _, err := sp.Send(t.Context(), c); !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("%#v: error is %v, want ErrInvalid", c, err)
		}
	}
}

func TestBadStreamIDIsInvalid(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	sp := newSpine(t, st, accounts())
	for name, id := range map[string]string{
		"empty": "", "space before": " 1", "space behind": "1\n", "NUL": "a\x00b", "no UTF-8": "\xff",
		"overlong": strings.Repeat("x", 256), "overlong with its category": strings.Repeat("x", 255-len("account")),
	} {
		_, err := sp.Send(t.Context(), Empty{id})
		if _, ok := errors.AsType[*spine.RejectedError](err); ok || !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("%s: error is %v, want ErrInvalid", name, err)
		}
	}
	send(t, sp, Empty{strings.Repeat("x", 255-len("account-"))})
}

func TestNilEventFailsTheDecisionAndWritesNothing(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	sp := newSpine(t, st, accounts(organs.Handle(func(Account, Close) (organs.Events, error) {
		return organs.Events{Withdrawn{1}, nil}, nil
	})))
	_, err := sp.Send(t.Context(), Close{"1"})
	if !errors.Is(err, eventstore.ErrInvalid) || !strings.Contains(err.Error(), "send close to account: decision on close: event 2") {
		t.Errorf("error is %v", err)
	}
	wantLog(t, st, eventstore.All())
}

func TestSendThatWaitsForAnotherEndsWithItsContext(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	deciding, goOn := make(chan struct{}), make(chan struct{})
	sp := newSpine(t, st, accounts(organs.Handle(func(Account, Close) (organs.Events, error) {
		close(deciding)
		<-goOn
		return organs.Events{Deposited{1}}, nil
	})))
	var wg sync.WaitGroup
	wg.Go(func() { send(t, sp, Close{"1"}) })
	<-deciding
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sp.Send(ctx, Empty{"1"}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want context.Canceled", err)
	}
	send(t, sp, Empty{"2"}) // another entity waits for nobody
	close(goOn)
	wg.Wait()
	wantBalance(t, st, "1", 1)
}
