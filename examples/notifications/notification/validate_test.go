package notification_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/necrostack/necrostack/examples/notifications/notification"
)

var known = notification.Contacts{
	"ann": {Email: "ann@example.com", Phone: "+12025550101", Device: "d1"},
	"bob": {Email: "bob@example.com"},
	"eve": {},
}

func TestRequestsThatCannotGoOutFailWithAllReasons(t *testing.T) {
	t.Parallel()
	type channels = []notification.Channel
	for name, c := range map[string]struct {
		request notification.Requested
		want    []string
	}{
		"unknown user": {
			notification.Requested{UserID: "zoe", Channels: channels{"email"}, Message: "hi", Priority: "low"},
			[]string{`user_id "zoe" is unknown`},
		},
		"no user": {
			notification.Requested{Channels: channels{"email"}, Message: "hi", Priority: "low"}, []string{`user_id "" is unknown`},
		},
		"unknown channel": {
			notification.Requested{UserID: "ann", Channels: channels{"fax", "email", "fax"}, Message: "hi", Priority: "low"},
			[]string{`channels: "fax" is not one of email, sms, push`},
		},
		"no channels": {
			notification.Requested{UserID: "ann", Message: "hi", Priority: "low"}, []string{"channels are missing"},
		},
		"an empty channel among others": {
			notification.Requested{UserID: "ann", Channels: channels{"email", ""}, Message: "hi", Priority: "low"},
			[]string{`channels: "" is not one of email, sms, push`},
		},
		"no e-mail address": {
			notification.Requested{UserID: "eve", Channels: channels{"email"}, Message: "hi", Priority: "low"},
			[]string{"channels: eve has no e-mail address, which email needs"},
		},
		"no phone and no device": {
			notification.Requested{UserID: "bob", Channels: channels{"sms", "email", "push"}, Message: "hi", Priority: "low"},
			[]string{"channels: bob has no phone, which sms needs", "channels: bob has no device, which push needs"},
		},
		"empty message": {
			notification.Requested{UserID: "ann", Channels: channels{"email"}, Message: " \n", Priority: "low"}, []string{"message is empty"},
		},
		"too long for two channels": {
			notification.Requested{
				UserID: "ann", Channels: channels{"email", "sms", "push"}, Message: strings.Repeat("ä", 257), Priority: "low",
			},
			[]string{"message has 257 characters, sms takes 160", "message has 257 characters, push takes 256"},
		},
		"unknown priority": {
			notification.Requested{UserID: "ann", Channels: channels{"email"}, Message: "hi", Priority: "urgent"},
			[]string{`priority "urgent" is not one of low, normal, high`},
		},
		"everything": {
			notification.Requested{UserID: "zoe", Channels: channels{"fax"}},
			[]string{
				`user_id "zoe" is unknown`, `channels: "fax" is not one of email, sms, push`, "message is empty",
				`priority "" is not one of low, normal, high`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.request.RequestID = "r1"
			want := notification.Failed{RequestID: "r1", UserID: c.request.UserID, Reasons: c.want, Priority: c.request.Priority}
			if diff := cmp.Diff(notification.Payload(want), notification.Check(c.request, known)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestAValidRequestNamesEachRecipientOnce(t *testing.T) {
	t.Parallel()
	got := notification.Check(notification.Requested{
		RequestID: "r1", UserID: "ann", Channels: []notification.Channel{"push", "email", "push", "sms"},
		Message: strings.Repeat("é", 160), Priority: "high",
	}, known)
	want := notification.Validated{
		RequestID: "r1", UserID: "ann", Message: strings.Repeat("é", 160), Priority: "high",
		Recipients: []notification.Recipient{{"push", "d1"}, {"email", "ann@example.com"}, {"sms", "+12025550101"}},
	}
	if diff := cmp.Diff(notification.Payload(want), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestARequestIsSplitByChannel(t *testing.T) {
	t.Parallel()
	got := notification.Route(notification.Validated{
		RequestID: "r1", UserID: "ann", Message: "hi", Priority: "high",
		Recipients: []notification.Recipient{{"push", "d1"}, {"email", "ann@example.com"}, {"sms", "+12025550101"}},
	})
	to := func(address string) notification.Message {
		return notification.Message{RequestID: "r1", UserID: "ann", To: address, Text: "hi", Priority: "high"}
	}
	want := []notification.Payload{
		notification.PushSendRequested{Message: to("d1")},
		notification.EmailSendRequested{Message: to("ann@example.com")},
		notification.SMSSendRequested{Message: to("+12025550101")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
