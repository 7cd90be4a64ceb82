package postgres

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// metadata is eventstore.Metadata as a row holds it.
type metadata struct {
	Correlation uuid.UUID         `json:"correlation,omitzero"`
	Causation   uuid.UUID         `json:"causation,omitzero"`
	Depth       int               `json:"depth,omitzero"`
	TraceParent string            `json:"traceparent,omitempty"`
	TraceState  string            `json:"tracestate,omitempty"`
	Schema      int               `json:"schema,omitzero"`
	Actor       string            `json:"actor,omitempty"`
	ReplyTo     string            `json:"replyto,omitempty"`
	User        map[string]string `json:"user,omitempty"`
}

func encodeMetadata(m *eventstore.Metadata) (string, error) {
	data, err := json.Marshal((*metadata)(m))
	return string(data), err
}

// encodeTags is null without tags.
func encodeTags(tags []string) (*string, error) {
	if len(tags) == 0 {
		return nil, nil
	}
	data, err := json.Marshal(tags)
	return new(string(data)), err
}

// rest is what is rare of a commit.
type rest struct {
	Commit     int         `json:"commit"`
	Deliveries []delivery  `json:"deliveries,omitempty"`
	Acks       []ack       `json:"acks,omitempty"`
	Returns    []returned  `json:"returns,omitempty"`
	Parks      []parked    `json:"parks,omitempty"`
	Unparks    []uuid.UUID `json:"unparks,omitempty"`
	Redrives   []uuid.UUID `json:"redrives,omitempty"`
	Schedules  []schedule  `json:"schedules,omitempty"`
	Cancels    []uuid.UUID `json:"cancels,omitempty"`
}

type delivery struct {
	Consumer string              `json:"consumer"`
	ID       uuid.UUID           `json:"id"`
	Position eventstore.Position `json:"position"`
	Event    uuid.UUID           `json:"event"`
}

type ack struct {
	Consumer string    `json:"consumer"`
	ID       uuid.UUID `json:"id"`
	Attempt  int       `json:"attempt"`
}

type failure struct {
	At    time.Time `json:"at"`
	Error string    `json:"error"`
}

type returned struct {
	ack

	Due     time.Time `json:"due"`
	Failure failure   `json:"failure"`
}

type parked struct {
	ID        uuid.UUID           `json:"id"`
	Consumer  string              `json:"consumer"`
	Partition int                 `json:"partition"`
	Key       string              `json:"key"`
	Position  eventstore.Position `json:"position"`
	Event     uuid.UUID           `json:"event"`
	Attempts  int                 `json:"attempts"`
	Failures  []failure           `json:"failures"`
	Due       time.Time           `json:"due,omitzero"`
	Redriven  bool                `json:"redriven"`
}

type schedule struct {
	ID     uuid.UUID         `json:"id"`
	Due    time.Time         `json:"due"`
	Stream eventstore.Stream `json:"stream"`
	Events []event           `json:"events"`
}

type event struct {
	ID       uuid.UUID `json:"id"`
	Type     string    `json:"type"`
	Tags     []string  `json:"tags,omitempty"`
	Data     string    `json:"data"` // in a string, so that every byte is kept
	Metadata metadata  `json:"metadata"`
}

// hasRest reports whether a commit has anything that is rare.
func hasRest(c *eventstore.Commit) bool {
	return len(c.Deliveries)+len(c.Acks)+len(c.Returns)+len(c.Parks)+len(c.Unparks)+len(c.Redrives)+len(c.Schedules)+len(c.Cancels) > 0
}

// restOf returns what is rare of a commit, and false if there is nothing.
func restOf(n int, c *eventstore.Commit) (r rest, some bool) {
	if !hasRest(c) {
		return r, false
	}
	r = rest{Commit: n, Unparks: c.Unparks, Redrives: c.Redrives, Cancels: c.Cancels}
	for _, d := range c.Deliveries {
		r.Deliveries = append(r.Deliveries, delivery{d.Consumer, d.ID, d.Position, d.Event})
	}
	for _, a := range c.Acks {
		r.Acks = append(r.Acks, ack(a))
	}
	for _, x := range c.Returns {
		r.Returns = append(r.Returns, returned{ack(x.Ack), x.Due, failure(x.Failure)})
	}
	for i := range c.Parks {
		p := &c.Parks[i]
		r.Parks = append(r.Parks, parked{
			p.ID, p.Consumer, p.Partition, p.Key, p.Position, p.Event, p.Attempts, failuresOf(p.Failures), p.Due, p.Redriven,
		})
	}
	for i := range c.Schedules {
		s := &c.Schedules[i]
		x := schedule{ID: s.ID, Due: s.Due, Stream: s.Append.Stream}
		for k := range s.Append.Events {
			e := &s.Append.Events[k]
			x.Events = append(x.Events, event{e.ID, e.Type, e.Tags, string(e.Data), metadata(e.Metadata)})
		}
		r.Schedules = append(r.Schedules, x)
	}
	return r, true
}

func failuresOf(from []eventstore.Failure) []failure {
	to := make([]failure, len(from))
	for i, f := range from {
		to[i] = failure(f)
	}
	return to
}

func decodeFailures(data []byte) (to []eventstore.Failure, err error) {
	var from []failure
	if err := json.Unmarshal(data, &from); err != nil {
		return nil, err
	}
	for _, f := range from {
		to = append(to, eventstore.Failure(f))
	}
	return to, nil
}
