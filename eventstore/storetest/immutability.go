package storetest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

func immutability() promise {
	return promise{
		name: "Immutability",
		says: "events never change, and payloads come back byte for byte",
		checks: []check{
			{name: "payloads come back byte for byte", heavy: true, run: payloadBytes},
			{name: "tags and metadata come back as they were given", run: metadataKept},
			{name: "what the store gives is not taken from the caller", run: storeGives},
			{name: "changing what was committed changes nothing stored", run: changeGiven},
			{name: "changing what was read changes nothing stored", run: changeRead},
			{name: "changing a schedule given or returned changes nothing stored", needs: []Capability{Scheduler}, run: changeSchedule},
			{name: "changing a parked entry given or returned changes nothing stored", needs: []Capability{Leaser, Parker}, run: changeParked},
			{name: "changing a delivery given or returned changes nothing stored", needs: []Capability{Leaser, Deliverer}, run: changeDelivery},
			{name: "changing a roster changes nothing stored", needs: []Capability{Leaser}, run: changeRoster},
			{name: "later commits change nothing of earlier events", run: laterCommits},
		},
	}
}

// payloads are JSON that a store may be tempted to improve.
func payloads() []string {
	return []string{
		`{}`, `[]`, `null`, `true`, `0`, `-0`, `""`, `" "`, `{"a":[]}`, `{"a":{}}`,
		`{"b":1,"a":2}`, `{"a":1,"a":2}`, "{ \"a\" :\t1 ,\n\"b\": [ 1 , 2 ] }", " \n{\"padded\":true}\r\n ",
		`{"int":9007199254740993,"big":123456789012345678901234567890,"neg":-9223372036854775808}`,
		`{"float":1.0,"exp":1e400,"small":1E-400,"many":0.1000000000000000055511151231257827,"plus":1e+2}`,
		`{"escaped":"\u0041\/\n\t\"\\","unescaped":"A/","nul":"\u0000","lone":"\ud800"}`,
		`{"emoji":"😀","combined":"é","é":1,"rtl":"\u202e","line":"` + "\u2028" + `","del":"` + "\x7f" + `"}`,
		`{"quote":"it's; DROP TABLE events; --","dollar":"$1 $$ $body$","percent":"%s %d","redis":"\r\n$5\r\n"}`,
		`{"html":"<script>&</script>","template":"{{.}}"}`,
		strings.Repeat("[", 500) + strings.Repeat("]", 500),
		`"` + strings.Repeat("long ", 20_000) + `"`,
		`{"":{"":[""]}}`,
	}
}

func payloadBytes(t *trial) {
	var events []eventstore.Event
	for _, p := range payloads() {
		e := event("kept")
		e.Data = []byte(p)
		events = append(events, e)
	}
	t.add(t.store, "kept-1", events...)
	for _, p := range payloads() {
		e := event("kept")
		e.Data = []byte(p)
		t.add(t.store, "kept-2", e)
	}
	for _, q := range []eventstore.Query{eventstore.InStream("kept-1"), eventstore.InStream("kept-2")} {
		got, _ := t.read(t.another(), q, eventstore.Range{})
		for i, p := range payloads() {
			if i >= len(got) || string(got[i].Data) != p {
				t.broken("the payload %.300q came back as %.300q", p, got[min(i, len(got)-1)].Data)
			}
		}
	}
}

