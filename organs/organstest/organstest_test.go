package organstest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/organs/organstest"
	"github.com/necrostack/necrostack/spine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A bottle of so many glasses: poured by commands, refilled when water arrives.
type (
	Filled  struct{ Glasses int }
	Poured  struct{ Glasses int }
	Arrived struct{ Litres int }

	Pour  struct{ Glasses int }
	Shake struct{} // nobody decides it
	Age   struct{} // sets and stops timers
	Serve struct{ Guest string }
	Ran   struct{} // the handler runs out of ideas, for good

	Bottle struct {
		Glasses int
		last    eventstore.Position
		trouble error
	}
)

func (Filled) EventType() string  { return "filled" }
func (Poured) EventType() string  { return "poured" }
func (Arrived) EventType() string { return "arrived" }
func (Pour) CommandType() string  { return "pour" }
func (Pour) StreamID() string     { return "1" }
func (Shake) CommandType() string { return "shake" }
func (Shake) StreamID() string    { return "1" }
func (Age) CommandType() string   { return "age" }
func (Age) StreamID() string      { return "1" }
func (Serve) CommandType() string { return "serve" }
func (Serve) StreamID() string    { return "1" }
func (Ran) EventType() string     { return "ran out" }

var errEmpty = errors.New("the bottle is empty")

var (
	ripe   = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	timer  = organs.Timer{Owner: "bottle-1", Name: "ripe", Generation: 2}
	served = uuid.NewSHA1(uuid.NameSpaceURL, []byte("served"))
)

// aged is what Age leads to.
func aged() organs.Events {
	return organs.Events{
		organs.Stop(organs.Timer{Owner: "bottle-1", Name: "ripe", Generation: 1}), organs.Set(timer, ripe, Filled{1}), organs.At(ripe, Poured{1}),
		spine.Post(Serve{"ann"}), organs.At(ripe, spine.Post(spine.WithID(served, Serve{"bob"}))),
	}
}

var bottles = organs.Aggregate[Bottle]{
	Category: "bottle",
	Evolve: organs.Evolve[Bottle]{
		organs.On(func(b *Bottle, e eventstore.Recorded[Filled]) { b.Glasses, b.last = e.Payload.Glasses, e.Position }),
		organs.On(func(b *Bottle, e Poured) {
			if b.Glasses -= e.Glasses; b.Glasses == 0 {
				b.trouble = fmt.Errorf("poured out: %w", errEmpty)
			}
		}),
	},
	Decide: organs.Decide[Bottle]{
		organs.Handle(func(b Bottle, c Pour) (organs.Events, error) {
			switch {
			case c.Glasses == 0:
				return nil, nil
			case b.Glasses < c.Glasses:
				return nil, fmt.Errorf("%d glasses: %w", b.Glasses, errEmpty)
			}
			return organs.Events{Poured(c)}, nil
		}),
		organs.Handle(func(Bottle, Age) (organs.Events, error) { return aged(), nil }),
		organs.When(func(Ran) string { return "1" }, func(Bottle, Ran) (organs.Events, error) {
			return organs.Events{Poured{0}}, spine.Park(fmt.Errorf("for good: %w", errEmpty))
		}),
		organs.When(func(Arrived) string { return "1" }, func(_ Bottle, e Arrived) (organs.Events, error) {
			return organs.Events{Filled{4 * e.Litres}}, nil
		}),
	},
}

var waiter = organs.Reactor{
	Name: "waiter",
	On: organs.Reactions{organs.React(func(_ context.Context, e Poured) (organs.Events, error) {
		if e.Glasses > 3 {
			return nil, errEmpty
		}
		return organs.Events{eventstore.In("kitchen-1", Arrived{e.Glasses})}, nil
	})},
}

