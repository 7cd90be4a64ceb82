package organstest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/organs/organstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A bottle of so many glasses: poured by commands, refilled when water arrives.
type (
	Filled  struct{ Glasses int }
	Poured  struct{ Glasses int }
	Arrived struct{ Litres int }

	Pour  struct{ Glasses int }
	Shake struct{} // nobody decides it

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

var errEmpty = errors.New("the bottle is empty")

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

// recorder is a testing.TB that keeps what it is told.
type recorder struct {
	testing.TB
	errors  []string
	fatal   bool
	helpers map[string]bool // functions that said they are
	blamed  string          // a function that failed the test and is none
}

func (r *recorder) Helper() {
	if r.helpers == nil {
		r.helpers = map[string]bool{}
	}
	r.helpers[caller()] = true
}

func (r *recorder) Errorf(format string, args ...any) {
	if f := caller(); !r.helpers[f] {
		r.blamed = f
	}
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
	r.fatal = true
	panic(stop{})
}

// caller is the function that called the method of recorder that calls it.
func caller() string {
	pc, _, _, _ := runtime.Caller(2)
	return runtime.FuncForPC(pc).Name()
}

type stop struct{}

// record runs a test and returns what it came to.
func record(t *testing.T, test func(t testing.TB)) *recorder {
	t.Helper()
	r := &recorder{TB: t}
	func() {
		defer func() {
			if p := recover(); p != nil && p != (stop{}) {
				panic(p)
			}
		}()
		test(r)
	}()
	return r
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