func metadataKept(t *trial) {
	wide := event("kept", "tag", "Tag", "tag:", "täg", "a b", "a,b", `{"a"}`, "'", "%", "*", "\\", "a\nb", "😀")
	wide.Metadata = eventstore.Metadata{
		Correlation: uuid.New(), Causation: uuid.New(), Depth: 1<<31 - 1, Schema: 7,
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", TraceState: "congo=t61rcWkgMzE",
		Actor: "someone's \"name\"", ReplyTo: "saga.trip-4/2/flight/1/do", User: map[string]string{"": "", "k": "v", "kä": "\\\"'%", "lines": "a\r\nb", "null": "null"},
	}
	bare := event("kept")
	bare.Metadata.Correlation = bare.ID
	want := []eventstore.Event{wide, bare}
	t.add(t.store, "kept-1", want...)
	for i, got := range t.all(t.another()) {
		if !slices.Equal(slices.Sorted(slices.Values(got.Tags)), slices.Sorted(slices.Values(want[i].Tags))) {
			t.broken("the tags %q came back as %q", want[i].Tags, got.Tags)
		}
		if g, w := showMetadata(got.Metadata), showMetadata(want[i].Metadata); g != w {
			t.broken("the metadata %s came back as %s", w, g)
		}
		if len(want[i].Metadata.User) > 0 && !maps.Equal(want[i].Metadata.User, got.Metadata.User) {
			t.broken("the user's metadata %q came back as %q", want[i].Metadata.User, got.Metadata.User)
		}
	}
}

func storeGives(t *trial) {
	e := event("kept")
	e.Stream, e.Version, e.Position, e.Part, e.Time = "elsewhere-1", 99, 99, 9, future(1)
	began := time.Now().Add(-24 * time.Hour)
	t.add(t.store, "kept-1", e)
	got := t.all(t.store)[0]
	if got.Stream != "kept-1" || got.Version != 1 || got.Position != 1 || got.Part != 0 || got.ID != e.ID {
		t.broken("the first event of the log and of kept-1 came back as %s", showWhole(got))
	}
	switch {
	case got.Time.Before(began) || got.Time.After(began.Add(48*time.Hour)):
		t.broken("an event committed now came back with the time %s", got.Time)
	case got.Time.Location() != time.UTC || got.Time.Nanosecond()%1000 != 0:
		t.broken("the time %s is not in UTC, or not in whole microseconds", got.Time)
	}
}

// spoil changes everything that an event refers to.
func spoil(e *eventstore.Event) {
	for i := range e.Data {
		e.Data[i] = 'x'
	}
	for i := range e.Tags {
		e.Tags[i] = "spoilt"
	}
	for k := range e.Metadata.User {
		e.Metadata.User[k] = "spoilt"
	}
	if e.Metadata.User != nil {
		e.Metadata.User["spoilt"] = "spoilt"
	}
	_ = append(e.Data[:0], bytes.Repeat([]byte("y"), cap(e.Data))...)
	_ = append(e.Tags, "spoilt")
}

func laden() eventstore.Event {
	e := event("kept", "one", "two")
	e.Metadata.User = map[string]string{"k": "v"}
	return e
}

func changeGiven(t *trial) {
	for range 3 {
		c := unless(appends(to("kept-1", laden(), laden()), to("kept-2", laden())), eventstore.OfType("never happened"), 0)
		t.commit(t.store, c)
		before := t.dump(t.store)
		for i := range c.Appends {
			for j := range c.Appends[i].Events {
				spoil(&c.Appends[i].Events[j])
				c.Appends[i].Events[j].Type = "spoilt"
			}
			c.Appends[i].Stream = "spoilt-1"
		}
		if after := t.dump(t.store); after != before {
			t.brokenNow("the caller changed what it had committed, and the log changed:\n%s", difference(before, after))
		}
	}
}

func changeRead(t *trial) {
	t.add(t.store, "kept-1", laden(), laden())
	before := t.dump(t.store)
	for _, r := range []eventstore.Range{{}, {Backward: true}, {Limit: 1}} {
		for range 2 {
			for e, err := range t.store.Read(t.ctx, eventstore.All(), r) {
				t.need(err, "read")
				spoil(&e)
			}
			if after := t.dump(t.store); after != before {
				t.brokenNow("a reader (%s) changed what it had been given, and the log changed:\n%s", showRange(r), difference(before, after))
			}
		}
	}
	if got, _ := t.read(t.store, eventstore.WithTags("one"), eventstore.Range{}); len(got) != 2 {
		t.broken("a reader changed the tags of an event, and queries no longer find it: %s", showAll(got))
	}
}

