package redis

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// arguments are a script's: see lua/append.lua and lua/commit.lua for their order.
type arguments struct {
	list []any
	mark mark // what is known of the log, if that is elsewhere
}

func (a *arguments) add(values ...any) { a.list = append(a.list, values...) }

// grow makes room for commits.
func (a *arguments) grow(commits []eventstore.Commit) {
	n := 2
	for i := range commits {
		n += 2
		for k := range commits[i].Appends {
			n += 5 + stride*len(commits[i].Appends[k].Events)
		}
	}
	a.list = make([]any, 0, n)
}

// batch adds a batch of commits.
func (a *arguments) batch(commits []eventstore.Commit) error {
	a.grow(commits)
	a.add(len(commits))
	for i := 0; i < len(commits); {
		if n := a.acks(commits[i:]); n > 0 {
			i += n
			continue
		}
		if err := a.commit(&commits[i]); err != nil {
			return err
		}
		a.add(".")
		i++
	}
	return nil
}

// acks adds the commits at the front that are but an acknowledgement each, of one consumer, and returns how many these are.
func (a *arguments) acks(commits []eventstore.Commit) (n int) {
	for n < len(commits) && a.mark.position == 0 && onlyAck(&commits[n]) && commits[n].Acks[0].Consumer == commits[0].Acks[0].Consumer {
		n++
	}
	if n > 0 {
		a.add("a", commits[0].Acks[0].Consumer, n)
	}
	for i := range commits[:n] {
		x := &commits[i].Acks[0]
		a.add(x.ID.String(), x.Attempt)
	}
	return n
}

