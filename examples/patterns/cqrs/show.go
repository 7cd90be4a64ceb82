package main

import (
	"errors"

	"github.com/necrostack/necrostack/organs"
)

type (
	Book    struct{ Show, Seat, Guest string } // a command
	Release struct{ Show, Seat string }        // a command
	Booked  struct{ Seat, Guest string }       // an event, in the show's stream
	Freed   struct{ Seat, Guest string }       // an event, in the show's stream
	Show    struct{ Guests map[string]string } // a state, by seat: no more than decisions need
)

func (Book) CommandType() string     { return "book seat" }
func (c Book) StreamID() string      { return c.Show }
func (Release) CommandType() string  { return "release seat" }
func (c Release) StreamID() string   { return c.Show }
func (Booked) EventType() string     { return "seat booked" }
func (e Booked) EventTags() []string { return []string{"guest:" + e.Guest} }
func (Freed) EventType() string      { return "seat freed" }
func (e Freed) EventTags() []string  { return []string{"guest:" + e.Guest} }

// Reasons to refuse.
var (
	ErrTaken = errors.New("the seat is taken")
	ErrFree  = errors.New("the seat is free")
)

// Shows give each seat to one guest.
var Shows = organs.Aggregate[Show]{
	Category: "show",
	Evolve: organs.Evolve[Show]{
		organs.On(func(s *Show, e Booked) { s.put(e.Seat, e.Guest) }),
		organs.On(func(s *Show, e Freed) { delete(s.Guests, e.Seat) }),
	},
	Decide: organs.Decide[Show]{
		organs.Handle(func(s Show, c Book) (organs.Events, error) {
			if s.Guests[c.Seat] != "" {
				return nil, ErrTaken
			}
			return organs.Events{Booked{c.Seat, c.Guest}}, nil
		}),
		organs.Handle(func(s Show, c Release) (organs.Events, error) {
			if s.Guests[c.Seat] == "" {
				return nil, ErrFree
			}
			return organs.Events{Freed{c.Seat, s.Guests[c.Seat]}}, nil
		}),
	},
}

func (s *Show) put(seat, guest string) {
	if s.Guests == nil {
		s.Guests = map[string]string{}
	}
	s.Guests[seat] = guest
}
