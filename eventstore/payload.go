package eventstore

import (
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/google/uuid"
)

// Payload is a plain struct that names its event type. The name must not depend on the value: the zero
// value answers for all.
type Payload interface{ EventType() string }

// Tagger is implemented by payloads that carry tags.
type Tagger interface{ EventTags() []string }

// Versioned is implemented by payloads whose schema has changed; without it the version is 1.
type Versioned interface{ SchemaVersion() int }

// Recorded is a payload with the event it came in. Wherever a handler takes a payload E, it may take
// Recorded[E] in its place.
type Recorded[E Payload] struct {
	Event
	Payload E
}

// EventType forwards to E.
func (Recorded[E]) EventType() string { var e E; return e.EventType() }

func (Recorded[E]) payloadType() (string, error) { return TypeOf[E]() }

// record fills r with an event of its own, or with one that is lent.
func (r *Recorded[E]) record(ev *Event, lent bool) (err error) {
	if r.Event = *ev; !lent {
		r.Event = ev.Clone()
	}
	r.Payload, err = payloadOf[E](ev)
	return err
}

// recorder is a *Recorded.
type recorder interface {
	record(ev *Event, lent bool) error
}

// Decode reads an event's payload. Handlers share nothing that one of them could change.
func Decode[E Payload](ev Event) (E, error) {
	if isRecorded[E]() {
		return decodeRecorded[E](&ev)
	}
	return payloadOf[E](&ev)
}

func isRecorded[E Payload]() bool {
	_, is := any(*new(E)).(interface{ payloadType() (string, error) })
	return is
}

// decodeRecorded allocates what it returns, and so is apart from what need not.
func decodeRecorded[E Payload](ev *Event) (e E, err error) {
	err = any(&e).(recorder).record(ev, false) //nolint:forcetypeassert // its payloadType says so
	return e, err
}

// Lender is Decode for those who only look at events: it lends what it decodes to, and takes it back for the next one. It may
// be used by several goroutines at once. Its zero value is ready.
type Lender[E Payload] struct{ pool sync.Pool }

// Lend reads an event's payload, until it is given back. What an eventstore.Recorded refers to is the event's own, and is
// neither to be changed nor to be kept.
func (l *Lender[E]) Lend(ev *Event) (e *E, err error) {
	e, ok := l.pool.Get().(*E)
	if !ok {
		e = new(E)
	}
	if r, ok := any(e).(recorder); ok {
		err = r.record(ev, true)
	} else {
		*e, err = payloadOf[E](ev)
	}
	return e, err
}

// Return gives back what was lent.
func (l *Lender[E]) Return(e *E) { l.pool.Put(e) }

func payloadOf[E Payload](ev *Event) (E, error) {
	if shared, ok := decodedAs[E](ev); ok {
		return shared, nil
	}
	return unmarshal[E](ev)
}

// unmarshal allocates what it returns, and so is apart from what need not.
func unmarshal[E Payload](ev *Event) (e E, err error) {
	if err = ev.Unmarshal(&e); err == nil {
		keepDecoded(ev, e)
	}
	return e, err
}

// Unmarshal reads the event's payload into what a pointer points to, with the codec of its store.
func (e *Event) Unmarshal(into any) (err error) {
	if e.codec != nil {
		err = e.codec.Decode(e.Data, into)
	} else {
		err = jsonCodec{}.Decode(e.Data, into)
	}
	if err != nil {
		return fmt.Errorf("decode %s at %s@%d: %w", e.Type, e.Stream, e.Version, err)
	}
	return nil
}

// TypeOf returns the event type that handlers of E listen to, or why E cannot be a payload: pointers and
// interfaces cannot, nor can a type whose zero value has no name.
func TypeOf[E Payload]() (name string, err error) {
	t := reflect.TypeFor[E]()
	switch t.Kind() {
	case reflect.Pointer:
		return "", fmt.Errorf("payload %s is a pointer: take %s", t, t.Elem())
	case reflect.Interface:
		return "", fmt.Errorf("payload %s is an interface: take a struct", t)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("payload %s: EventType of the zero value panics: %v", t, p)
		}
	}()
	var e E
	if r, ok := any(e).(interface{ payloadType() (string, error) }); ok {
		return r.payloadType()
	}
	name = e.EventType()
	if err := checkName("event type", name); err != nil {
		return "", fmt.Errorf("payload %s: %w", t, err)
	}
	return name, nil
}

// Draft is a payload on its way into the log, with more said about it than its type.
type Draft struct {
	Payload
	ID     uuid.UUID // Defaults to a new UUIDv7
	Stream Stream    // Defaults to where the handler writes
	Tags   []string  // added to the payload's own

	// ReplyTo is the event's Metadata.ReplyTo. Defaults to that of what leads to it.
	ReplyTo string

	// Depth is the event's Metadata.Depth, for what is known to come to an end however long it goes on. Defaults to one more
	// than that of what leads to it.
	Depth int
}

// In directs a payload to a stream.
func In(s Stream, p Payload) Draft { return Draft{Payload: p, Stream: s} }

// Encode makes an event of a payload, in JSON. Its stream is empty unless p is a Draft that names one.
func Encode(p Payload) (Event, error) {
	var e Event
	if err := encode(jsonCodec{}, p, &e); err != nil {
		return Event{}, err
	}
	return e, nil
}

// Encode is the function Encode with the store's codec. It refuses a payload whose schema version an upcaster
// reads as an old one: its SchemaVersion was not raised, and it would not be read as it was written.
func (s *Store) Encode(p Payload) (Event, error) {
	var e Event
	if err := s.encode(p, &e); err != nil {
		return Event{}, err
	}
	return e, nil
}

func (s *Store) encode(p Payload, e *Event) error {
	err := encode(s.cfg.Codec, p, e)
	if err == nil && s.upcasts.reads(e.Type, e.Metadata.schema()) {
		err = fmt.Errorf("encode %s: %w", e.Type,
			invalid("schema version", "%d is one that an upcaster reads as old", e.Metadata.schema()))
	}
	return err
}

// encode fills a zero event.
func encode(codec Codec, p Payload, e *Event) (err error) {
	for {
		d, ok := p.(Draft)
		if !ok {
			break
		}
		if e.Stream == "" {
			e.Stream = d.Stream
		}
		if e.ID == uuid.Nil {
			e.ID = d.ID
		}
		if e.Metadata.ReplyTo == "" {
			e.Metadata.ReplyTo = d.ReplyTo
		}
		if e.Metadata.Depth == 0 {
			e.Metadata.Depth = d.Depth
		}
		e.Tags, p = append(e.Tags, d.Tags...), d.Payload
	}
	if v := reflect.ValueOf(p); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return fmt.Errorf("encode event: %w", invalid("payload", "is nil"))
	}
	e.Type = p.EventType()
	if e.Data, err = codec.Encode(p); err != nil {
		return fmt.Errorf("encode %s: %w: %w", e.Type, ErrInvalid, err)
	}
	if e.ID == uuid.Nil {
		if e.ID, err = uuid.NewV7(); err != nil {
			return fmt.Errorf("encode %s: %w", e.Type, err)
		}
	}
	if t, ok := p.(Tagger); ok {
		e.Tags = append(e.Tags, t.EventTags()...)
	}
	if len(e.Tags) > 1 {
		slices.Sort(e.Tags)
		e.Tags = slices.Compact(e.Tags)
	}
	if v, ok := p.(Versioned); ok {
		e.Metadata.Schema = v.SchemaVersion()
	}
	e.codec = codec
	return nil
}
