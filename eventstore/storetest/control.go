package storetest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/necrostack/necrostack/eventstore"
)

func control() promise {
	return promise{
		name:  "Control",
		says:  "operators stop consumers and move them, in every process and at once",
		needs: []Capability{Leaser, Controller},
		checks: []check{
			{name: "all consumers are listed by name as they are defined", run: listConsumers},
			{name: "a pause fences every owner and keeps positions", run: pauseFences},
			{name: "a paused consumer is given to nobody until it is resumed", run: pauseClaim},
			{name: "to pause what is paused or to resume what runs changes nothing", run: pauseTwice},
			{name: "a reset moves all partitions and fences every owner", run: resetMoves},
			{name: "a reset forgets the entries after its position, and no others", needs: []Capability{Parker}, run: resetParked},
			{name: "a reset forgets the deliveries after its position, and no others", needs: []Capability{Deliverer}, run: resetDeliveries},
			{name: "a paused consumer that is reset stays paused", run: resetPaused},
			{name: "a definition outlives a pause and a reset", run: controlKeepsDefinition},
			{name: "what nobody defined can be neither paused nor reset", run: controlUnknown},
			{name: "changing the list of consumers changes nothing stored", run: changeConsumers},
		},
	}
}

func (t *trial) controller(s *eventstore.Store) eventstore.Controller {
	return s.Backend().(eventstore.Controller)
}

func (t *trial) listed(s *eventstore.Store) []eventstore.Consumer {
	t.Helper()
	all, err := t.controller(s).Consumers(t.ctx)
	t.need(err, "list the consumers")
	return all
}

func (t *trial) pause(s *eventstore.Store, consumer string, paused bool) {
	t.Helper()
	t.need(t.controller(s).Pause(t.ctx, consumer, paused), "pause %s: %t", consumer, paused)
}

func (t *trial) reset(s *eventstore.Store, consumer string, to eventstore.Position) {
	t.Helper()
	t.need(t.controller(s).Reset(t.ctx, consumer, to), "reset %s to %d", consumer, to)
}

func listConsumers(t *trial) {
	if got := t.listed(t.store); len(got) > 0 {
		t.broken("nobody has defined a consumer, and listed are %+v", got)
	}
	names := []string{"b", "a", "B", "b2", "b 1", "ä", "a-1", "Z"}
	want := make([]string, len(names))
	sorted := slices.Sorted(slices.Values(names))
	for i, name := range names {
		c := wholly(name)
		c.Keys = i
		defined := t.defineAs(t.store, c)
		if i == 2 {
			defined = t.redefined(t.store, defined)
		}
		want[slices.Index(sorted, name)] = showConsumer(defined)
	}
	var got []string
	for _, c := range t.listed(t.another()) {
		got = append(got, showConsumer(c))
	}
	if !slices.Equal(got, want) {
		t.broken("defined were %q; listed are\n\t%q, not\n\t%q", names, got, want)
	}
}

func pauseFences(t *trial) {
	other := t.another()
	l := t.claim(t.store, "owner", "paused", 2)
	t.movedTo(l, 3, 8)
	t.claim(t.store, "bystander", "working", 1)
	working := t.standing("working")
	t.pause(other, "paused", true)
	for _, s := range []*eventstore.Store{t.store, other} {
		if r := t.roster(s, "paused"); !r.Paused {
			t.broken("a consumer was paused, and its roster is %+v", r)
		}
	}
	t.fencedAll(l)
	t.stands("paused", 3, 8)
	if r := t.renew(t.store, "owner", "paused", long); !r.Paused || r.Partitions[0].Owner != "" {
		t.broken("a consumer was paused, and who renews is told %+v", r)
	}
	if now := t.standing("working"); now != working {
		t.broken("another consumer was paused, and this one went from\n\t%s to\n\t%s", working, now)
	}
	t.pause(t.store, "paused", false)
	t.fencedAll(l)
	t.stands("paused", 3, 8)
	if r := t.roster(other, "paused"); r.Paused {
		t.broken("a consumer was resumed, and its roster is %+v", r)
	}
}

