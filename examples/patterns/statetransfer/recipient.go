package main

import "github.com/necrostack/necrostack/organs"

// What others tell.
type (
	CustomerMoved struct {
		Customer, Address string
		Revision          int // of the customer, where it is kept
	}
	ParcelPacked struct{ Parcel, Customer string }
)

// What is in the recipient's stream.
type (
	AddressNoted struct {
		Address  string
		Revision int
	}
	LabelHeld    struct{ Parcel string } // for the address is not known yet
	LabelPrinted struct{ Parcel, Address string }
)

func (CustomerMoved) EventType() string { return "customer moved" }
func (ParcelPacked) EventType() string  { return "parcel packed" }
func (AddressNoted) EventType() string  { return "address noted" }
func (LabelHeld) EventType() string     { return "label held" }
func (LabelPrinted) EventType() string  { return "label printed" }

// Recipient is the copy of a customer's address, and what waits for it.
type Recipient struct {
	Address  string
	Revision int
	Held     []string // parcels
}

// Recipients print labels.
var Recipients = organs.Aggregate[Recipient]{
	Category: "recipient",
	Evolve: organs.Evolve[Recipient]{
		organs.On(func(r *Recipient, e AddressNoted) { r.Address, r.Revision, r.Held = e.Address, e.Revision, nil }),
		organs.On(func(r *Recipient, e LabelHeld) { r.Held = append(r.Held, e.Parcel) }),
	},
	Decide: organs.Decide[Recipient]{
		organs.When(func(e CustomerMoved) string { return e.Customer }, note),
		organs.When(func(e ParcelPacked) string { return e.Customer }, label),
	},
}

// note keeps what the event carries, unless something newer is known, and prints what waits for it.
func note(r Recipient, e CustomerMoved) (organs.Events, error) {
	if e.Revision <= r.Revision {
		return nil, nil
	}
	out := organs.Events{AddressNoted{e.Address, e.Revision}}
	for _, parcel := range r.Held {
		out = append(out, LabelPrinted{parcel, e.Address})
	}
	return out, nil
}

// label prints from the copy. That there is none yet is no error: the parcel would be parked, and behind it the event
// that brings the address, for they have the same key.
func label(r Recipient, e ParcelPacked) (organs.Events, error) {
	if r.Address == "" {
		return organs.Events{LabelHeld{e.Parcel}}, nil
	}
	return organs.Events{LabelPrinted{e.Parcel, r.Address}}, nil
}
