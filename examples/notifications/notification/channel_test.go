package notification_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/necrostack/necrostack/examples/notifications/notification"
)

func TestAChannelCountsCharactersNotBytes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		channel notification.Channel
		text    string
		fits    bool
	}{
		{notification.SMS, strings.Repeat("ü", 160), true},
		{notification.SMS, strings.Repeat("ü", 161), false},
		{notification.Push, strings.Repeat("日", 256), true},
		{notification.Push, strings.Repeat("日", 257), false},
		{notification.Email, strings.Repeat("e", 100_000), true},
		{notification.SMS, "", true},
	} {
		err := c.channel.Fits(c.text)
		if (err == nil) != c.fits {
			t.Errorf("%s of %d characters: got %v", c.channel, len([]rune(c.text)), err)
		}
	}
}

func TestATooLongTextIsMeasured(t *testing.T) {
	t.Parallel()
	err := notification.SMS.Fits(strings.Repeat("é", 161))
	tooLong, ok := errors.AsType[*notification.TooLongError](err)
	if !ok || tooLong.Characters != 161 || err.Error() != "message has 161 characters, sms takes 160" {
		t.Errorf("got %v", err)
	}
}
