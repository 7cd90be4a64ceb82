package redis

import (
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// int reads an integer, or the text of one.
func (r *reader) int(v any) int64 {
	switch v := v.(type) {
	case int64:
		return v
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			r.fail(v, "a number")
		}
		return n
	default:
		r.fail(v, "a number")
		return 0
	}
}

func (r *reader) position(v any) eventstore.Position { return eventstore.Position(r.int(v)) }

func (r *reader) uuid(v any) uuid.UUID {
	id, err := uuid.Parse(r.text(v))
	if err != nil {
		r.fail(v, "an id")
	}
	return id
}

// time reads microseconds; none is the zero time.
func (r *reader) time(v any) time.Time {
	if v == "" {
		return time.Time{}
	}
	return time.UnixMicro(r.int(v)).UTC()
}

// micros is a time in microseconds; the zero time is none.
func micros(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.UnixMicro(), 10)
}