func changeSchedule(t *trial) {
	s := later(past(1), "kept-1", laden())
	want := fmt.Sprint(showSchedule(s), string(s.Append.Events[0].Data), s.Append.Events[0].Tags, s.Append.Events[0].Metadata.User)
	t.commit(t.store, eventstore.Commit{Schedules: []eventstore.Schedule{s}})
	spoil(&s.Append.Events[0])
	for _, which := range []string{"given", "returned"} {
		got := t.scheduled(t.store)[0]
		if is := fmt.Sprint(showSchedule(got), string(got.Append.Events[0].Data), got.Append.Events[0].Tags, got.Append.Events[0].Metadata.User); is != want {
			t.brokenNow("a schedule was changed where it was %s, and the stored one is now\n\t%s, not\n\t%s", which, is, want)
		}
		spoil(&got.Append.Events[0])
	}
	t.fireAll(t.store)
	if e := t.all(t.store)[0]; string(e.Data) != `{"n": 1}` || !slices.Contains(e.Tags, "one") || e.Metadata.User["k"] != "v" {
		t.broken("a schedule was changed where it was given or returned, and it fired as %s", showWhole(e))
	}
}

func changeParked(t *trial) {
	t.add(t.store, "kept-1", event("handled"))
	l := t.claim(t.store, "owner", "keeper", 1)[0]
	p := entry(l, "key", t.all(t.store)[0])
	p.Failures = []eventstore.Failure{{At: past(1), Error: "first"}, {At: past(2), Error: "second"}}
	want := showParked(p)
	t.commit(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(l, 1)}, Parks: []eventstore.Parked{p}})
	p.Failures[0].Error = "spoilt"
	for _, which := range []string{"given", "returned"} {
		got := t.parked(t.store, eventstore.ParkedFilter{})[0]
		if is := showParked(got); is != want {
			t.brokenNow("a parked entry was changed where it was %s, and the stored one is now\n\t%s, not\n\t%s", which, is, want)
		}
		got.Failures[0].Error = "spoilt"
	}
}

func changeDelivery(t *trial) {
	t.deliver(t.feeder("keeper"), 1)
	for n := range 4 {
		d := t.takeOne(t.store, "keeper")
		if len(d.Failures) != n || n > 0 && d.Failures[0].Error != "first" {
			t.brokenNow("a delivery was changed where it was returned, and now it has the failures %v", d.Failures)
		}
		why := "later"
		if n == 0 {
			why = "first"
		}
		c := eventstore.Commit{Returns: []eventstore.Return{returned(d, past(1), why)}}
		t.commit(t.store, c)
		c.Returns[0].Failure.Error = "spoilt"
		for i := range d.Failures {
			d.Failures[i].Error = "spoilt"
		}
		_ = append(d.Failures, eventstore.Failure{Error: "spoilt"})
	}
}

func changeRoster(t *trial) {
	t.claim(t.store, "owner", "keeper", 2)
	r := t.roster(t.store, "keeper")
	want := fmt.Sprint(r)
	r.Partitions[0] = eventstore.Partition{Owner: "spoilt", Epoch: 99, Position: 99}
	r.Members[0] = "spoilt"
	if is := fmt.Sprint(t.roster(t.store, "keeper")); is != want {
		t.broken("a roster was changed where it was returned, and it is now %s, not %s", is, want)
	}
}

func laterCommits(t *trial) {
	t.fill()
	first := t.all(t.store)
	var before []string
	for _, e := range first {
		before = append(before, showWhole(e))
	}
	for n := range 10 {
		t.add(t.store, first[n%len(first)].Stream, laden())
	}
	for i, e := range t.all(t.another())[:len(first)] {
		if is := showWhole(e); is != before[i] {
			t.broken("an event changed:\n\t- %s\n\t+ %s", before[i], is)
		}
	}
}
