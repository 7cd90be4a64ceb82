package input_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/necrostack/necrostack/examples/notifications/input"
	"github.com/necrostack/necrostack/examples/notifications/notification"
)

const contactHeader = "user_id,email,phone,device\n"

func TestMalformedContactsAreNamedAndTheRestComesThrough(t *testing.T) {
	t.Parallel()
	for row, want := range map[string]string{
		"bob,bob@example.com,": "line 3: the row has 3 fields where the header has 4 (a value with a comma needs quotes)",
		",bob@example.com,,":   "line 3: user_id is empty",
		"ann,,,":               `line 3: user_id "ann" is on line 2 already`,
		"bob,bob,,":            `line 3: email "bob" is not an address such as ann@example.com`,
		"bob,,555,a b": `line 3: phone "555" is not + and 7 to 15 digits, such as +12025550101; ` +
			`device "a b" contains what is no letter, digit or sign`,
		"b\x00b,,,\x00": `line 3: user_id "b\x00b" contains a control character; device "\x00" contains a control character`,
	} {
		file := contactHeader + "ann,ann@example.com,,\n" + row + "\ncleo,,,d1\n"
		contacts, faults, err := input.ReadContacts(strings.NewReader(file))
		if got := texts(faults); err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%q: got %q, %v, want %q", row, got, err, want)
		}
		rest := notification.Contacts{"ann": {Email: "ann@example.com"}, "cleo": {Device: "d1"}}
		if diff := cmp.Diff(rest, contacts); diff != "" {
			t.Errorf("%q: -want +got:\n%s", row, diff)
		}
	}
}

func TestContactFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"":                    "the file is empty",
		"user_id,email,phone": "line 1: the header lacks the column device",
		header:                `line 1: the header has the unknown column "channels"`,
	} {
		contacts, faults, err := input.ReadContacts(strings.NewReader(file))
		if err == nil || !strings.HasPrefix(err.Error(), want) || contacts != nil || faults != nil {
			t.Errorf("%q: got %v, %v, %v, want %s", file, contacts, faults, err, want)
		}
	}
}

func TestAnEmptyFieldOfAContactMeansThatThereIsNone(t *testing.T) {
	t.Parallel()
	contacts, faults, err := input.ReadContacts(strings.NewReader("Device, user_id ,phone,email\n,ann,,\n d1 ,bob, +12025550101 ,bob@example.com\n"))
	if err != nil || faults != nil {
		t.Fatal(faults, err)
	}
	want := notification.Contacts{"ann": {}, "bob": {Email: "bob@example.com", Phone: "+12025550101", Device: "d1"}}
	if diff := cmp.Diff(want, contacts); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTheBuiltInContactsCanBeReachedByEveryChannel(t *testing.T) {
	t.Parallel()
	contacts := input.Contacts()
	for _, user := range []string{"user_001", "user_002", "user_003"} {
		c, ok := contacts[user]
		if !ok || c.Validate() != nil {
			t.Errorf("%s: %+v, %v", user, c, c.Validate())
		}
		for _, channel := range notification.Channels() {
			if c.Address(channel) == "" {
				t.Errorf("%s has nothing for %s", user, channel)
			}
		}
	}
	if diff := cmp.Diff([]string{contacts["user_003"].Phone}, input.BlockedPhones()); diff != "" || len(contacts) != 3 {
		t.Errorf("%d contacts, blocked (-want +got):\n%s", len(contacts), diff)
	}
}
