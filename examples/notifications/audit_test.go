package main

import (
	"errors"
	"testing"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/notifications/notification"
	"github.com/necrostack/necrostack/organs/organstest"
)

var (
	valid = notification.Validated{RequestID: "r1", UserID: "ann", Recipients: []notification.Recipient{
		{Channel: notification.Email, Address: "somewhere"},
		{Channel: notification.SMS, Address: "somewhere"},
		{Channel: notification.Push, Address: "somewhere"},
	}}
	opened    = notification.DeliveryOpened{RequestID: "r1", UserID: "ann", Channels: channels}
	completed = notification.DeliveryCompleted{RequestID: "r1", UserID: "ann", Channels: channels}
)

func confirmed(c notification.Channel) notification.DeliveryConfirmed {
	return notification.DeliveryConfirmed{RequestID: "r1", Channel: c}
}

func TestADeliveryIsOpenedOnceWithAllChannelsOutstanding(t *testing.T) {
	t.Parallel()
	organstest.Given(t, audit).WhenEvent(valid).Then(opened)
	organstest.Given(t, audit, opened).WhenEvent(valid).Then().
		ThenState(notification.Delivery{UserID: "ann", Channels: channels, Outstanding: channels})
}

func TestADeliveryIsCompletedWhenItsLastChannelIsDone(t *testing.T) {
	t.Parallel()
	events := map[notification.Channel]eventstore.Payload{
		notification.Email: notification.EmailDelivered{Receipt: reached},
		notification.SMS:   notification.SMSDelivered{Receipt: reached},
		notification.Push:  notification.PushDelivered{Receipt: reached},
	}
	for _, order := range [][]notification.Channel{
		{"email", "sms", "push"},
		{"email", "push", "sms"},
		{"sms", "email", "push"},
		{"sms", "push", "email"},
		{"push", "email", "sms"},
		{"push", "sms", "email"},
	} {
		a, b, c := order[0], order[1], order[2]
		organstest.Given(t, audit, opened).WhenEvent(events[a]).Then(confirmed(a))
		organstest.Given(t, audit, opened, confirmed(a)).WhenEvent(events[b]).Then(confirmed(b))
		organstest.Given(t, audit, opened, confirmed(a), confirmed(b)).WhenEvent(events[c]).Then(confirmed(c), completed).
			ThenState(notification.Delivery{UserID: "ann", Channels: channels, Outstanding: []notification.Channel{c}})
	}
}

func TestAChannelCountsOnce(t *testing.T) {
	t.Parallel()
	again := notification.SMSDelivered{Receipt: reached}
	organstest.Given(t, audit, opened, confirmed("sms")).WhenEvent(again).Then()
	organstest.Given(t, audit, opened, confirmed("sms"), confirmed("email"), confirmed("push"), completed).WhenEvent(again).Then()
}

func TestADeliveryByAChannelThatWasNotAskedForIsAnError(t *testing.T) {
	t.Parallel()
	two := opened
	two.Channels = []notification.Channel{"email", "push"}
	for _, given := range [][]eventstore.Payload{{two}, nil} {
		_, _, err := audit.Try(encoded(t, given), notification.SMSDelivered{Receipt: reached})
		if err == nil || err.Error() != "request r1 was not to be delivered by sms" {
			t.Errorf("given %v: got %v", given, err)
		}
	}
}

func encoded(t *testing.T, payloads []eventstore.Payload) (out []eventstore.Event) {
	t.Helper()
	var errs []error
	for _, p := range payloads {
		e, err := eventstore.Encode(p)
		out, errs = append(out, e), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return out
}
