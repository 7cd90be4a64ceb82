package notification

import (
	"fmt"
	"unicode/utf8"
)

// Channel is a way to reach somebody.
type Channel string

// The channels.
const (
	Email Channel = "email"
	SMS   Channel = "sms"
	Push  Channel = "push"
)

// Channels lists the channels, in the order in which they are reported.
func Channels() []Channel { return []Channel{Email, SMS, Push} }

// Limit is how many characters (Unicode code points) a message of the channel may have; 0 is any number.
func (c Channel) Limit() int {
	switch c {
	case SMS:
		return 160
	case Push:
		return 256
	default:
		return 0
	}
}

// Fits returns a *TooLongError for a text that is longer than the channel's Limit.
func (c Channel) Fits(text string) error {
	limit := c.Limit()
	if limit == 0 {
		return nil
	}
	if n := utf8.RuneCountInString(text); n > limit {
		return &TooLongError{Channel: c, Characters: n}
	}
	return nil
}

// TooLongError says that a message is longer than its channel takes.
type TooLongError struct {
	Channel    Channel
	Characters int // of the message
}

func (e *TooLongError) Error() string {
	return fmt.Sprintf("message has %d characters, %s takes %d", e.Characters, e.Channel, e.Channel.Limit())
}

// Priority says how urgent a request is.
type Priority string

// The priorities.
const (
	Low    Priority = "low"
	Normal Priority = "normal"
	High   Priority = "high"
)

// Priorities lists the priorities, the least urgent first.
func Priorities() []Priority { return []Priority{Low, Normal, High} }
