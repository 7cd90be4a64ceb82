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

// span is a range of the log as it came. In a cluster, go-redis has to see what comes, to follow the log to its node.
type span struct {
	raw    *redis.RawCmd
	parsed *redis.Cmd
}

// pipeRange has a pipeline read a range of the log.
func (b *Backend) pipeRange(ctx context.Context, pipe redis.Pipeliner, args ...any) *span {
	if b.clustered {
		return &span{parsed: pipe.Do(ctx, args...)}
	}
	cmd := redis.NewRawCmd(ctx, args...)
	_ = pipe.Process(ctx, cmd)
	return &span{raw: cmd}
}

// len is how many entries there are, if the server has not answered something else.
func (s *span) len() (int, error) {
	if s.parsed != nil {
		list, err := s.parsed.Slice()
		return len(list), err
	}
	reply, err := s.raw.Result()
	if err != nil {
		return 0, err
	}
	d := decoder{rest: reply}
	return d.begin()
}

// bytes is about how many there are.
func (s *span) bytes() int {
	if s.raw != nil {
		return len(s.raw.Val())
	}
	list, _ := s.parsed.Slice()
	return 1024 * len(list) // about as many
}

// each decodes the entries for visit, until that returns false. What visit gets is overwritten by the next.
func (s *span) each(d *decoder, visit func(*eventstore.Event) bool) error {
	var e eventstore.Event
	if s.parsed != nil {
		list, err := s.parsed.Slice()
		for i := 0; i < len(list) && err == nil; i++ {
			var r reader
			e = eventstore.Event{}
			if r.event(list[i], &e); r.err == nil && !visit(&e) {
				return nil
			}
			err = r.err
		}
		return err
	}
	d.rest = s.raw.Val()
	n, err := d.begin()
	for i := 0; i < n && err == nil; i++ {
		e = eventstore.Event{}
		if d.entry(&e); d.err == nil && !visit(&e) {
			return nil
		}
		err = d.err
	}
	return err
}

// decoder reads entries of the log as they came.
type decoder struct {
	reader

	rest   []byte
	stream string            // of the event before
	names  map[string]string // what many events have in common
	arena  []byte            // memory for the payloads of several small events, which costs less than memory for each
}

// begin reads how many entries there are.
func (d *decoder) begin() (int, error) {
	line, rest, _ := bytes.Cut(d.rest, []byte("\r\n"))
	if message, is := bytes.CutPrefix(line, []byte("-")); is {
		return 0, refused(message)
	}
	count, is := bytes.CutPrefix(line, []byte("*"))
	if !is {
		d.fail(string(line), "a list")
	}
	d.rest = rest
	return int(d.number(count)), d.err
}

// What comes between the values of an entry, which has its fields always in the same order.
const (
	atPosition = "*2\r\n$"
	atType     = "\r\n*18\r\n$4\r\ntype\r\n$"
	atStream   = "\r\n$6\r\nstream\r\n$"
	atVersion  = "\r\n$7\r\nversion\r\n$"
	atFirst    = "\r\n$5\r\nfirst\r\n$"
	atID       = "\r\n$2\r\nid\r\n$"
	atTags     = "\r\n$4\r\ntags\r\n$"
	atMeta     = "\r\n$4\r\nmeta\r\n$"
	atTime     = "\r\n$4\r\ntime\r\n$"
	atData     = "\r\n$4\r\ndata\r\n$"
	atEnd      = "\r\n"
)

// entry reads an entry.
func (d *decoder) entry(e *eventstore.Event) {
	e.Position = eventstore.Position(d.number(bytes.TrimSuffix(d.value(atPosition), []byte("-0"))))
	e.Type = d.name(d.value(atType))
	if stream := d.value(atStream); string(stream) != d.stream {
		d.stream = d.name(stream)
	}
	e.Stream = eventstore.Stream(d.stream)
	e.Version = eventstore.Version(d.number(d.value(atVersion)))
	d.value(atFirst)
	var err error
	if e.ID, err = uuid.ParseBytes(d.value(atID)); err != nil {
		d.fail(err, "an id")
	}
	if tags := d.value(atTags); len(tags) > 0 {
		e.Tags = strings.Split(string(tags), "\x00")
	}
	if meta := d.value(atMeta); string(meta) == "{}" {
		e.Metadata.Correlation = e.ID
	} else if d.err == nil {
		d.metadata(string(meta), e)
	}
	e.Time = time.UnixMicro(d.number(d.value(atTime))).UTC()
	e.Data = d.keep(d.value(atData))
	d.skip(atEnd)
}

// skip passes over what has to come next, and returns what is behind it.
func (d *decoder) skip(text string) []byte {
	if len(d.rest) < len(text) || string(d.rest[:len(text)]) != text {
		d.fail(string(d.rest[:min(len(text), len(d.rest))]), "an event")
		d.rest = nil
		return nil
	}
	d.rest = d.rest[len(text):]
	return d.rest
}

// value reads a text, by its length, that comes behind another one. It is the reply's memory.
func (d *decoder) value(behind string) []byte {
	rest := d.skip(behind)
	n, i := 0, 0
	for i < len(rest) && i < 10 && rest[i] >= '0' && rest[i] <= '9' {
		n = 10*n + int(rest[i]-'0')
		i++
	}
	i += len(atEnd)
	if i == len(atEnd) || len(rest) < i+n || string(rest[i-len(atEnd):i]) != atEnd {
		d.fail(string(rest[:min(i, len(rest))]), "a text")
		d.rest = nil
		return nil
	}
	d.rest = rest[i+n:]
	return rest[i : i+n]
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

// mostNames is how many are remembered.
const mostNames = 4096

// name returns a text of which there are few.
func (d *decoder) name(text []byte) string {
	if s, ok := d.names[string(text)]; ok {
		return s
	}
	if d.names == nil || len(d.names) == mostNames {
		d.names = map[string]string{}
	}
	s := string(text)
	d.names[s] = s
	return s
}

const arenaSize = 8 << 10

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
