package eventstore

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

type (
	// Position is an event's place in the log: 1, 2, 3 … without gaps. 0 stands before the first event.
	Position int64

	// Version is an event's place in its stream: 1, 2, 3 … without gaps. 0 is "no such stream".
	Version int64

	// Stream names the events of one entity, such as "order-42": a category, "-", and the entity's id.
	Stream string
)

// StreamOf joins a category and an entity's id.
func StreamOf(category, id string) Stream { return Stream(category + "-" + id) }

// Category is what stands before the first "-", or the whole name if there is none.
func (s Stream) Category() string { c, _, _ := strings.Cut(string(s), "-"); return c }

// ID is what stands after the first "-", or nothing if there is none.
func (s Stream) ID() string { _, id, _ := strings.Cut(string(s), "-"); return id }

// Event is one fact as the log holds it. An event that was read belongs to the reader: its slices and
// maps are copies, and changing them changes nothing that is stored.
type Event struct {
	ID       uuid.UUID       // unique in the log; a UUIDv7 unless the writer chose otherwise
	Type     string          // what happened, such as "order placed"
	Stream   Stream          // whose history it belongs to
	Version  Version         // its place there; given by the store
	Position Position        // its place in the log; given by the store
	Part     int             // 1, 2, … for the further parts of an event that an upcaster split; else 0
	Tags     []string        // labels that queries select by, each once
	Data     json.RawMessage // the payload, byte for byte as it was written
	Metadata Metadata        // its origin
	Time     time.Time       // when it was committed, by the store's clock: UTC, whole microseconds, never before an earlier position's

	codec   Codec    // reads Data; nil is JSON
	decoded *decoded // what others have read of it; nil: everyone reads by himself
}

// Clone returns a copy of e that shares no memory with it.
func (e Event) Clone() Event {
	e.Tags = slices.Clone(e.Tags)
	e.Data = slices.Clone(e.Data)
	e.Metadata.User = maps.Clone(e.Metadata.User)
	e.decoded = nil
	return e
}

// Metadata tells where an event comes from. What handling an event leads to inherits Correlation, the
// trace, Actor and ReplyTo from it, and has it as Causation.
type Metadata struct {
	Correlation uuid.UUID         // of the whole conversation; an event that begins one has its own id here
	Causation   uuid.UUID         // the event or command that led to this one; uuid.Nil for none
	Depth       int               // how many causes lie between this event and the outside world
	TraceParent string            // W3C Trace Context, https://www.w3.org/TR/trace-context/
	TraceState  string            // likewise
	Schema      int               // the payload's schema version; 0 means 1
	Actor       string            // on whose behalf
	ReplyTo     string            // who waits for what comes of this, such as the step of a saga
	User        map[string]string // anything else, not inherited
}

// schema is the payload's schema version, from 1.
func (m Metadata) schema() int { return max(m.Schema, 1) }

// Child is the metadata of what e led to.
func (e Event) Child() Metadata {
	return Metadata{
		Correlation: e.Metadata.Correlation,
		Causation:   e.ID,
		Depth:       e.Metadata.Depth + 1,
		TraceParent: e.Metadata.TraceParent,
		TraceState:  e.Metadata.TraceState,
		Actor:       e.Metadata.Actor,
		ReplyTo:     e.Metadata.ReplyTo,
	}
}

// fill takes from d whatever m does not say itself.
func (m *Metadata) fill(d Metadata) {
	if m.Correlation == uuid.Nil {
		m.Correlation = d.Correlation
	}
	if m.Causation == uuid.Nil {
		m.Causation, m.Depth = d.Causation, max(m.Depth, d.Depth)
	}
	if m.TraceParent == "" {
		m.TraceParent, m.TraceState = d.TraceParent, d.TraceState
	}
	if m.Actor == "" {
		m.Actor = d.Actor
	}
	if m.ReplyTo == "" {
		m.ReplyTo = d.ReplyTo
	}
	if m.User == nil {
		m.User = maps.Clone(d.User)
	}
}
