package trip

import (
	"errors"

	"github.com/necrostack/necrostack/organs"
)

// IssueTickets has the tickets of a trip issued. It comes through the log.
type IssueTickets struct{ Trip, Flight string }

// TicketsIssued is what comes of it.
type TicketsIssued struct{ Numbers []string }

// CommandType implements spine.Command.
func (IssueTickets) CommandType() string { return "issue tickets" }

// StreamID implements spine.Command.
func (c IssueTickets) StreamID() string { return c.Trip }

// EventType implements eventstore.Payload.
func (TicketsIssued) EventType() string { return "tickets issued" }

// ErrNoPaper is why tickets are not issued.
var ErrNoPaper = errors.New("the printer has no paper")

// Issuer issues tickets in this program's own log, unless it has no paper. A command is decided once, so it needs no check of
// its own against issuing them twice.
func Issuer(paper bool) organs.Aggregate[struct{}] {
	return organs.Aggregate[struct{}]{
		Category: "tickets",
		Decide: organs.Decide[struct{}]{
			organs.Handle(func(_ struct{}, c IssueTickets) (organs.Events, error) {
				if !paper {
					return nil, ErrNoPaper
				}
				return organs.Events{TicketsIssued{[]string{c.Flight + "/out", c.Flight + "/back"}}}, nil
			}),
		},
	}
}
