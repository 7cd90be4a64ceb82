package gateway_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/necrostack/necrostack/examples/notifications/gateway"
	"github.com/necrostack/necrostack/examples/notifications/notification"
)

var (
	first  = uuid.MustParse("00000000-0000-0000-0000-000000000001")
	second = uuid.MustParse("00000000-0000-0000-0000-000000000002")
)

func TestTheMailServerTurnsEveryMessageAwayOnce(t *testing.T) {
	t.Parallel()
	var m gateway.Mailer
	for _, key := range []uuid.UUID{first, second} {
		if err := m.Send(t.Context(), key, notification.Message{}); !errors.Is(err, gateway.ErrBusy) || errors.Is(err, gateway.ErrRefused) {
			t.Errorf("first attempt at %s: got %v, want %v", key, err, gateway.ErrBusy)
		}
	}
	for _, key := range []uuid.UUID{first, second} {
		if err := m.Send(t.Context(), key, notification.Message{}); err != nil {
			t.Errorf("second attempt at %s: %v", key, err)
		}
	}
	if n := len(m.Sent()); n != 2 {
		t.Errorf("%d messages sent, want 2", n)
	}
}

func TestBlockedNumbersAreRefusedForGood(t *testing.T) {
	t.Parallel()
	s := gateway.NewSMS("+1", "+2")
	for range 3 {
		if err := s.Send(t.Context(), first, notification.Message{To: "+2"}); !errors.Is(err, gateway.ErrRefused) {
			t.Errorf("got %v, want %v", err, gateway.ErrRefused)
		}
	}
	if err := s.Send(t.Context(), second, notification.Message{To: "+3"}); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]notification.Message{{To: "+3"}}, s.Sent()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAMessageIsDeliveredOncePerKey(t *testing.T) {
	t.Parallel()
	type sender interface {
		Send(context.Context, uuid.UUID, notification.Message) error
		Sent() []notification.Message
	}
	for name, g := range map[string]sender{"email": &gateway.Mailer{}, "sms": gateway.NewSMS(), "push": &gateway.Push{}} {
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { _ = g.Send(t.Context(), first, notification.Message{Text: "hi"}) }) // one may be busy
		}
		all.Wait()
		if diff := cmp.Diff([]notification.Message{{Text: "hi"}}, g.Sent()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}
