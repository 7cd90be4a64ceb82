package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/travel/service"
	"github.com/necrostack/necrostack/examples/travel/trip"
	"github.com/necrostack/necrostack/sagas"
)

// report prints what has become of the trip.
func (a *agency) report(ctx context.Context, store *eventstore.Store, services map[string]service.Service, told sagas.Timeline, out io.Writer) error {
	switch {
	case a.json:
		return json.NewEncoder(out).Encode(summaryOf(told))
	case a.mermaid:
		_, err := fmt.Fprintf(out, "```mermaid\n%s```\n\n```mermaid\n%s```\n", a.saga.Mermaid(), told.Mermaid())
		return err
	}
	var text strings.Builder
	text.WriteString(told.String() + "\nWhat the services hold\n")
	for _, name := range service.Names() {
		held, err := services[name].Held(ctx, a.trip)
		fmt.Fprintf(&text, "  %-8s %s\n", name, holding(name, held, err))
	}
	review, err := trip.Review().Instances(store).Show(ctx, a.trip)
	if err != nil && !errors.Is(err, sagas.ErrNoInstance) {
		return err
	}
	for _, e := range review.Entries {
		if e.What == sagas.Set {
			fmt.Fprintf(&text, "\nA review will be asked for after %s.\n", e.Until.Format("2006-01-02"))
			break
		}
	}
	fmt.Fprintf(&text, "\nTrip %s: %s.\n", a.trip, told.State)
	_, err = io.WriteString(out, text.String())
	return err
}

// holding says what a service has of the trip.
func holding(name string, held service.Booking, err error) string {
	verb := "booked"
	switch name {
	case trip.Charge:
		verb = "charged"
	case trip.Notify:
		verb = "told"
	}
	switch {
	case err != nil:
		return "does not say: " + err.Error()
	case held.Reference == "":
		return "never " + verb
	case held.Cancelled:
		return verb + " as " + held.Reference + ", and cancelled"
	}
	return verb + " as " + held.Reference
}

// summary is what -json prints.
type summary struct {
	State sagas.State `json:"state"`
	Steps []step      `json:"steps"`
}

type step struct {
	ID    string `json:"id"`
	State string `json:"state"`
}

// summaryOf lists all steps in their order, also those that have not begun.
func summaryOf(told sagas.Timeline) summary {
	s := summary{State: told.State}
	for _, id := range trip.Steps() {
		state := "not begun"
		if undo, undone := told.Steps["undo "+id]; undone {
			if state = "undo " + string(undo); undo == sagas.Succeeded {
				state = "undone"
			}
		} else if phase := told.Steps[id]; phase != "" {
			state = string(phase)
		}
		s.Steps = append(s.Steps, step{id, state})
	}
	return s
}
