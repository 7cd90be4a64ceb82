package eventstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Limits that hold for every store. Those of Config may be set.
const (
	maxName     = 255       // bytes of a stream, type, tag, key, consumer or member
	maxTags     = 64        // tags of one event
	maxMetadata = 64 << 10  // bytes of one event's metadata
	maxItems    = 1000      // items of a query; types and tags of an item
	maxUnless   = 100       // conditions of a commit
	maxEntries  = 10_000    // checkpoints, parks, unparks, schedules, cancels of a commit: of each
	maxFailures = 32        // failures of a parked entry
	maxFailure  = 4 << 10   // bytes of one of them
	maxVersion  = 1<<53 - 1 // beyond it not every reader keeps integers exact
)

// checkName holds a name to the rules: valid UTF-8, trimmed, 1 … 255 bytes, no NUL.
func checkName(field, s string) error {
	switch {
	case s == "":
		return invalid(field, "is empty")
	case len(s) > maxName:
		return invalid(field, "%.40q… has %d bytes, more than %d", s, len(s), maxName)
	case !utf8.ValidString(s):
		return invalid(field, "%q is not valid UTF-8", s)
	case strings.IndexByte(s, 0) >= 0:
		return invalid(field, "%q has a NUL", s)
	case s[0] <= ' ' || s[0] >= utf8.RuneSelf || s[len(s)-1] <= ' ' || s[len(s)-1] >= utf8.RuneSelf:
		if strings.TrimSpace(s) != s {
			return invalid(field, "%q has space around it", s)
		}
	}
	return nil
}

// CheckName holds the name of a stream, type, tag, key or consumer to the rules: valid UTF-8, trimmed,
// 1 … 255 bytes, no NUL. The error names field.
func CheckName(field, name string) error { return checkName(field, name) }

// CheckCategory is CheckName for a category, which moreover contains no "-".
func CheckCategory(field, category string) error {
	if strings.Contains(category, "-") {
		return invalid(field, "%q contains a -, which ends a category", category)
	}
	return checkName(field, category)
}

// validate checks every rule and limit of a commit before any I/O. Its first fault is returned: a commit
// comes from a program, and one fault often causes others. With isJSON, the payloads are known to be JSON.
func (cfg *Config) validate(c *Commit, isJSON bool) error {
	n := c.events()
	entries := [...]int{
		len(c.Checkpoints), len(c.Deliveries), len(c.Acks), len(c.Returns), len(c.Parks), len(c.Unparks), len(c.Redrives),
		len(c.Schedules), len(c.Cancels),
	}
	most := slices.Max(entries[:])
	if n == 0 && most == 0 {
		return invalid("commit", "is empty")
	}
	if n > cfg.MaxEvents {
		return invalid("commit", "has %d events, more than %d", n, cfg.MaxEvents)
	}
	if len(c.Unless) > maxUnless {
		return invalid("commit", "has %d conditions, more than %d", len(c.Unless), maxUnless)
	}
	if most > maxEntries {
		return invalid("commit", "has %d entries of one kind, more than %d", most, maxEntries)
	}
	v := validator{cfg: cfg, isJSON: isJSON}
	if n != 1 || slices.Max(entries[1:]) > 0 { // all but checkpoints, which have no id
		v.ids = make(map[uuid.UUID]struct{}, n)
	}
	for i := range c.Appends {
		if err := v.append(&c.Appends[i]); err != nil {
			return within(fmt.Sprintf("append %d: ", i+1), err)
		}
	}
	for i := range c.Unless {
		if err := v.condition(&c.Unless[i]); err != nil {
			return within(fmt.Sprintf("condition %d: ", i+1), err)
		}
	}
	for i := range c.Checkpoints {
		if err := v.checkpoint(&c.Checkpoints[i], c.Checkpoints[:i]); err != nil {
			return within(fmt.Sprintf("checkpoint %d: ", i+1), err)
		}
	}
	for i := range c.Parks {
		if err := v.park(&c.Parks[i], c); err != nil {
			return within(fmt.Sprintf("park %d: ", i+1), err)
		}
	}
	if err := v.deliveries(c); err != nil {
		return err
	}
	for i := range c.Schedules {
		if err := v.schedule(&c.Schedules[i]); err != nil {
			return within(fmt.Sprintf("schedule %d: ", i+1), err)
		}
	}
	if v.bytes > cfg.MaxCommit {
		return invalid("commit", "has %d bytes, more than %d", v.bytes, cfg.MaxCommit)
	}
	return nil
}

