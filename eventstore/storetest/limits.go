package storetest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

func limits() promise {
	return promise{
		name: "Limits",
		says: "what breaks a rule is refused before any I/O, with an error that names the field; what keeps to the rules is stored",
		checks: []check{
			{name: "names that are no names are refused", heavy: true, run: func(t *trial) { refuseBeforeIO(t, badNames()) }},
			{name: "events and commits beyond the limits are refused", heavy: true, run: func(t *trial) { refuseBeforeIO(t, badEvents()) }},
			{name: "checkpoints, parks, schedules and conditions beyond the limits are refused", heavy: true, run: func(t *trial) { refuseBeforeIO(t, badEntries()) }},
			{name: "deliveries, acks and returns beyond the limits are refused", heavy: true, run: func(t *trial) { refuseBeforeIO(t, badDeliveries()) }},
			{name: "limits hold for what comes with the context, too", run: badContext},
			{name: "limits that were set hold", run: limitsSet},
			{name: "reads beyond the limits are refused", heavy: true, run: badReads},
			{name: "what is exactly at the limits is stored", heavy: true, run: atTheLimits},
			{name: "entries exactly at the limits are stored", heavy: true, needs: []Capability{Leaser, Parker, Scheduler}, run: entriesAtTheLimits},
			{name: "a full window is delivered, handed out and settled at once", heavy: true, needs: []Capability{Leaser, Deliverer}, run: fullWindow},
		},
	}
}

// fault is a way to make a good commit break a rule, and the field that the error must name.
type fault struct {
	name  string
	field string
	spoil func(c *eventstore.Commit)
}

func (f fault) String() string { return f.name }

// goodCommit has one of everything, and nothing wrong with it.
func goodCommit() eventstore.Commit {
	c := unless(appends(expecting(eventstore.Exact(3), "good-1", event("good", "tag"), event("good", "tag"))), eventstore.OfType("never happened"), 0)
	c.Checkpoints = []eventstore.Checkpoint{{Consumer: "good", Epoch: 1, To: 1}}
	c.Parks = []eventstore.Parked{{ID: newID(), Consumer: "good", Key: "key", Position: 1, Event: newID(), Failures: make([]eventstore.Failure, 1)}}
	c.Schedules = []eventstore.Schedule{later(future(1), "good-1", event("good", "tag"), event("good"))}
	c.Deliveries = []eventstore.Delivery{toDeliver("good", 1)}
	c.Acks = []eventstore.Ack{{Consumer: "settler", ID: newID(), Attempt: 1}}
	c.Returns = []eventstore.Return{{Ack: eventstore.Ack{Consumer: "settler", ID: newID(), Attempt: 1}, Due: future(1)}}
	c.Cancels, c.Unparks, c.Redrives = []uuid.UUID{newID()}, []uuid.UUID{newID()}, []uuid.UUID{newID()}
	return c
}

// refuseBeforeIO tries each fault on a store whose backend must not be called.
func refuseBeforeIO(t *trial, faults []fault) {
	var backend *counter
	s := t.wrapped(eventstore.Config{}, func(b eventstore.Backend) eventstore.Backend {
		backend = &counter{Backend: b}
		return backend
	})
	each(t, faults, fault.String, func(f fault) {
		c := goodCommit()
		f.spoil(&c)
		_, err := s.Commit(t.ctx, c)
		t.invalid(err, f.field)
	})
	if n := backend.calls.Load(); n > 0 {
		t.broken("the backend was called %d times with what breaks a rule", n)
	}
}

// invalid checks that an error is ErrInvalid and names a field.
func (t *trial) invalid(err error, field string) {
	t.Helper()
	said, ok := errors.AsType[*eventstore.InvalidError](err)
	switch {
	case err == nil:
		t.broken("it was accepted")
	case !ok || !errors.Is(err, eventstore.ErrInvalid):
		t.broken("it failed with %q, which is no InvalidError", err)
	case !strings.Contains(said.Field, field) || said.Reason == "":
		t.broken("it failed with %q, which does not name the field %q but %q", err, field, said.Field)
	}
}

