package storetest

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// The model check is made to fail here, and needs no smallest example then.
	for name, value := range map[string]string{"rapid.nofailfile": "true", "rapid.shrinktime": "50ms"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		println(err.Error())
		code = 1
	}
	os.Exit(code)
}

// Every flawed backend must be caught by the test of the promise that it breaks, for that reason, and must
// pass all others but those that rest on the same promise.
func TestFlawedBackendsAreCaught(t *testing.T) {
	t.Parallel()
	for _, f := range flaws() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			left := append([]string{f.caught}, f.also...)
			for _, p := range suite() {
				for _, c := range p.checks {
					name := p.name + "/" + c.name
					fails := slices.Contains(left, name)
					left = slices.DeleteFunc(left, func(s string) bool { return s == name })
					if fails || !c.heavy && !f.broad && !slices.Contains(f.may, name) {
						f.try(t, p, c, fails)
					}
				}
			}
			if len(left) > 0 {
				t.Errorf("there are no tests %q", left)
			}
		})
	}
}

// try runs one check, which must fail or must not.
func (f flaw) try(t *testing.T, p promise, c check, fails bool) {
	t.Helper()
	h, tries := f.harness(), 1
	if fails && f.hangs {
		h.patience = 300 * time.Millisecond
	}
	if fails && f.racy {
		tries = 20
	}
	name := p.name + "/" + c.name
	var r *recorder
	for range tries {
		if r = record(t, func(tb testing.TB) { h.try(tb, p, c) }); r.Failed() {
			break
		}
	}
	switch {
	case fails && !r.Failed():
		t.Errorf("%s was not noticed by %s", f.name, name)
	case !fails && r.Failed():
		t.Errorf("%s was noticed also by %s:\n%s", f.name, name, r.says())
	case name == f.caught && !strings.Contains(r.says(), f.says):
		t.Errorf("%s was noticed by %s for another reason:\n%s", f.name, name, r.says())
	case name == f.caught && (!strings.Contains(r.says(), "broken promise: "+p.name+" ("+p.says+")") || !strings.Contains(r.says(), "not true: "+c.name)):
		t.Errorf("%s was noticed by %s, which does not say what it means:\n%s", f.name, name, r.says())
	}
}

// The same suite finds nothing to say against the reference.
func TestNothingIsSaidAgainstTheReference(t *testing.T) {
	t.Parallel()
	f := flaw{wrap: func(b *memory.Backend) eventstore.Backend { return b }}
	for _, p := range suite() {
		for _, c := range p.checks {
			if c.heavy {
				continue // backends/memory runs all of them
			}
			if r := record(t, func(tb testing.TB) { f.harness().try(tb, p, c) }); r.Failed() {
				t.Errorf("%s/%s:\n%s", p.name, c.name, r.says())
			}
		}
	}
}

// The model and the linearizability check know nothing of the tests above, and catch what they catch.
func TestModelAndHistoriesCatchFlaws(t *testing.T) {
	t.Parallel()
	for says, names := range map[string][]string{
		"broken promise: Model": {
			"a backend that forgets what a commit sent again came to",
			"a backend that reports versions as if each append were alone",
			"a backend that lets an id be used for another event",
			"a backend that forgets the epoch",
			"a backend that takes a checkpoint from anywhere",
			"a backend that lets an entry be taken back twice",
			"a backend that checks only the first condition",
			"a backend that ignores UpTo",
			"a backend that loses a tag",
			"a backend that reverses the appends of a commit",
			"a backend that does not cancel",
			"a backend that fires the latest first",
			"a backend that lends one partition to two",
		},
		"no order of these operations explains": {
			"a backend that lets two racers for a version win",
			"a backend that lets two racers for a condition win",
			"a backend that shows an event later than its successor",
			"a connection that goes on with what it saw first",
		},
	} {
		for _, name := range names {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := modelled()
				if !strings.Contains(says, p.name) {
					p = linearizable()
				}
				all := flaws()
				f := all[slices.IndexFunc(all, func(f flaw) bool { return f.name == name })]
				f.says, f.racy = says, true // what is drawn at random may miss it now and then
				c := p.checks[len(p.checks)-1]
				if f.name == "a backend that lets two racers for a version win" {
					c = p.checks[0]
				}
				f.caught = p.name + "/" + c.name
				f.try(t, p, c, true)
			})
		}
	}
}

// flaw is a backend that breaks a promise.
type flaw struct {
	name   string
	caught string   // the test that must fail
	says   string   // what it must say
	also   []string // other tests that must fail, because they rest on the same
	may    []string // tests that rest on the same, and fail now and then
	racy   bool     // it does not show every time
	hangs  bool     // it shows by hanging
	broad  bool     // nearly everything rests on it, so the other tests do not matter

	wrap func(b *memory.Backend) eventstore.Backend // called once for a log
}

func (f flaw) harness() Harness {
	return Harness{
		Open: func(testing.TB) func() eventstore.Backend {
			b := f.wrap(memory.New())
			if c, ok := b.(interface{ connect() eventstore.Backend }); ok {
				return c.connect
			}
			return func() eventstore.Backend { return b }
		},
		Require:  Everything(),
		patience: 20 * time.Second,
	}
}
