package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/notifications/gateway"
	"github.com/necrostack/necrostack/examples/notifications/notification"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/organs/organstest"
	"github.com/necrostack/necrostack/spine"
)

// spy is a Gateway that answers as it is told, and keeps what it was asked.
type spy struct {
	answer error
	keys   []uuid.UUID
	asked  []notification.Message
}

func (s *spy) Send(_ context.Context, key uuid.UUID, m notification.Message) error {
	s.keys, s.asked = append(s.keys, key), append(s.asked, m)
	return s.answer
}

var (
	channels = notification.Channels()
	toAnn    = notification.Message{RequestID: "r1", UserID: "ann", To: "somewhere", Text: "hi", Priority: notification.High}
	reached  = notification.Receipt{RequestID: "r1", UserID: "ann", To: "somewhere", Priority: notification.High}
)

// senders are the sender of each channel, with what it is asked and what it answers.
func senders(by Gateway, m notification.Message) map[string]struct {
	organ     organs.Reactor
	asked     eventstore.Payload
	delivered eventstore.Payload
} {
	type sender = struct {
		organ     organs.Reactor
		asked     eventstore.Payload
		delivered eventstore.Payload
	}
	return map[string]sender{
		"email": {email(by), notification.EmailSendRequested{Message: m}, notification.EmailDelivered{Receipt: reached}},
		"sms":   {sms(by), notification.SMSSendRequested{Message: m}, notification.SMSDelivered{Receipt: reached}},
		"push":  {push(by), notification.PushSendRequested{Message: m}, notification.PushDelivered{Receipt: reached}},
	}
}

func TestSendersGiveTheEventsIDToTheirGatewayAsIdempotencyKey(t *testing.T) {
	t.Parallel()
	id := uuid.MustParse("00000000-0000-0000-0000-00000000000a")
	for name := range senders(nil, toAnn) {
		var g spy
		s := senders(&g, toAnn)[name]
		organstest.React(t, s.organ, eventstore.Draft{ID: id, Payload: s.asked}).Then(s.delivered)
		if diff := cmp.Diff([]notification.Message{toAnn}, g.asked); diff != "" {
			t.Errorf("%s: asked (-want +got):\n%s", name, diff)
		}
		if len(g.keys) != 1 || g.keys[0] != id {
			t.Errorf("%s: keys %s, want %s", name, g.keys, id)
		}
	}
}

func TestSendersFailAsTheirGatewayDoes(t *testing.T) {
	t.Parallel()
	for _, why := range []error{gateway.ErrBusy, gateway.ErrRefused} {
		for name, s := range senders(&spy{answer: why}, toAnn) {
			organstest.React(t, s.organ, s.asked).ThenError(why)
			ev, err := eventstore.Encode(s.asked)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.organ.Try(t.Context(), ev); !strings.HasPrefix(err.Error(), name+" to somewhere: ") {
				t.Errorf("got %q, want it to name the channel and the address", err)
			}
		}
	}
}

func TestSendersEnforceTheLengthOfTheirChannel(t *testing.T) {
	t.Parallel()
	for _, channel := range channels {
		var g spy
		long := toAnn
		long.Text = strings.Repeat("ß", channel.Limit()+1)
		s := senders(&g, long)[string(channel)]
		if channel == notification.Email {
			long.Text = strings.Repeat("ß", 10_000)
			organstest.React(t, s.organ, s.asked).Then(s.delivered)
			continue
		}
		ev, err := eventstore.Encode(s.asked)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.organ.Try(t.Context(), ev)
		if _, ok := errors.AsType[*notification.TooLongError](err); !ok || g.asked != nil {
			t.Errorf("%s: got %v, and the gateway was asked for %v", channel, err, g.asked)
		}
	}
}

func TestAllSendersShareOnePolicy(t *testing.T) {
	t.Parallel()
	for name, s := range senders(nil, toAnn) {
		if s.organ.Policy != sending {
			t.Errorf("%s has %+v", name, s.organ.Policy)
		}
	}
	if sending.OnError != spine.ErrorStore || sending.Retry.Attempts < 2 {
		t.Errorf("%+v does not retry and park", sending)
	}
}

func TestTheCheckerAnswersEveryRequest(t *testing.T) {
	t.Parallel()
	v := checker(notification.Contacts{"ann": {Email: "ann@example.com"}})
	asked := notification.Requested{
		RequestID: "r1", UserID: "ann", Channels: []notification.Channel{"email"}, Message: "hi", Priority: notification.Low,
	}
	organstest.React(t, v, asked).Then(notification.Validated{
		RequestID: "r1", UserID: "ann", Recipients: []notification.Recipient{{Channel: "email", Address: "ann@example.com"}},
		Message: "hi", Priority: notification.Low,
	})
	asked.UserID = "zoe"
	organstest.React(t, v, asked).Then(notification.Failed{
		RequestID: "r1", UserID: "zoe", Reasons: []string{`user_id "zoe" is unknown`}, Priority: notification.Low,
	})
}

func TestTheRouterAsksTheSenderOfEachChannel(t *testing.T) {
	t.Parallel()
	organstest.React(t, router, notification.Validated{
		RequestID: "r1", UserID: "ann", Message: "hi", Priority: notification.High,
		Recipients: []notification.Recipient{{Channel: "sms", Address: "somewhere"}, {Channel: "push", Address: "somewhere"}},
	}).Then(notification.SMSSendRequested{Message: toAnn}, notification.PushSendRequested{Message: toAnn})
}