// within puts the place of a fault before its field.
func within(place string, err error) error {
	if e, ok := errors.AsType[*InvalidError](err); ok {
		return &InvalidError{place + e.Field, e.Reason}
	}
	return err
}

type validator struct {
	cfg    *Config
	isJSON bool                   // encoding/json has made all payloads
	ids    map[uuid.UUID]struct{} // nil: there is only one id
	bytes  int
}

func (v *validator) id(id uuid.UUID) error {
	if id == uuid.Nil {
		return invalid("id", "is missing")
	}
	if v.ids == nil {
		return nil
	}
	if _, twice := v.ids[id]; twice {
		return invalid("id", "%s is used twice", id)
	}
	v.ids[id] = struct{}{}
	return nil
}

func (v *validator) append(a *Append) error {
	if err := checkName("stream", string(a.Stream)); err != nil {
		return err
	}
	if least, _ := a.Expect.Bounds(); least < 0 || least > maxVersion {
		return invalid("expected version", "%d is not 0 … %d", least, int64(maxVersion))
	}
	if len(a.Events) == 0 {
		return invalid("events", "are missing")
	}
	for i := range a.Events {
		if err := v.event(&a.Events[i]); err != nil {
			return within(fmt.Sprintf("event %d: ", i+1), err)
		}
	}
	return nil
}

func (v *validator) event(e *Event) error {
	if err := v.id(e.ID); err != nil {
		return err
	}
	if err := checkName("type", e.Type); err != nil {
		return err
	}
	if len(e.Tags) > maxTags {
		return invalid("tags", "are %d, more than %d", len(e.Tags), maxTags)
	}
	for i, t := range e.Tags {
		if err := checkName("tag", t); err != nil {
			return err
		}
		if slices.Contains(e.Tags[:i], t) {
			return invalid("tag", "%q is there twice", t)
		}
	}
	switch {
	case len(e.Data) > v.cfg.MaxData:
		return invalid("data", "of %s has %d bytes, more than %d", e.Type, len(e.Data), v.cfg.MaxData)
	case !utf8.Valid(e.Data):
		return invalid("data", "of %s is not valid UTF-8", e.Type)
	case !v.isJSON && !json.Valid(e.Data):
		return invalid("data", "of %s is not valid JSON", e.Type)
	}
	v.bytes += len(e.Data)
	return checkMetadata(&e.Metadata)
}

func checkMetadata(m *Metadata) error {
	if m.Depth < 0 || m.Depth > math.MaxInt32 || m.Schema < 0 || m.Schema > math.MaxInt32 {
		return invalid("metadata", "has depth %d and schema %d: not 0 … %d", m.Depth, m.Schema, math.MaxInt32)
	}
	n := len(m.TraceParent) + len(m.TraceState) + len(m.Actor) + len(m.ReplyTo)
	for _, s := range [...]string{m.TraceParent, m.TraceState, m.Actor, m.ReplyTo} {
		if err := checkText("metadata", s); err != nil {
			return err
		}
	}
	for k, s := range m.User {
		n += len(k) + len(s)
		if err := errors.Join(checkText("metadata", k), checkText("metadata", s)); err != nil {
			return err
		}
	}
	if n > maxMetadata {
		return invalid("metadata", "has %d bytes, more than %d", n, maxMetadata)
	}
	return nil
}

func checkText(field, s string) error {
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		return invalid(field, "%.40q is not valid UTF-8, or has a NUL", s)
	}
	return nil
}

func (v *validator) condition(c *Condition) error {
	if c.After < 0 || c.After > maxVersion {
		return invalid("position", "%d is not 0 … %d", c.After, int64(maxVersion))
	}
	if c.Query.IsZero() {
		return invalid("query", "selects nothing, so the condition guards nothing")
	}
	return c.Query.Validate()
}

func (v *validator) checkpoint(c *Checkpoint, before []Checkpoint) error {
	for i := range before {
		if before[i].Consumer == c.Consumer && before[i].Partition == c.Partition {
			return invalid("partition", "%d of %s is there twice", c.Partition, c.Consumer)
		}
	}
	if c.Partition < 0 || c.Partition >= MaxPartitions {
		return invalid("partition", "%d is not 0 … %d", c.Partition, MaxPartitions-1)
	}
	if c.From < 0 || c.To < c.From || c.To > maxVersion {
		return invalid("position", "from %d to %d does not go forward", c.From, c.To)
	}
	return checkName("consumer", c.Consumer)
}

