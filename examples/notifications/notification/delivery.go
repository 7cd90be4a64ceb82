package notification

import (
	"fmt"
	"slices"
)

// Delivery is how far one request has come: what its own events, folded in order, make of the zero Delivery.
type Delivery struct {
	UserID      string
	Channels    []Channel // that were asked for; nil until it is opened
	Outstanding []Channel // of them, those that have not delivered
}

// DeliveryOpened says that a request is on its way, by these channels.
type DeliveryOpened struct {
	RequestID string    `json:"request_id"`
	UserID    string    `json:"user_id"`
	Channels  []Channel `json:"channels"`
}

// EventType implements the framework's payload.
func (DeliveryOpened) EventType() string { return "DELIVERY_OPENED" }

// DeliveryConfirmed says that one channel of a request has delivered.
type DeliveryConfirmed struct {
	RequestID string  `json:"request_id"`
	Channel   Channel `json:"channel"`
}

// EventType implements the framework's payload.
func (DeliveryConfirmed) EventType() string { return "DELIVERY_CONFIRMED" }

// DeliveryCompleted says that all channels of a request have delivered.
type DeliveryCompleted struct {
	RequestID string    `json:"request_id"`
	UserID    string    `json:"user_id"`
	Channels  []Channel `json:"channels"`
}

// EventType implements the framework's payload.
func (DeliveryCompleted) EventType() string { return "DELIVERY_COMPLETED" }

// Open decides about a validated request: it is opened, once.
func (d Delivery) Open(v Validated) []Payload {
	if d.Channels != nil {
		return nil
	}
	channels := make([]Channel, len(v.Recipients))
	for i, to := range v.Recipients {
		channels[i] = to.Channel
	}
	return []Payload{DeliveryOpened{RequestID: v.RequestID, UserID: v.UserID, Channels: channels}}
}

// Confirm decides about a message that a channel has delivered: each channel is confirmed once, and the last one completes the
// delivery. A channel that was not asked for is an error.
func (d Delivery) Confirm(requestID string, by Channel) ([]Payload, error) {
	if !slices.Contains(d.Channels, by) {
		return nil, fmt.Errorf("request %s was not to be delivered by %s", requestID, by)
	}
	if !slices.Contains(d.Outstanding, by) {
		return nil, nil
	}
	out := []Payload{DeliveryConfirmed{RequestID: requestID, Channel: by}}
	if len(d.Outstanding) == 1 {
		out = append(out, DeliveryCompleted{RequestID: requestID, UserID: d.UserID, Channels: d.Channels})
	}
	return out, nil
}

// Opened folds an event into the state.
func (d *Delivery) Opened(e DeliveryOpened) {
	d.UserID, d.Channels, d.Outstanding = e.UserID, e.Channels, slices.Clone(e.Channels)
}

// Confirmed folds an event into the state.
func (d *Delivery) Confirmed(e DeliveryConfirmed) {
	d.Outstanding = slices.DeleteFunc(slices.Clone(d.Outstanding), func(c Channel) bool { return c == e.Channel })
}
