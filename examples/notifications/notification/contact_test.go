package notification_test

import (
	"strings"
	"testing"

	"github.com/necrostack/necrostack/examples/notifications/notification"
)

func TestAddressesThatCannotBeOneAreNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		contact notification.Contact
		want    []string // how its faults begin
	}{
		{notification.Contact{}, nil},
		{notification.Contact{Email: "ann@example.com", Phone: "+12025550101", Device: "fcm:a_b-c.1"}, nil},
		{notification.Contact{Email: "ann"}, []string{`email "ann" is not`}},
		{notification.Contact{Email: "Ann <ann@example.com>"}, []string{`email "Ann <ann@example.com>" is not`}},
		{notification.Contact{Phone: "12025550101"}, []string{`phone "12025550101" is not`}},
		{notification.Contact{Phone: "+02025550101"}, []string{`phone "+02025550101" is not`}},
		{notification.Contact{Phone: "+1 202 555 0101"}, []string{`phone "+1 202 555 0101" is not`}},
		{notification.Contact{Phone: "+123456"}, []string{`phone "+123456" is not`}},
		{notification.Contact{Phone: "+1234567890123456"}, []string{`phone "+1234567890123456" is not`}},
		{notification.Contact{Device: "my phone"}, []string{`device "my phone" contains`}},
		{
			notification.Contact{Email: "@", Phone: "+", Device: "\u202e"},
			[]string{`email "@" is not`, `phone "+" is not`, `device "\u202e" contains`},
		},
	} {
		var got []string
		if err := c.contact.Validate(); err != nil {
			got = strings.Split(err.Error(), "\n")
		}
		if len(got) != len(c.want) {
			t.Errorf("%+v: got %q, want %q", c.contact, got, c.want)
			continue
		}
		for i := range got {
			if !strings.HasPrefix(got[i], c.want[i]) {
				t.Errorf("%+v: got %q, want %q", c.contact, got[i], c.want[i])
			}
		}
	}
}