// deliveries checks what goes into windows, and what comes out of them.
func (v *validator) deliveries(c *Commit) error {
	for i := range c.Deliveries {
		if err := v.deliver(&c.Deliveries[i], c.Checkpoints); err != nil {
			return within(fmt.Sprintf("delivery %d: ", i+1), err)
		}
	}
	for i := range c.Acks {
		if err := v.ack(&c.Acks[i]); err != nil {
			return within(fmt.Sprintf("ack %d: ", i+1), err)
		}
	}
	for i := range c.Returns {
		r := &c.Returns[i]
		if err := errors.Join(v.ack(&r.Ack), checkDue(r.Due), checkFailures([]Failure{r.Failure})); err != nil {
			return within(fmt.Sprintf("return %d: ", i+1), err)
		}
	}
	return nil
}

func (v *validator) deliver(d *Delivery, under []Checkpoint) error {
	switch {
	case !slices.ContainsFunc(under, func(c Checkpoint) bool { return c.Consumer == d.Consumer }):
		return invalid("checkpoint", "of %s is missing: only its owner may deliver", d.Consumer)
	case d.Position <= 0 || d.Position > maxVersion:
		return invalid("position", "%d makes no sense", d.Position)
	}
	return v.id(d.ID)
}

func (v *validator) ack(a *Ack) error {
	if a.Attempt < 1 {
		return invalid("attempt", "%d makes no sense", a.Attempt)
	}
	return errors.Join(v.id(a.ID), checkName("consumer", a.Consumer))
}

// checkDue wants a time that every backend can keep.
func checkDue(t time.Time) error {
	if y := t.Year(); y < 1970 || y > 9999 {
		return invalid("due", "%s is not in the years 1970 … 9999", t.Format(time.RFC3339))
	}
	return nil
}

func checkFailures(failures []Failure) error {
	if len(failures) > maxFailures {
		return invalid("failures", "are %d, more than %d", len(failures), maxFailures)
	}
	for _, f := range failures {
		if len(f.Error) > maxFailure {
			return invalid("failure", "has %d bytes, more than %d", len(f.Error), maxFailure)
		}
		if y := f.At.Year(); y < 0 || y > 9999 {
			return invalid("failure", "at %s is not in the years 0 … 9999", f.At.Format(time.RFC3339))
		}
		if err := checkText("failure", f.Error); err != nil {
			return err
		}
	}
	return nil
}

// mayPark reports whether a commit proves the right to park an entry: by its partition's checkpoint, or by
// the ack of a delivery of its consumer.
func mayPark(p *Parked, c *Commit) bool {
	return slices.ContainsFunc(c.Checkpoints, func(x Checkpoint) bool { return x.Consumer == p.Consumer && x.Partition == p.Partition }) ||
		slices.ContainsFunc(c.Acks, func(x Ack) bool { return x.Consumer == p.Consumer })
}

func (v *validator) park(p *Parked, c *Commit) error {
	switch {
	case !mayPark(p, c):
		return invalid("checkpoint", "of %s partition %d is missing: only its owner may park", p.Consumer, p.Partition)
	case p.Position <= 0 || p.Position > maxVersion || p.Attempts < 0 || p.Attempts > math.MaxInt32:
		return invalid("position", "%d or attempts %d make no sense", p.Position, p.Attempts)
	case !p.Due.IsZero():
		if err := checkDue(p.Due); err != nil {
			return err
		}
	}
	return errors.Join(checkFailures(p.Failures), v.id(p.ID), checkName("key", p.Key))
}

func (v *validator) schedule(s *Schedule) error {
	if err := v.id(s.ID); err != nil {
		return err
	}
	if err := checkDue(s.Due); err != nil {
		return err
	}
	if s.Append.Expect != Any {
		return invalid("append", "expects %s: a scheduled append must expect nothing", s.Append.Expect)
	}
	if len(s.Append.Events) > v.cfg.MaxEvents {
		return invalid("append", "has %d events, more than %d", len(s.Append.Events), v.cfg.MaxEvents)
	}
	return v.append(&s.Append)
}
