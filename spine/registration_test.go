package spine_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
	"github.com/necrostack/necrostack/spine/spinetest"
)

func decides(name string, commands ...string) spinetest.Organ {
	o := spinetest.Organ{Wiring: spine.Wiring{Name: name}}
	for _, c := range commands {
		o.Decides = append(o.Decides, spine.CommandHandler{Type: c, Decide: func(context.Context, spine.Request) (spine.Output, error) {
			return spine.Output{}, nil
		}})
	}
	return o
}

func listens(name string, types ...string) spinetest.Organ {
	o := spinetest.On(name, "", spinetest.Ignore)
	o.Listens = eventstore.OfType(types...)
	return o
}

// plain is a backend without any optional interface.
type plain struct{ eventstore.Backend }

func TestRegistrationReportsAllFaultsAtOnceAndNamesThem(t *testing.T) {
	t.Parallel()
	bad := listens("bad policy", "in")
	bad.Policy = spine.Policy{
		Partitions: 1025, OnError: 9, OnCommitError: 9, Deadline: -1, Retry: spine.Retry{Attempts: -1, Base: time.Minute},
	}
	deaf := spinetest.Organ{Wiring: spine.Wiring{Name: "deaf", Listens: eventstore.OfType("in")}}
	empty := decides("empty", "c9")
	empty.Decides[0].Decide = nil
	faulty := listens("faulty", "in")
	faulty.Fault = context.DeadlineExceeded
	cfg := spine.Config{Lease: -1, Observers: []spine.Observer{nil}, Policy: spine.Policy{Partitions: -3}}
	_, err := spine.New(memory.Open(memory.Config{}), cfg,
		listens("one", "in"), listens("one", "other"), spinetest.Organ{Wiring: spine.Wiring{Name: "idle"}}, nil, (*spinetest.Organ)(nil),
		listens("", "in"), listens(strings.Repeat("x", 256), "in"), decides("first", "c1"), decides("second", "c1"), decides("both", "in"),
		decides("nameless", ""), deaf, empty, bad, faulty, listens("query", " spaced "),
	)
	if err == nil {
		t.Fatal("all of it was accepted")
	}
	for _, want := range []string{
		`organ "one": the name is used twice`, `organ "idle": listens to nothing and decides nothing`, "organ 4 is nil", "organ 5 is nil",
		"organ 6 (spinetest.Organ): name is empty", "organ 7 (spinetest.Organ): name ", "256 bytes",
		`organ "second": command c1 is decided by organ "first" already`, `"in" is a command that organ "both" decides and an event`,
		`organ "nameless": command type is empty`, `organ "deaf": listens but handles nothing`, `organ "empty": command c9 has no handler`,
		`Partitions is 1025`, "OnError is 9", "OnCommitError is 9", "Deadline is negative", "Retry.Attempts is -1", "Retry.Base is 1m0s",
		`organ "faulty": context deadline exceeded`, `organ "query": query item 1: type " spaced " has space`,
		"config: Lease, Grace, Conflicts, Abandoned, MaxDepth and Spill.Most must not be negative", "config: observer 1 is nil", "Partitions is -3",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing says %s in\n%v", want, err)
		}
	}
}

func TestOrgansThatComeWithAnotherAreTakenInAndCirclesOfThoseThatWaitAreNamed(t *testing.T) {
	t.Parallel()
	waits := func(name, command string, awaits ...string) spinetest.Organ {
		o := decides(name, command)
		o.Sends, o.Awaits = awaits, awaits
		return o
	}
	inner := waits("inner", "c3", "c1")
	outer := waits("outer", "c1", "c2", "c4")
	outer.With = []spine.Organ{waits("middle", "c2", "c3"), inner, waits("leaf", "c4")}
	_, err := spine.New(memory.Open(memory.Config{}), spine.Config{}, outer, waits("before", "c5", "c1"))
	if want := "new spine: organs wait for each other in a circle: outer → middle → inner → outer"; err == nil || strings.ReplaceAll(err.Error(), "inner → outer → middle → inner", "outer → middle → inner → outer") != want {
		t.Errorf("a circle: %v, want %s", err, want)
	}
	outer.With = []spine.Organ{waits("middle", "c2"), waits("leaf", "c4")}
	if _, err := spine.New(memory.Open(memory.Config{}), spine.Config{}, outer, waits("before", "c5", "c1")); err != nil {
		t.Error(err)
	}
}

func TestRegistrationKnowsWhatTheBackendLacks(t *testing.T) {
	t.Parallel()
	st := eventstore.New(plain{memory.New()}, eventstore.Config{MaxData: -1})
	_, err := spine.New(st, spine.Config{}, listens("one", "in"), decides("two", "c"))
	for _, want := range []string{
		`organ "one": backend spine_test.plain keeps no consumers`, `organ "one": backend spine_test.plain keeps no parked events, which its OnError needs`,
		"store config has a negative limit",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("nothing says %s in\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), `"two"`) {
		t.Errorf("an organ that only decides needs nothing special: %v", err)
	}
	if _, err := spine.New(nil, spine.Config{}); err == nil {
		t.Error("no store was accepted")
	}
}

// follower is a backend of another store's events.
type follower struct{ spinetest.Backend }

func (follower) Follows() {}

func TestWhatPutsEventsIntoTheLogIsRefusedWhereThereIsNone(t *testing.T) {
	t.Parallel()
	st := eventstore.New(follower{memory.New()}, eventstore.Config{})
	reactor, sender := listens("reactor", "in"), listens("sender", "in")
	reactor.Emits, sender.Sends = true, []string{"c2"}
	_, err := spine.New(st, spine.Config{Elsewhere: []string{"c2"}}, reactor, sender, decides("decider", "c1"))
	if err == nil {
		t.Fatal("all of it was accepted")
	}
	for _, want := range []string{`"reactor": emits events`, `"decider": decides command c1`, `"sender": sends command c2`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing says %s in\n%v", want, err)
		}
	}
	if _, err := spine.New(st, spine.Config{}, listens("view", "in")); err != nil {
		t.Error(err)
	}
}

func TestNewDoesNoIO(t *testing.T) {
	t.Parallel()
	tap := spinetest.NewTap(memory.New())
	cfg := spine.Config{Logger: slog.New(slog.DiscardHandler)}
	if _, err := spine.New(eventstore.New(tap, eventstore.Config{}), cfg, listens("one", "in"), decides("two", "c")); err != nil {
		t.Fatal(err)
	}
	if n := tap.Calls.Load(); n != 0 {
		t.Errorf("New called the backend %d times", n)
	}
}
