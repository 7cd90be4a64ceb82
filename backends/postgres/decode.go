package postgres

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// decoder makes events of rows in PostgreSQL's binary format. Reading is what readers do all day: what comes again is
// made once, and payloads share memory.
type decoder struct {
	bytes  int
	arena  []byte
	stream eventstore.Stream // the last one
	types  map[string]string
}

const arenaSize = 64 << 10

// event decodes columns. It copies what it keeps of them.
func (d *decoder) event(v [][]byte, e *eventstore.Event) (err error) {
	if len(v) != 9 {
		return fmt.Errorf("a row has %d columns, not 9", len(v))
	}
	var position, version, micros int64
	for _, column := range [...]struct {
		to   *int64
		from []byte
	}{{&position, v[0]}, {&version, v[2]}, {&micros, v[8]}} {
		if *column.to, err = number(column.from); err != nil {
			return err
		}
	}
	e.Position, e.Version, e.Time = eventstore.Position(position), eventstore.Version(version), epoch.Add(time.Duration(micros)*time.Microsecond)
	if copy(e.ID[:], v[3]) != len(e.ID) {
		return fmt.Errorf("the event at position %d has an id of %d bytes", e.Position, len(v[3]))
	}
	if string(d.stream) != string(v[1]) {
		d.stream = eventstore.Stream(v[1])
	}
	e.Stream, e.Type, e.Data = d.stream, d.typeOf(v[4]), d.keep(v[6])
	if v[5] != nil {
		if err := json.Unmarshal(v[5], &e.Tags); err != nil {
			return fmt.Errorf("the tags of the event at position %d: %w", e.Position, err)
		}
	}
	if e.Metadata, err = decodeMetadata(v[7]); err != nil {
		return fmt.Errorf("the metadata of the event at position %d: %w", e.Position, err)
	}
	d.bytes += len(v[6]) + len(v[7])
	return nil
}

// epoch is where PostgreSQL's time begins.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func (d *decoder) position(v []byte) (eventstore.Position, error) {
	n, err := number(v)
	return eventstore.Position(n), err
}

func number(v []byte) (int64, error) {
	if len(v) != 8 {
		return 0, fmt.Errorf("a number of %d bytes, not 8, in %w", len(v), errFormat)
	}
	return int64(binary.BigEndian.Uint64(v)), nil
}

// typeOf returns the name of a type: there are few.
func (d *decoder) typeOf(v []byte) string {
	if known, ok := d.types[string(v)]; ok {
		return known
	}
	if d.types == nil {
		d.types = map[string]string{}
	}
	t := string(v)
	d.types[t] = t
	return t
}

// keep copies a payload into memory for several.
func (d *decoder) keep(v []byte) json.RawMessage {
	if len(v) > arenaSize/8 {
		return bytes.Clone(v)
	}
	if cap(d.arena)-len(d.arena) < len(v) {
		d.arena = make([]byte, 0, arenaSize)
	}
	d.arena = append(d.arena, v...)
	return json.RawMessage(d.arena[len(d.arena)-len(v) : len(d.arena) : len(d.arena)])
}

// decodeMetadata reads what encodeMetadata has written, and, more slowly, whatever else is the same in JSON.
func decodeMetadata(data []byte) (m eventstore.Metadata, err error) {
	rest := data
	if field(&rest, `{"correlation":"`) && id(&rest, &m.Correlation) {
		if field(&rest, `,"causation":"`) && !id(&rest, &m.Causation) {
			return parseMetadata(data)
		}
		if field(&rest, `,"depth":`) {
			for len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9' && m.Depth < 1<<30 {
				m.Depth, rest = m.Depth*10+int(rest[0]-'0'), rest[1:]
			}
		}
		if string(rest) == "}" {
			return m, nil
		}
	}
	return parseMetadata(data)
}

func field(rest *[]byte, name string) bool {
	if len(*rest) < len(name) || string((*rest)[:len(name)]) != name {
		return false
	}
	*rest = (*rest)[len(name):]
	return true
}

// id reads an id and the quote behind it.
func id(rest *[]byte, to *uuid.UUID) bool {
	if len(*rest) < 37 || (*rest)[36] != '"' {
		return false
	}
	u, err := uuid.ParseBytes((*rest)[:36])
	*to, *rest = u, (*rest)[37:]
	return err == nil
}

func parseMetadata(data []byte) (eventstore.Metadata, error) {
	var m metadata
	err := json.Unmarshal(data, &m)
	return eventstore.Metadata(m), err
}
