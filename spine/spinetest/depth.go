package spinetest

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func depths() []promise {
	return []promise{
		{"organs that answer each other without end are stopped by parking, and all else flows", stopsRunaway},
		{"a runaway that is redriven is parked again", redrivesRunaway},
		{"commands count as causes", stopsCommands},
	}
}

func stopsRunaway(t *Trial) {
	ping, pong := On("ping", "pong", Copy("", "ping")), On("pong", "ping", Copy("", "pong"))
	sp := t.another(spine.Config{MaxDepth: 20}, ping, pong, On("copier", "in", Copy("copy.", "mid")))
	t.Start(sp)
	t.Put(Event("s-1", "ping", 1))
	for i := range 50 {
		t.Put(Event("t-1", "in", i))
	}
	t.Until("the runaway is parked", func() bool { return len(t.Parked("")) == 1 })
	t.Done("copier")
	t.WantNumbers("copy.t-1", t.Numbers("t-1")...)
}

func redrivesRunaway(t *Trial) {
	self := On("self", "ping", Copy("", "ping"))
	sp := t.another(spine.Config{MaxDepth: 20}, self)
	t.Put(Event("s-1", "ping", 1))
	t.Drain(sp)
	all := t.Events(eventstore.OfType("ping"))
	if len(all) != 22 || all[21].Metadata.Depth != 21 {
		t.Fatalf("%d events were made, the last at depth %d", len(all), all[len(all)-1].Metadata.Depth)
	}
	for range 2 {
		t.WantParked("self", "s-1@22!")
		if f := t.Parked("self")[0].Failures; !strings.Contains(f[len(f)-1].Error, spine.ErrDepth.Error()) {
			t.Errorf("it is parked for %+v", f)
		}
		t.redrive(1, eventstore.ParkedFilter{})
		t.Drain(sp)
	}
	if head := t.Head(); head != 22 {
		t.Errorf("the head is %d", head)
	}
	deeper := t.another(spine.Config{MaxDepth: 30}, self) // who allows more may go on
	t.redrive(1, eventstore.ParkedFilter{})
	t.Drain(deeper)
	t.WantParked("self", "s-1@32!")
}

func stopsCommands(t *Trial) {
	var d cash
	again := On("again", "was put", func(_ context.Context, in spine.Input) (spine.Output, error) {
		e, err := t.Store.Encode(spine.Post(put{fmt.Sprint("e", N(in.Event)), 1}))
		return Out(e), err
	})
	sp := t.Spine(t.Store, spine.Config{MaxDepth: 20}, d.organ(t.Store), again)
	if _, err := sp.Post(t.Ctx, spine.WithID(uuid.New(), put{"a", 1})); err != nil {
		t.Fatal(err)
	}
	t.Drain(sp)
	if p := t.Parked(""); len(p) != 1 || !strings.Contains(p[0].Failures[0].Error, spine.ErrDepth.Error()) {
		t.Errorf("parked are %+v", p)
	}
	if n := len(t.Events(eventstore.OfType("put"))); n != 11 {
		t.Errorf("%d commands were made, want 11", n)
	}
}