// noNames are strings that no name may be.
func noNames() map[string]string {
	return map[string]string{
		"empty": "", "a space": " ", "padded left": " name", "padded right": "name\t", "padded with a wide space": "name\u2003",
		"padded with a no-break space": "\u00a0name", "a NUL": "na\x00me", "not UTF-8": "na\xffme", "half a rune": "nam\xc3",
		"a surrogate": "na\xed\xa0\x80me", "too long": strings.Repeat("n", 256), "too long in bytes": strings.Repeat("ü", 128),
	}
}

func badNames() (faults []fault) {
	for kind, name := range noNames() {
		for field, set := range map[string]func(c *eventstore.Commit){
			"append 1: stream":                     func(c *eventstore.Commit) { c.Appends[0].Stream = eventstore.Stream(name) },
			"append 1: event 2: type":              func(c *eventstore.Commit) { c.Appends[0].Events[1].Type = name },
			"append 1: event 1: tag":               func(c *eventstore.Commit) { c.Appends[0].Events[0].Tags = []string{"tag", name} },
			"checkpoint 1: consumer":               func(c *eventstore.Commit) { c.Parks, c.Deliveries, c.Checkpoints[0].Consumer = nil, nil, name },
			"ack 1: consumer":                      func(c *eventstore.Commit) { c.Acks[0].Consumer = name },
			"return 1: consumer":                   func(c *eventstore.Commit) { c.Returns[0].Consumer = name },
			"park 1: key":                          func(c *eventstore.Commit) { c.Parks[0].Key = name },
			"schedule 1: stream":                   func(c *eventstore.Commit) { c.Schedules[0].Append.Stream = eventstore.Stream(name) },
			"schedule 1: event 2: type":            func(c *eventstore.Commit) { c.Schedules[0].Append.Events[1].Type = name },
			"schedule 1: event 1: tag":             func(c *eventstore.Commit) { c.Schedules[0].Append.Events[0].Tags[0] = name },
			"condition 1: query item 1: type":      func(c *eventstore.Commit) { c.Unless[0].Query = eventstore.OfType("type", name) },
			"condition 2: query item 1: tag":       func(c *eventstore.Commit) { *c = unless(*c, eventstore.WithTags("tag", name), 0) },
			"condition 1: query item 2: stream":    func(c *eventstore.Commit) { withItem(c, eventstore.Item{Stream: eventstore.Stream(name)}) },
			"condition 1: query item 2: category":  func(c *eventstore.Commit) { withItem(c, eventstore.Item{Category: name}) },
			"condition 1: query item 2: category ": func(c *eventstore.Commit) { withItem(c, eventstore.Item{Category: "in-valid"}) },
		} {
			if name == "" && strings.Contains(field, "item 2") {
				continue // an empty stream or category in a query is none
			}
			faults = append(faults, fault{field + " is " + kind, strings.TrimSpace(field), set})
		}
	}
	return faults
}

func withItem(c *eventstore.Commit, it eventstore.Item) {
	c.Unless[0].Query = eventstore.OfType("type").Or(eventstore.Match(it))
}

// badContext gives events a cause that breaks the limits.
func badContext(t *trial) {
	each(t, badMetadata(), func(b metadataFault) string { return b.name }, func(b metadataFault) {
		if b.m.Schema != 0 || b.m.Depth < 0 {
			return // the context has no say in the one, and cannot make the other less
		}
		c := appends(to("good-1", event("good")))
		_, err := t.store.Commit(eventstore.WithMetadata(t.ctx, b.m), c)
		t.invalid(err, "append 1: event 1: metadata")
	})
	if got := t.all(t.store); len(got) > 0 {
		t.broken("metadata that breaks a rule was stored: %s", showMetadata(got[0].Metadata))
	}
}

