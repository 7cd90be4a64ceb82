package redis

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// event reads an entry of the log: its id, and its fields and values, which always are in the same order.
func (r *reader) event(v any, e *eventstore.Event) {
	entry := r.list(v)
	id := r.text(r.item(entry, 0))
	f := r.list(r.item(entry, 1))
	if len(f) != 18 {
		r.fail(v, "an event")
		return
	}
	e.Position = r.position(strings.TrimSuffix(id, "-0"))
	e.Type, e.Stream = r.text(f[1]), eventstore.Stream(r.text(f[3]))
	e.Version, e.ID = eventstore.Version(r.int(f[5])), r.uuid(f[9])
	if tags := r.text(f[11]); tags != "" {
		e.Tags = strings.Split(tags, "\x00")
	}
	r.metadata(r.text(f[13]), e)
	e.Time = time.UnixMicro(r.int(f[15])).UTC()
	e.Data = json.RawMessage(r.text(f[17]))
}

// metadata reads the metadata of an event whose id is known.
func (r *reader) metadata(text string, e *eventstore.Event) {
	e.Metadata.Correlation = e.ID
	if text == string(noMetadata) {
		return
	}
	var m metadata
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		r.fail(text, "metadata")
	}
	e.Metadata = eventstore.Metadata{
		Correlation: e.ID, Causation: m.Causation, Depth: m.Depth, TraceParent: m.TraceParent, TraceState: m.TraceState, Schema: m.Schema,
		Actor: m.Actor, ReplyTo: m.ReplyTo, User: m.User,
	}
	if m.Correlation != nil {
		e.Metadata.Correlation = *m.Correlation
	}
}

// size is about how many bytes an event has.
func size(e *eventstore.Event) int { return len(e.Data) + 256 }