// appends adds those of a commit.
func (a *arguments) appends(list []eventstore.Append) error {
	a.add(len(list))
	for i := range list {
		if err := a.append(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

// commit adds all of a commit but for its end.
func (a *arguments) commit(c *eventstore.Commit) error {
	if err := a.appends(c.Appends); err != nil {
		return err
	}
	a.conditions(c.Unless)
	a.entries(c)
	if err := a.parks(c.Parks); err != nil {
		return err
	}
	if len(c.Schedules) > 0 {
		a.add("s", len(c.Schedules))
	}
	for i := range c.Schedules {
		s := &c.Schedules[i]
		a.add(s.ID.String(), s.ID[:], micros(s.Due))
		if err := a.append(&s.Append); err != nil {
			return err
		}
	}
	if a.mark.position > 0 {
		a.add("m", 1, int64(a.mark.position), a.mark.id.String())
	}
	return a.returns(c.Returns)
}

// stride is how many arguments an event has.
const stride = 6

func (a *arguments) append(p *eventstore.Append) error {
	a.head(p)
	a.add(len(p.Events))
	for i := range p.Events {
		if err := a.event(&p.Events[i]); err != nil {
			return err
		}
	}
	return nil
}

// head adds the stream of an append, and what is expected of it.
func (a *arguments) head(p *eventstore.Append) {
	least, most := "", ""
	if p.Expect != eventstore.Any {
		l, m := p.Expect.Bounds()
		least, most = strconv.FormatInt(int64(l), 10), strconv.FormatInt(int64(m), 10)
	}
	a.add(string(p.Stream), p.Stream.Category(), least, most)
}

// event adds an event: its id as a text, and what of it is found behind the bucket that its last bytes name.
func (a *arguments) event(e *eventstore.Event) error {
	m, err := encodeMetadata(e)
	if err != nil {
		return err
	}
	a.add(e.ID.String(), e.ID[:14], e.Type, m, strings.Join(e.Tags, "\x00"), []byte(e.Data))
	return nil
}

func (a *arguments) conditions(list []eventstore.Condition) {
	if len(list) == 0 {
		return
	}
	a.add("u", len(list))
	for _, u := range list {
		items := u.Query.Items()
		a.add(int64(u.After), len(items))
		a.items(items)
	}
}

func (a *arguments) items(items []eventstore.Item) {
	for i := range items {
		it := &items[i]
		a.add(string(it.Stream), it.Category, len(it.Types))
		for _, t := range it.Types {
			a.add(t)
		}
		a.add(len(it.Tags))
		for _, t := range it.Tags {
			a.add(t)
		}
	}
}

// entries adds what is no more than names and numbers.
func (a *arguments) entries(c *eventstore.Commit) {
	if len(c.Checkpoints) > 0 {
		a.add("c", len(c.Checkpoints))
	}
	for _, x := range c.Checkpoints {
		a.add(x.Consumer, x.Partition, x.Epoch, int64(x.From), int64(x.To))
	}
	if len(c.Deliveries) > 0 {
		a.add("d", len(c.Deliveries))
	}
	for _, d := range c.Deliveries {
		a.add(d.Consumer, d.ID.String(), int64(d.Position), d.Event.String())
	}
	if len(c.Acks) > 0 {
		a.add("a", len(c.Acks))
	}
	for _, x := range c.Acks {
		a.add(x.Consumer, x.ID.String(), x.Attempt)
	}
	for kind, ids := range map[string][]uuid.UUID{"n": c.Unparks, "x": c.Redrives, "k": c.Cancels} {
		if len(ids) > 0 {
			a.add(kind, len(ids))
		}
		for _, id := range ids {
			a.add(id.String())
		}
	}
}

func (a *arguments) returns(list []eventstore.Return) error {
	if len(list) > 0 {
		a.add("r", len(list))
	}
	for i := range list {
		r := &list[i]
		data, err := json.Marshal(failure(r.Failure))
		if err != nil {
			return err
		}
		a.add(r.Consumer, r.ID.String(), r.Attempt, micros(r.Due), data)
	}
	return nil
}

func (a *arguments) parks(list []eventstore.Parked) error {
	if len(list) > 0 {
		a.add("p", len(list))
	}
	for i := range list {
		p := &list[i]
		failures, err := encodeFailures(p.Failures)
		if err != nil {
			return err
		}
		a.add(p.ID.String(), p.Consumer, p.Partition, p.Key, int64(p.Position), p.Event.String(), p.Attempts, failures, micros(p.Due))
	}
	return nil
}

// failure is an eventstore.Failure as the log holds it: a line.
type failure struct {
	At    time.Time `json:"at"`
	Error string    `json:"error"`
}

// encodeFailures makes a line of each.
func encodeFailures(list []eventstore.Failure) (string, error) {
	lines := make([]string, len(list))
	for i, f := range list {
		data, err := json.Marshal(failure(f))
		if err != nil {
			return "", err
		}
		lines[i] = string(data)
	}
	return strings.Join(lines, "\n"), nil
}

// failures reads lines.
func (r *reader) failures(lines string) (list []eventstore.Failure) {
	for line := range strings.SplitSeq(lines, "\n") {
		if line == "" {
			continue
		}
		var f failure
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			r.fail(line, "a failure")
		}
		list = append(list, eventstore.Failure(f))
	}
	return list
}

// metadata is eventstore.Metadata as the log holds it, but for the correlation of an event that begins a conversation: that is its own
// id.
type metadata struct {
	Correlation *uuid.UUID        `json:"correlation,omitzero"`
	Causation   uuid.UUID         `json:"causation,omitzero"`
	Depth       int               `json:"depth,omitzero"`
	TraceParent string            `json:"traceparent,omitempty"`
	TraceState  string            `json:"tracestate,omitempty"`
	Schema      int               `json:"schema,omitzero"`
	Actor       string            `json:"actor,omitempty"`
	ReplyTo     string            `json:"replyto,omitempty"`
	User        map[string]string `json:"user,omitempty"`
}

var noMetadata = []byte("{}")

func encodeMetadata(e *eventstore.Event) ([]byte, error) {
	m := &e.Metadata
	kept := metadata{
		Causation: m.Causation, Depth: m.Depth, TraceParent: m.TraceParent, TraceState: m.TraceState, Schema: m.Schema, Actor: m.Actor,
		ReplyTo: m.ReplyTo, User: m.User,
	}
	if m.Correlation != e.ID {
		kept.Correlation = &m.Correlation
	} else if m.Causation == uuid.Nil && m.Depth+m.Schema == 0 && m.TraceParent+m.TraceState+m.Actor+m.ReplyTo == "" && len(m.User) == 0 {
		return noMetadata, nil
	}
	return json.Marshal(kept)
}