func limitsSet(t *trial) {
	s := t.wrapped(eventstore.Config{MaxData: 10, MaxEvents: 3, MaxCommit: 25}, func(b eventstore.Backend) eventstore.Backend { return b })
	sized := func(sizes ...int) eventstore.Commit {
		c := appends(to("small-1"), to("small-2"))
		for i, n := range sizes {
			e := event("small")
			e.Data = []byte(`"` + strings.Repeat("x", n-2) + `"`)
			c.Appends[i%2].Events = append(c.Appends[i%2].Events, e)
		}
		return c
	}
	for _, x := range []struct {
		c     eventstore.Commit
		field string
	}{
		{sized(10, 11), "append 2: event 1: data"},
		{sized(2, 2, 2, 2), "commit"},
		{sized(10, 9, 7), "commit"},
	} {
		_, err := s.Commit(t.ctx, x.c)
		t.invalid(err, x.field)
	}
	t.commit(s, sized(10, 9, 6))
	many := eventstore.Commit{Schedules: []eventstore.Schedule{later(future(1), "small-1", sized(2, 2).Appends[0].Events...)}}
	many.Schedules[0].Append.Events = append(many.Schedules[0].Append.Events, sized(2, 2, 2, 2, 2).Appends[0].Events...)
	_, err := s.Commit(t.ctx, many)
	t.invalid(err, "schedule 1: append")
}

func badReads(t *trial) {
	var backend *counter
	s := t.wrapped(eventstore.Config{}, func(b eventstore.Backend) eventstore.Backend {
		backend = &counter{Backend: b}
		return backend
	})
	type bad struct {
		q     eventstore.Query
		r     eventstore.Range
		field string
	}
	bads := []bad{
		{eventstore.All(), eventstore.Range{After: -1}, "range"},
		{eventstore.All(), eventstore.Range{UpTo: -1}, "range"},
		{eventstore.All(), eventstore.Range{Limit: -1}, "range"},
		{eventstore.InStream("s-1"), eventstore.Range{After: 1 << 53}, "range"},
		{eventstore.InStream("s-1"), eventstore.Range{After: 1<<63 - 1}, "range"},
		{eventstore.OfType("type"), eventstore.Range{UpTo: 1<<63 - 1}, "range"},
		{eventstore.InCategory("with-dash"), eventstore.Range{}, "query item 1: category"},
		{eventstore.Match(make([]eventstore.Item, 1001)...), eventstore.Range{}, "query"},
		{eventstore.OfType(numbered("type", 1001)...), eventstore.Range{}, "query item 1: types and tags"},
		{eventstore.WithTags(numbered("tag", 1001)...), eventstore.Range{}, "query item 1: types and tags"},
	}
	for _, name := range noNames() {
		if name != "" {
			bads = append(bads, bad{eventstore.InStream(eventstore.Stream(name)), eventstore.Range{}, "query item 1: stream"})
		}
		bads = append(bads, bad{eventstore.OfType("type", name), eventstore.Range{}, "query item 1: type"},
			bad{eventstore.OfType("type").Or(eventstore.WithTags(name)), eventstore.Range{}, "query item 2: tag"})
	}
	each(t, bads, func(b bad) string { return fmt.Sprintf("%.80s %s", showQuery(b.q), showRange(b.r)) }, func(b bad) {
		n := 0
		for e, err := range s.Read(t.ctx, b.q, b.r) {
			if n++; err == nil {
				t.brokenNow("it yielded %s", show(e))
			}
			t.invalid(err, b.field)
		}
		if n != 1 {
			t.broken("it yielded %d times; it must yield one error", n)
		}
	})
	if n := backend.calls.Load(); n > 0 {
		t.broken("the backend was called %d times with what breaks a rule", n)
	}
}

func numbered(what string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint(what, " ", i)
	}
	return names
}