func TestWhatIsAsExpectedPasses(t *testing.T) {
	t.Parallel()
	organstest.Given(t, bottles, Filled{4}).When(Pour{3}).ThenState(Bottle{Glasses: 4, last: 1}).Then(Poured{3})
	organstest.Given(t, bottles, Filled{4}).When(&Pour{3}).Then(Poured{3})
	organstest.Given(t, bottles, Filled{4}, Poured{3}).When(Pour{3}).ThenError(errEmpty).ThenState(Bottle{Glasses: 1, last: 1})
	organstest.Given(t, bottles).When(Pour{}).Then()
	organstest.Given(t, bottles, Arrived{1}, Filled{4}).When(Pour{4}).ThenState(Bottle{Glasses: 4, last: 2}) // Arrived is passed over
	organstest.Given(t, bottles, Filled{1}, Poured{1}).When(Pour{}).ThenState(Bottle{last: 1, trouble: errEmpty})
	organstest.Given(t, bottles).WhenEvent(Arrived{2}).Then(Filled{8})
	organstest.React(t, waiter, Poured{2}).Then(eventstore.In("kitchen-1", Arrived{2}))
	organstest.React(t, waiter, Poured{4}).ThenError(errEmpty)
	organstest.Given(t, bottles).When(Pour{1}).ThenErrorText("0 glasses").ThenEvents()
	organstest.Given(t, bottles).WhenEvent(Ran{}).ThenParked().ThenError(errEmpty).ThenErrorText("for good").ThenEvents(Poured{0}).ThenState(Bottle{})
	organstest.Given(t, bottles).When(Age{}).Then(aged()...).ThenEvents(aged()...)
	organstest.React(t, waiter, Poured{4}).ThenErrorText("bottle").ThenEvents()
}

// A tab is decided from what a query selects.
var tab = organs.Decision[Bottle, Serve]{
	Category: "tab",
	Query: func(c Serve) eventstore.Query {
		return eventstore.WithTags("guest:" + c.Guest).Or(eventstore.InStream("tab-1"))
	},
	Start:  func(Serve) Bottle { return Bottle{Glasses: 10} },
	Evolve: organs.Evolve[Bottle]{organs.On(func(b *Bottle, e Poured) { b.Glasses -= e.Glasses })},
	Decide: func(b Bottle, _ Serve) (organs.Events, error) {
		if b.Glasses < 1 {
			return nil, errEmpty
		}
		return organs.Events{Poured{1}}, nil
	},
}

func TestDecisionsAreTriedLikeAggregates(t *testing.T) {
	t.Parallel()
	bob := eventstore.Draft{Payload: Poured{6}, Stream: "tab-2", Tags: []string{"guest:bob"}}
	for guest, glasses := range map[string]int{"ann": 7, "bob": 1} { // what is in its own stream, or about the guest
		organstest.Given(t, tab, Poured{3}, bob, eventstore.In("tab-3", Poured{100}), Filled{100}).
			When(Serve{guest}).ThenState(Bottle{Glasses: glasses}).Then(Poured{1})
	}
	organstest.Given(t, tab, Poured{10}).When(&Serve{"ann"}).ThenError(errEmpty)
	organstest.Given(t, tab).When(spine.WithID(served, Serve{"ann"})).Then(Poured{1})
	organstest.Given(t, tab).When(Pour{}).ThenErrorText("serve does not decide pour")
	organstest.Given(t, tab).WhenEvent(Arrived{}).ThenErrorText("serve does not decide arrived")
	organstest.Given(t, tab).When(nil).ThenErrorText("a <nil> is neither a command nor an event")
	organstest.Given(t, organs.Decision[Bottle, Serve]{}).When(Serve{}).ThenErrorText("decision has a nil Query")
	zero := tab
	zero.Query = func(Serve) eventstore.Query { return eventstore.Query{} }
	organstest.Given(t, zero).When(Serve{}).ThenErrorText("query of serve is zero").ThenParked()
}

