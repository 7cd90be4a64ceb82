package report

import (
	"cmp"
	"slices"
	"strings"

	"github.com/necrostack/necrostack/examples/notifications/notification"
)

// Request is what became of one request: its events, in the order of the log, folded into a Request that knows its Place and User. The
// log holds one as soon as Asked was called. It is for one goroutine at a time.
type Request struct {
	Place string // in the input
	User  string

	Requested bool
	Channels  []notification.Channel // by which it goes out; none before it is validated
	Failed    []string               // why nothing went out
	Delivered []Delivery             // in the order of the channels
	Parked    []Parked
	Completed bool
}

// Delivery is a message that has reached somebody.
type Delivery struct {
	Channel notification.Channel
	To      string
}

// Parked is an event that an organ has set aside.
type Parked struct{ Organ, Event, Reason string }

// Asked folds the request itself.
func (r *Request) Asked(notification.Requested) { r.Requested = true }

// Validated folds what the request came to.
func (r *Request) Validated(e notification.Validated) {
	r.Channels = nil
	for _, to := range e.Recipients {
		r.Channels = append(r.Channels, to.Channel)
	}
}

// Refused folds what the request came to.
func (r *Request) Refused(e notification.Failed) { r.Failed = e.Reasons }

// Emailed folds a delivery.
func (r *Request) Emailed(e notification.EmailDelivered) { r.reached(notification.Email, e.To) }

// Texted folds a delivery.
func (r *Request) Texted(e notification.SMSDelivered) { r.reached(notification.SMS, e.To) }

// Pushed folds a delivery.
func (r *Request) Pushed(e notification.PushDelivered) { r.reached(notification.Push, e.To) }

// Done folds the end of the request.
func (r *Request) Done(notification.DeliveryCompleted) { r.Completed = true }

// reached keeps the deliveries sorted: the channels deliver at the same time, and a report should not depend on which was faster.
func (r *Request) reached(by notification.Channel, to string) {
	r.Delivered = append(r.Delivered, Delivery{by, to})
	slices.SortStableFunc(r.Delivered, func(a, b Delivery) int {
		return cmp.Compare(slices.Index(notification.Channels(), a.Channel), slices.Index(notification.Channels(), b.Channel))
	})
}

// outstanding lists the channels that have not delivered.
func (r *Request) outstanding() []notification.Channel {
	return slices.DeleteFunc(slices.Clone(r.Channels), func(c notification.Channel) bool {
		return slices.ContainsFunc(r.Delivered, func(d Delivery) bool { return d.Channel == c })
	})
}

func names(channels []notification.Channel) string {
	texts := make([]string, len(channels))
	for i, c := range channels {
		texts[i] = string(c)
	}
	return strings.Join(texts, ", ")
}
