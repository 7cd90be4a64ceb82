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
		h.Patience = 300 * time.Millisecond
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
	eachLight(func(p promise, c check) {
		if r := record(t, func(tb testing.TB) { f.harness().try(tb, p, c) }); r.Failed() || r.skipped {
			t.Errorf("%s/%s was skipped: %t, and said:\n%s", p.name, c.name, r.skipped, r.says())
		}
	})
}

// eachLight visits all tests that take little time; backends/memory runs the others.
func eachLight(visit func(p promise, c check)) {
	for _, p := range suite() {
		for _, c := range p.checks {
			if !c.heavy {
				visit(p, c)
			}
		}
	}
}

// What a backend does not implement is skipped, unless it is required.
func TestAbsentCapabilitiesAreSkippedOrFail(t *testing.T) {
	t.Parallel()
	h := flaw{wrap: func(b *memory.Backend) eventstore.Backend { return struct{ eventstore.Backend }{b} }}.harness()
	eachLight(func(p promise, c check) {
		needs := append(slices.Clone(p.needs), c.needs...)
		for _, required := range [][]Capability{nil, Everything()} {
			h.Require = required
			r := record(t, func(tb testing.TB) { h.try(tb, p, c) })
			fails := len(needs) > 0 && required != nil
			if r.Failed() != fails || r.skipped != (len(needs) > 0 && !fails) {
				t.Errorf("%s/%s needs %v; with %v required it was skipped: %t, and said:\n%s", p.name, c.name, needs, required, r.skipped, r.says())
			}
			if fails && !strings.Contains(r.says(), "Require lists eventstore."+string(needs[0])) {
				t.Errorf("%s/%s needs %v and said:\n%s", p.name, c.name, needs, r.says())
			}
		}
	})
}

// The model and the linearizability check know nothing of the tests above, and catch what they catch.
func TestModelAndHistoriesCatchFlaws(t *testing.T) {
	t.Parallel()
	model, histories := modelled(), linearizable()
	for _, x := range []struct {
		p     promise
		c     check
		says  string
		flaws []string
	}{
		{model, model.checks[0], "broken promise: Model", []string{
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
			"a backend that keeps the first of what is parked twice",
			"a backend that does not mark what is redriven",
			"a backend that tells nobody of a redrive",
			"a backend that gives away what is paused",
			"a backend that does not fence who is paused",
			"a backend that hands a delivery to whoever comes",
			"a backend that hands out the latest first",
			"a backend that hands out at once what was returned",
			"a backend that hands out what is paused",
			"a backend that says nothing of attempts",
			"a backend that forgets why a delivery was returned",
			"a backend that counts in a window only what can be taken",
			"a backend that delivers again what is in the window",
			"a backend that forgets the attempt in an ack",
			"a backend that acks before it decides",
		}},
		{histories, histories.checks[0], "no order of these operations explains", []string{
			"a backend that lets two racers for a version win",
		}},
		{histories, histories.checks[1], "no order of these operations explains", []string{
			"a backend that lets two racers for a condition win",
			"a backend that shows an event later than its successor",
			"a connection that goes on with what it saw first",
		}},
	} {
		for _, name := range x.flaws {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				all := flaws()
				f := all[slices.IndexFunc(all, func(f flaw) bool { return f.name == name })]
				f.caught, f.says, f.racy = x.p.name+"/"+x.c.name, x.says, true // what is drawn at random may miss it
				f.try(t, x.p, x.c, true)
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
		Patience: 20 * time.Second,
	}
}
