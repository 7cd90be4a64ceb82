package redis

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// A row is a JSON array, with a value for each column: times are microseconds, and Bytes and JSON are strings, so that they come back as
// they were.

// encodeRow makes the JSON of a row, without a newline.
func encodeRow(set eventstore.RowSet, values []any) (string, error) {
	list := make([]any, len(values))
	for i, v := range values {
		switch v := v.(type) {
		case time.Time:
			list[i] = v.UnixMicro()
		case json.RawMessage:
			list[i] = string(v)
		case string:
			if !utf8.ValidString(v) {
				return "", &eventstore.InvalidError{Field: "column", Reason: fmt.Sprintf("%s of view %s is not valid UTF-8", set.Columns[i].Name, set.Name)}
			}
			list[i] = v
		default:
			list[i] = v
		}
	}
	data, err := json.Marshal(list)
	return string(data), err
}

// value reads a value of a kind.
func (r *reader) value(k eventstore.Kind, data json.RawMessage) any {
	if string(data) == "null" {
		return nil
	}
	switch k {
	case eventstore.Int:
		return decoded[int64](r, data)
	case eventstore.Float:
		return decoded[float64](r, data)
	case eventstore.Bool:
		return decoded[bool](r, data)
	case eventstore.Time:
		return time.UnixMicro(decoded[int64](r, data)).UTC()
	case eventstore.UUID:
		return decoded[uuid.UUID](r, data)
	case eventstore.Bytes:
		return decoded[[]byte](r, data)
	case eventstore.JSON:
		return json.RawMessage(decoded[string](r, data))
	default:
		return decoded[string](r, data)
	}
}

func decoded[T any](r *reader, data json.RawMessage) (v T) {
	if err := json.Unmarshal(data, &v); err != nil {
		r.fail(string(data), fmt.Sprintf("a %T", v))
	}
	return v
}

// layout is how a set's columns are found in rows that may have others.
type layout struct {
	kept []eventstore.Column // as the log has them
	at   []int               // where each of the set's is
	set  eventstore.RowSet
}

// layoutOf reads the columns that the log has.
func layoutOf(set eventstore.RowSet, columns string) (l layout, err error) {
	l.set = set
	if err := json.Unmarshal([]byte(columns), &l.kept); err != nil {
		return l, fmt.Errorf("columns of %s: %w", set.Table(), err)
	}
	if lacks := set.Lacks(l.kept); len(lacks) > 0 {
		return l, &eventstore.RowsChangedError{Set: set.Table(), Differences: lacks}
	}
	for _, c := range set.Columns {
		l.at = append(l.at, slices.IndexFunc(l.kept, func(k eventstore.Column) bool { return k.Name == c.Name }))
	}
	return l, nil
}

// row reads a row.
func (l *layout) row(r *reader, key, text string) eventstore.Row {
	line, _, _ := strings.Cut(text, "\n")
	var values []json.RawMessage
	if err := json.Unmarshal([]byte(line), &values); err != nil || len(values) != len(l.kept) {
		r.fail(line, "a row")
		return eventstore.Row{}
	}
	row := eventstore.Row{Key: key, Values: make([]any, len(l.at))}
	for i, at := range l.at {
		row.Values[i] = r.value(l.set.Columns[i].Kind, values[at])
	}
	return row
}

// What an order begins with: values, and behind all of them null.
const (
	someValue = "\x01"
	noValue   = "\x02"
)

// place is a value so written that the order of bytes is that of values. What ends it makes it no other's beginning.
func orderOf(v any) string {
	var b [8]byte
	number := func(n uint64) string {
		binary.BigEndian.PutUint64(b[:], n)
		return someValue + string(b[:])
	}
	switch v := v.(type) {
	case nil:
		return noValue
	case string:
		return someValue + v + "\x00"
	case int64:
		return number(uint64(v) ^ 1<<63)
	case time.Time:
		return number(uint64(v.UnixMicro()) ^ 1<<63)
	case float64:
		bits := math.Float64bits(v + 0) // -0 is 0
		if bits>>63 == 1 {
			return number(^bits)
		}
		return number(bits | 1<<63)
	case bool:
		if v {
			return someValue + "1"
		}
		return someValue + "0"
	case uuid.UUID:
		return someValue + string(v[:])
	default:
		return someValue
	}
}

// width is how many bytes orderOf writes for a kind; none for texts.
func width(k eventstore.Kind) string {
	switch k {
	case eventstore.Int, eventstore.Float, eventstore.Time:
		return strconv.Itoa(8)
	case eventstore.Bool:
		return strconv.Itoa(1)
	case eventstore.UUID:
		return strconv.Itoa(16)
	default:
		return ""
	}
}