func pauseClaim(t *trial) {
	other := t.another()
	t.define(t.store, "paused", 2)
	t.renew(t.store, "adam", "paused", long)
	first := t.claimSome(t.store, "adam", "paused", 0)
	t.pause(t.store, "paused", true)
	t.renew(other, "zoe", "paused", long)
	for member, s := range map[string]*eventstore.Store{"adam": t.store, "zoe": other} {
		got, err := t.leaser(s).Claim(t.ctx, member, "paused", 1, []int{0, 1})
		if !errors.Is(err, eventstore.ErrFenced) || len(got) > 0 {
			t.broken("a claim of a paused consumer came to %+v, %v; it must fail with %q", got, err, eventstore.ErrFenced)
		}
	}
	t.need(t.leaser(t.store).Release(t.ctx, "adam", first), "release what a pause has taken")
	t.pause(other, "paused", false)
	got := t.claimSome(other, "zoe", "paused", 0, 1)
	if len(got) != 2 || got[0].Epoch <= first[0].Epoch {
		t.broken("a consumer was resumed that was owned under epoch %d, and a claim of both partitions gave %+v", first[0].Epoch, got)
	}
}

func pauseTwice(t *trial) {
	t.define(t.store, "paused", 1)
	t.pause(t.store, "paused", false)
	l := t.claim(t.store, "owner", "paused", 1)
	running := t.standing("paused")
	t.pause(t.another(), "paused", false)
	if now := t.standing("paused"); now != running {
		t.broken("a consumer that ran was resumed, and went from\n\t%s to\n\t%s", running, now)
	}
	t.movedTo(l, 2)
	t.pause(t.store, "paused", true)
	paused := t.standing("paused")
	t.pause(t.another(), "paused", true)
	if now := t.standing("paused"); now != paused {
		t.broken("a consumer that was paused was paused again, and went from\n\t%s to\n\t%s", paused, now)
	}
	t.pause(t.store, "paused", false)
	if r := t.roster(t.store, "paused"); r.Paused {
		t.broken("a consumer was paused twice and resumed, and its roster is %+v", r)
	}
}

func controlKeepsDefinition(t *trial) {
	want := showConsumer(t.defineAs(t.store, wholly("kept")))
	for what, do := range map[string]func(){
		"pause": func() { t.pause(t.store, "kept", true) }, "resume": func() { t.pause(t.store, "kept", false) }, "reset": func() { t.reset(t.store, "kept", 5) },
	} {
		do()
		if got := showConsumer(t.defined(t.another(), "kept")); got != want {
			t.broken("a %s has made of\n\t%s\n\t%s", what, want, got)
		}
		if r := t.roster(t.store, "kept"); r.Generation != 1 || !r.Competing {
			t.broken("a %s has left the roster %+v of %s", what, r, want)
		}
	}
}

func controlUnknown(t *trial) {
	t.define(t.store, "known", 1)
	before := t.dump(t.store)
	for _, name := range []string{"unheard of", "Known", ""} {
		for what, err := range map[string]error{
			"pause":  t.controller(t.store).Pause(t.ctx, name, true),
			"resume": t.controller(t.store).Pause(t.ctx, name, false),
			"reset":  t.controller(t.store).Reset(t.ctx, name, 0),
		} {
			if !errors.Is(err, eventstore.ErrInvalid) {
				t.broken("nobody defined %q, and to %s it came to %v, not %q", name, what, err, eventstore.ErrInvalid)
			}
		}
		if r := t.roster(t.store, name); len(r.Partitions) > 0 {
			t.broken("nobody defined %q, and its roster is %+v", name, r)
		}
	}
	if after := t.dump(t.store); after != before {
		t.broken("what was refused has changed something:\n%s", difference(before, after))
	}
}

func changeConsumers(t *trial) {
	t.defineAs(t.store, wholly("kept"))
	want := fmt.Sprint(t.listed(t.store))
	list := t.listed(t.store)
	list[0].Listens[0], list[0].Former[0], list[0].Name = "spoilt", "spoilt", "spoilt"
	if got := fmt.Sprint(t.listed(t.store)); got != want {
		t.broken("the list of consumers was changed where it was returned, and it is now\n\t%s, not\n\t%s", got, want)
	}
}