func TestFailuresSayWhatWasWantedAndWhatCame(t *testing.T) {
	t.Parallel()
	errOther := errors.New("some other reason")
	cases := map[string]struct {
		test func(t testing.TB)
		want []string // all of them, in this order
	}{
		"other events": {
			func(t testing.TB) { organstest.Given(t, bottles, Filled{4}).When(Pour{3}).Then(Poured{2}) },
			[]string{"when organstest_test.Pour{Glasses:3}: events (-want +got):", "-", "Glasses: 2", "+", "Glasses: 3"},
		},
		"events, and none wanted": {
			func(t testing.TB) { organstest.Given(t, bottles, Filled{4}).When(Pour{3}).Then() },
			[]string{"when organstest_test.Pour{Glasses:3}: events (-want +got):", "+", "Poured{Glasses: 3}"},
		},
		"no events, and some wanted": {
			func(t testing.TB) { organstest.Given(t, bottles).When(Pour{}).Then(Poured{1}) },
			[]string{"events (-want +got):", "-", "Poured{Glasses: 1}"},
		},
		"an error, and events wanted": {
			func(t testing.TB) { organstest.Given(t, bottles).When(Pour{1}).Then(Poured{1}, Filled{4}) },
			[]string{
				"when organstest_test.Pour{Glasses:1}: failed: 0 glasses: the bottle is empty\nwant events:",
				"\n  organstest_test.Poured{Glasses:1}\n  organstest_test.Filled{Glasses:4}",
			},
		},
		"an error, and nothing wanted": {
			func(t testing.TB) { organstest.Given(t, bottles).When(Pour{1}).Then() },
			[]string{"failed: 0 glasses: the bottle is empty\nwant events: none"},
		},
		"another error": {
			func(t testing.TB) { organstest.Given(t, bottles).When(Pour{1}).ThenError(errOther) },
			[]string{`when organstest_test.Pour{Glasses:1}: want error "some other reason", got "0 glasses: the bottle is empty"`},
		},
		"events, and an error wanted": {
			func(t testing.TB) { organstest.Given(t, bottles, Filled{4}).When(Pour{1}).ThenError(errEmpty) },
			[]string{`want error "the bottle is empty", got events:` + "\n  organstest_test.Poured{Glasses:1}"},
		},
		"nothing, and an error wanted": {
			func(t testing.TB) { organstest.Given(t, bottles).When(Pour{}).ThenError(errEmpty) },
			[]string{`want error "the bottle is empty", got events: none`},
		},
		"another state": {
			func(t testing.TB) {
				organstest.Given(t, bottles, Filled{4}).When(Pour{1}).ThenState(Bottle{Glasses: 4, last: 7})
			},
			[]string{"when organstest_test.Pour{Glasses:1}: state (-want +got):", "-", "last:", "7", "+", "last:", "1"},
		},
		"a command that nobody decides": {
			func(t testing.TB) { organstest.Given(t, bottles).When(Shake{}).Then() },
			[]string{"when organstest_test.Shake{}: failed: bottle does not decide shake"},
		},
		"an event that nobody decides": {
			func(t testing.TB) { organstest.Given(t, bottles).WhenEvent(Poured{1}).Then() },
			[]string{"failed: bottle does not decide poured"},
		},
		"no command at all": {
			func(t testing.TB) { organstest.Given(t, bottles).When(nil).Then() },
			[]string{"failed: a <nil> is neither a command nor an event"},
		},
		"an event that nobody reacts to": {
			func(t testing.TB) { organstest.React(t, waiter, Filled{1}).Then() },
			[]string{"when organstest_test.Filled{Glasses:1}: failed: waiter has no reaction to filled"},
		},
		"an error, and none wanted by its text": {
			func(t testing.TB) { organstest.Given(t, bottles).When(Pour{}).ThenErrorText("glasses") },
			[]string{`when organstest_test.Pour{Glasses:0}: want an error with "glasses", got events: none`},
		},
		"an error with another text": {
			func(t testing.TB) { organstest.Given(t, bottles).When(Pour{1}).ThenErrorText("7 glasses") },
			[]string{`want an error with "7 glasses", got "0 glasses: the bottle is empty"`},
		},
		"an error that is not final": {
			func(t testing.TB) { organstest.React(t, waiter, Poured{4}).ThenParked() },
			[]string{`want an error made by spine.Park, got one to be tried again: "the bottle is empty"`},
		},
		"no error, and a final one wanted": {
			func(t testing.TB) { organstest.Given(t, bottles, Filled{1}).When(Pour{1}).ThenParked() },
			[]string{"want an error made by spine.Park, got events:\n  organstest_test.Poured{Glasses:1}"},
		},
		"other events with the error": {
			func(t testing.TB) { organstest.Given(t, bottles).WhenEvent(Ran{}).ThenParked().ThenEvents(Poured{1}) },
			[]string{"when organstest_test.Ran{}: events (-want +got):", "-", "Poured{Glasses: 1}", "+", "Poured{}"},
		},
		"another generation of a timer": {
			func(t testing.TB) {
				want := aged()
				want[1] = organs.Set(organs.Timer{Owner: "bottle-1", Name: "ripe", Generation: 3}, ripe, Filled{1})
				organstest.Given(t, bottles).When(Age{}).Then(want...)
			},
			[]string{"events (-want +got):", "-", "Generation: 3", "+", "Generation: 2"},
		},
		"another due time": {
			func(t testing.TB) {
				want := aged()
				want[2] = organs.At(ripe.Add(time.Hour), Poured{1})
				organstest.Given(t, bottles).When(Age{}).Then(want...)
			},
			[]string{"events (-want +got):", "-", "2030-01-02 04:04:05", "+", "2030-01-02 03:04:05"},
		},
		"a timer that is missing": {
			func(t testing.TB) { organstest.Given(t, bottles).When(Age{}).Then(aged()[1:]...) },
			[]string{"events (-want +got):", "+", `stop "ripe" #1 of bottle-1`},
		},
		"another command": {
			func(t testing.TB) {
				want := aged()
				want[3] = spine.Post(Serve{"eve"})
				organstest.Given(t, bottles).When(Age{}).Then(want...)
			},
			[]string{"events (-want +got):", "-", `Guest: "eve"`, "+", `Guest: "ann"`},
		},
		"a command with another id of its own": {
			func(t testing.TB) {
				want := aged()
				want[4] = organs.At(ripe, spine.Post(spine.WithID(timer.ID(), Serve{"bob"})))
				organstest.Given(t, bottles).When(Age{}).Then(want...)
			},
			[]string{"events (-want +got):", "-", timer.ID().String(), "+", served.String()},
		},
		"timers, and an error": {
			func(t testing.TB) { organstest.Given(t, bottles).When(Pour{1}).Then(aged()[:3]...) },
			[]string{
				"\n  stop \"ripe\" #1 of bottle-1\n  set \"ripe\" #2 of bottle-1 at 2030-01-02T03:04:05Z: organstest_test.Filled{Glasses:1}",
				"\n  at 2030-01-02T03:04:05Z: organstest_test.Poured{Glasses:1}",
			},
		},
		"a state that a snapshot would not keep": {
			func(t testing.TB) {
				lossy := organs.Aggregate[map[string]any]{
					Category: "bottle", Snapshot: organs.Snapshot{Every: 1},
					Evolve: organs.Evolve[map[string]any]{organs.On(func(m *map[string]any, e Filled) { *m = map[string]any{"n": e.Glasses} })},
					Decide: organs.Decide[map[string]any]{organs.Handle(func(map[string]any, Pour) (organs.Events, error) { return nil, nil })},
				}
				organstest.Given(t, lossy).When(Pour{}).Then() // nothing is lost of the zero state
				organstest.Given(t, lossy, Filled{1}).When(Pour{}).Then()
			},
			[]string{"when organstest_test.Pour{Glasses:0}: state: snapshot of map[string]interface {}: JSON does not keep it", "[n] was 1"},
		},
		"an event for another stream": {
			func(t testing.TB) { organstest.React(t, waiter, Poured{2}).Then(Arrived{2}) },
			[]string{"when organstest_test.Poured{Glasses:2}: events (-want +got):", "kitchen-1"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := record(t, c.test)
			if len(got.errors) != 1 || got.fatal {
				t.Fatalf("%d failures, fatal %t: %q", len(got.errors), got.fatal, got.errors)
			}
			text := strings.ReplaceAll(got.errors[0], "\u00a0", " ") // go-cmp varies its spaces
			rest := text
			for _, want := range c.want {
				var found bool
				if _, rest, found = strings.Cut(rest, want); !found {
					t.Fatalf("failure lacks %q, in the order of %q:\n%s", want, c.want, text)
				}
			}
			if got.blamed != "" {
				t.Errorf("the failure is put down to %s, not to the line of the test", got.blamed)
			}
		})
	}
}

func TestHistoryThatCannotBeIsFatal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		test func(t testing.TB)
		want string
	}{
		"given nil":    {func(t testing.TB) { organstest.Given(t, bottles, Filled{1}, nil) }, "given event 2: encode event: payload is nil"},
		"react to nil": {func(t testing.TB) { organstest.React(t, waiter, nil) }, "when event: encode event: payload is nil"},
	} {
		if got := record(t, c.test); !got.fatal || len(got.errors) != 1 || got.errors[0] != c.want {
			t.Errorf("%s: fatal %t: %q, want %q", name, got.fatal, got.errors, c.want)
		}
	}
}

// A case with a history of ten events takes microseconds.
func BenchmarkCase(b *testing.B) {
	history := []eventstore.Payload{Filled{100}}
	for range 9 {
		history = append(history, Poured{1})
	}
	for b.Loop() {
		organstest.Given(b, bottles, history...).When(Pour{3}).ThenState(Bottle{Glasses: 91, last: 1}).Then(Poured{3})
	}
	if each := b.Elapsed() / time.Duration(b.N); each > time.Millisecond {
		b.Errorf("a case takes %s, more than 1ms", each)
	}
}
