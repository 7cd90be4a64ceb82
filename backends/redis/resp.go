package redis

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/redis/go-redis/v9"
)

// A range is asked for as it comes over the wire, and read from there: as lists of texts, an event would be some forty allocations.
// See https://redis.io/docs/latest/develop/reference/protocol-spec/

// refused is what a server has answered instead.
type refused string

func (e refused) Error() string { return string(e) }

// RedisError makes it a redis.Error.
func (refused) RedisError() {}

// pipeRange has a pipeline read a range of the log, and returns what yields its events when that is done. In a cluster, go-redis has
// to see what comes, to follow the log to its node.
func (b *Backend) pipeRange(ctx context.Context, pipe redis.Pipeliner, args ...any) func(take func(eventstore.Event)) (int, error) {
	if b.clustered {
		cmd := pipe.Do(ctx, args...)
		return func(take func(eventstore.Event)) (int, error) {
			list, err := cmd.Slice()
			var r reader
			for i := 0; i < len(list) && r.err == nil; i++ {
				var e eventstore.Event
				if r.event(list[i], &e); r.err == nil {
					take(e)
				}
			}
			if err == nil {
				err = r.err
			}
			return len(list), err
		}
	}
	cmd := redis.NewRawCmd(ctx, args...)
	_ = pipe.Process(ctx, cmd)
	return func(take func(eventstore.Event)) (int, error) {
		reply, err := cmd.Result()
		if err != nil {
			return 0, err
		}
		d := decoder{rest: reply}
		return d.events(take)
	}
}

// decoder reads entries of the log as they came.
type decoder struct {
	reader

	rest  []byte
	names map[string]string // what many events have in common
	arena []byte            // memory for the payloads of several small events, which costs less than memory for each
}

func (d *decoder) events(take func(eventstore.Event)) (int, error) {
	if message, is := bytes.CutPrefix(d.rest, []byte("-")); is {
		return 0, refused(bytes.TrimSpace(message))
	}
	n := d.count('*')
	for i := 0; i < n && d.err == nil; i++ {
		var e eventstore.Event
		if d.entry(&e); d.err == nil {
			take(e)
		}
	}
	return n, d.err
}

// count reads a line of a kind and a number.
func (d *decoder) count(kind byte) int {
	line, rest, ok := bytes.Cut(d.rest, []byte("\r\n"))
	if !ok || len(line) < 2 || line[0] != kind {
		d.fail(string(line), "a reply of kind "+string(kind))
		d.rest = nil
		return 0
	}
	d.rest = rest
	return int(d.number(line[1:]))
}

// bulk reads a text. It is the reply's memory.
func (d *decoder) bulk() []byte {
	n := d.count('$')
	if d.err != nil || n < 0 || n+2 > len(d.rest) {
		d.fail(n, "a text")
		return nil
	}
	text := d.rest[:n]
	d.rest = d.rest[n+2:]
	return text
}

// field reads a field's name and its value, which it returns.
func (d *decoder) field() []byte {
	d.bulk()
	return d.bulk()
}

func (d *decoder) number(text []byte) (n int64) {
	for _, c := range text {
		if c < '0' || c > '9' || n > math.MaxInt64/10-1 {
			d.fail(string(text), "a number")
			return 0
		}
		n = 10*n + int64(c-'0')
	}
	return n
}

// name returns a text of which there are few.
func (d *decoder) name(text []byte) string {
	if s, ok := d.names[string(text)]; ok {
		return s
	}
	if d.names == nil {
		d.names = map[string]string{}
	}
	s := string(text)
	d.names[s] = s
	return s
}

const arenaSize = 4 << 10

// keep copies a payload.
func (d *decoder) keep(data []byte) json.RawMessage {
	n := len(data)
	if n > arenaSize/4 {
		return bytes.Clone(data)
	}
	if cap(d.arena)-len(d.arena) < n {
		d.arena = make([]byte, 0, arenaSize)
	}
	d.arena = append(d.arena, data...)
	return json.RawMessage(d.arena[len(d.arena)-n : len(d.arena) : len(d.arena)])
}

// entry reads an entry: its id, and its fields and values, which always are in the same order.
func (d *decoder) entry(e *eventstore.Event) {
	if pair := d.count('*'); d.err == nil && pair != 2 {
		d.fail(pair, "an entry")
	}
	e.Position = eventstore.Position(d.number(bytes.TrimSuffix(d.bulk(), []byte("-0"))))
	if n := d.count('*'); d.err == nil && n != 18 {
		d.fail(n, "an event")
	}
	e.Type, e.Stream = d.name(d.field()), eventstore.Stream(d.name(d.field()))
	e.Version = eventstore.Version(d.number(d.field()))
	d.field() // first
	var err error
	if e.ID, err = uuid.ParseBytes(d.field()); err != nil {
		d.fail(err, "an id")
	}
	if tags := d.field(); len(tags) > 0 {
		e.Tags = strings.Split(string(tags), "\x00")
	}
	if meta := d.field(); string(meta) == "{}" {
		e.Metadata.Correlation = e.ID
	} else if d.err == nil {
		d.metadata(string(meta), e)
	}
	e.Time = time.UnixMicro(d.number(d.field())).UTC()
	e.Data = d.keep(d.field())
}
