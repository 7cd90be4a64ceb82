package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/notifications/gateway"
	"github.com/necrostack/necrostack/examples/notifications/notification"
	"github.com/necrostack/necrostack/examples/resume"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// Gateway takes messages to people. It may be asked for the same message again, and delivers it once for its key. An error that wraps
// gateway.ErrRefused is final; after any other the next attempt may succeed.
type Gateway interface {
	Send(ctx context.Context, key uuid.UUID, m notification.Message) error
}

// sending is how the senders consume: messages are independent of each other, so several workers send them. What a gateway may take the
// next time is tried again at once, and what nobody takes is parked.
var sending = spine.Policy{
	Delivery: spine.Competing,
	OnError:  spine.ErrorStore,
	Retry:    spine.Retry{Attempts: 4, Base: time.Millisecond}, // the gateways are in memory, and recover as fast
	// What a run was sending when it was killed, the next one may send after this time: see resume.Lease. Over a network both
	// would be longer, and no shorter than the slowest gateway takes.
	Deadline:   resume.Lease,
	Visibility: resume.Lease,
}

// allOrgans are the names of all of them.
var allOrgans = []string{"checker", "router", "email", "sms", "push", "delivery"}

// staff is the organs that this process is to run.
func (j *job) staff() []spine.Organ {
	all := []spine.Organ{checker(j.contacts), router, email(j.outside.email), sms(j.outside.sms), push(j.outside.push), audit}
	if j.organs == nil {
		return all
	}
	var some []spine.Organ
	for i, name := range allOrgans {
		if slices.Contains(j.organs, name) {
			some = append(some, all[i])
		}
	}
	return some
}

// checker judges every request. Like all that follows from a request but the audit, its verdict goes to the stream of the request.
// Organs are known to the log by their names; none here is that of an organ of another example, which may be given the same database.
func checker(known notification.Contacts) organs.Reactor {
	return organs.Reactor{
		Name: "checker",
		On: organs.Reactions{
			organs.React(func(_ context.Context, r notification.Requested) (organs.Events, error) {
				return organs.Events{notification.Check(r, known)}, nil
			}),
		},
	}
}

// router hands a valid request to the senders of its channels.
var router = organs.Reactor{
	Name: "router",
	On: organs.Reactions{
		organs.React(func(_ context.Context, v notification.Validated) (organs.Events, error) {
			return events(notification.Route(v)), nil
		}),
	},
}

// email sends e-mails.
func email(by Gateway) organs.Reactor {
	return organs.Reactor{
		Name:   "email",
		Policy: sending,
		On: organs.Reactions{
			organs.React(func(ctx context.Context, e eventstore.Recorded[notification.EmailSendRequested]) (organs.Events, error) {
				m := e.Payload.Message
				return deliver(ctx, by, notification.Email, e.ID, m, notification.EmailDelivered{Receipt: m.Receipt()})
			}),
		},
	}
}

// sms sends short messages.
func sms(by Gateway) organs.Reactor {
	return organs.Reactor{
		Name:   "sms",
		Policy: sending,
		On: organs.Reactions{
			organs.React(func(ctx context.Context, e eventstore.Recorded[notification.SMSSendRequested]) (organs.Events, error) {
				m := e.Payload.Message
				return deliver(ctx, by, notification.SMS, e.ID, m, notification.SMSDelivered{Receipt: m.Receipt()})
			}),
		},
	}
}

// push pushes messages to devices.
func push(by Gateway) organs.Reactor {
	return organs.Reactor{
		Name:   "push",
		Policy: sending,
		On: organs.Reactions{
			organs.React(func(ctx context.Context, e eventstore.Recorded[notification.PushSendRequested]) (organs.Events, error) {
				m := e.Payload.Message
				return deliver(ctx, by, notification.Push, e.ID, m, notification.PushDelivered{Receipt: m.Receipt()})
			}),
		},
	}
}

// deliver hands a message to its gateway. The key is the id of the event that asked for it: if this process ends after the gateway has
// taken the message and before that is in the log, the message is handed over again, under the same key. What is refused for good is
// parked at once.
func deliver(
	ctx context.Context, by Gateway, channel notification.Channel, key uuid.UUID, m notification.Message, delivered eventstore.Payload,
) (organs.Events, error) {
	err := channel.Fits(m.Text) // validated long ago, but it is this channel that has the limit
	final := err != nil
	if err == nil {
		err = by.Send(ctx, key, m)
		final = errors.Is(err, gateway.ErrRefused)
	}
	if err != nil {
		err = fmt.Errorf("%s to %s: %w", channel, m.To, err)
		if final {
			err = spine.Park(err)
		}
		return nil, err
	}
	return organs.Events{delivered}, nil
}

// audit watches each request until all of its channels have delivered, in a stream of its own.
var audit = organs.Aggregate[notification.Delivery]{
	Category: "delivery",
	Evolve: organs.Evolve[notification.Delivery]{
		organs.On((*notification.Delivery).Opened),
		organs.On((*notification.Delivery).Confirmed),
	},
	Decide: organs.Decide[notification.Delivery]{
		organs.When(
			func(v notification.Validated) string { return v.RequestID },
			func(d notification.Delivery, v notification.Validated) (organs.Events, error) {
				return events(d.Open(v)), nil
			}),
		organs.When(
			func(e notification.EmailDelivered) string { return e.RequestID },
			func(d notification.Delivery, e notification.EmailDelivered) (organs.Events, error) {
				return confirm(d, notification.Email, e.Receipt)
			}),
		organs.When(
			func(e notification.SMSDelivered) string { return e.RequestID },
			func(d notification.Delivery, e notification.SMSDelivered) (organs.Events, error) {
				return confirm(d, notification.SMS, e.Receipt)
			}),
		organs.When(
			func(e notification.PushDelivered) string { return e.RequestID },
			func(d notification.Delivery, e notification.PushDelivered) (organs.Events, error) {
				return confirm(d, notification.Push, e.Receipt)
			}),
	},
}

// confirm parks what contradicts the request at once: it will not get better.
func confirm(d notification.Delivery, by notification.Channel, r notification.Receipt) (organs.Events, error) {
	out, err := d.Confirm(r.RequestID, by)
	return events(out), spine.Park(err)
}

func events(payloads []notification.Payload) organs.Events {
	out := make(organs.Events, len(payloads))
	for i, p := range payloads {
		out[i] = p
	}
	return out
}
