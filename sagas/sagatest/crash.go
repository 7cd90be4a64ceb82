package sagatest

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

// Scenario is something that whole organs do together, sagas and their participants, on a log in memory.
type Scenario struct {
	// Organs are what runs. They are attached anew in each run, and after each crash.
	Organs []spine.Organ

	// Fresh, in place of Organs, makes the organs of each run: for those that call services which remember something, such
	// as how often they were called. What it makes outlives the crashes of its run, as such services do, and may be called
	// from several goroutines at once.
	Fresh func() []spine.Organ

	// Play has it begin: it sends commands and emits events. Nothing runs while it does; sp.Drain has done what there is
	// to do, and time.Sleep lets time pass. If a crash comes meanwhile, it is played again from its beginning, as a client
	// would do who got no answer: what is to happen once needs an id, by spine.WithID or in an eventstore.Draft. A
	// *spine.RejectedError of the repetition is what such a client may get, and no failure.
	Play func(ctx context.Context, sp *spine.Spine) error

	// Result says how a run has ended: whatever is to be the same with faults and without, and so nothing that holds
	// positions, times or random ids.
	Result func(ctx context.Context, st *eventstore.Store) (any, error)

	// Outcomes are other results that are acceptable: those of runs without faults in which things come in another
	// order. Defaults to none
	Outcomes []any

	Config spine.Config      // of the Spine. Its Lease, Grace and Logger are the harness's, and one partition is the default
	Store  eventstore.Config // of the log
	For    time.Duration     // how long to follow what goes on without end. Defaults to a year
	Pairs  int               // at most so many pairs of crashes. Defaults to 400
	Late   int               // at most so many late deliveries. Defaults to 400
}

// CrashEverywhere plays a scenario without faults, and then again and again with faults, on a virtual clock:
//
//   - a crash at every commit, once before it is written, and once after it was written but before anybody is told of it;
//   - crashes at two commits, for all pairs of them, or, if there are more than Scenario.Pairs, for a sample that is spread
//     evenly over the list of all, so that it is the same each time;
//   - what was delivered comes again: after a crash at each commit, each saga takes up all that ever was delivered to it once
//     more, and each command and request for a call stands in the log twice;
//   - what is to be delivered comes late: at each commit, each consumer is held back in turn, until all others have done
//     what there is to do, until the next timer has fired, or until no timer is left; likewise a sample of Scenario.Late.
//
// A crash is the end of the process: nothing that it does any more reaches the log. Another one goes on with the same log, once
// the leases of the first have run out. A commit is whatever is written as one, but for what only says how far
// somebody has read.
//
// Each run goes on until nothing is left to do, however long that is, and must end like some run without faults: its Result is
// compared. That does not hold where a timer has fired for what came late, for what is late may be timed out. But of all
// runs, and of the log at each crash, CrashEverywhere also wants this, for every instance of every saga:
//
//   - no command is decided twice, none is lost, and none is decided after another one has revoked it;
//   - an instance begins once, ends once, and nothing happens to it after that;
//   - once it is compensated or cancelled, each step that succeeded, or whose outcome is unknown, was undone exactly once;
//   - nothing is undone after the pivot;
//   - no timer of a process fires, and nothing is tried again, before its time;
//   - what has not ended has something that will wake it, unless it waits for an operator;
//   - no event is parked, unless one is without faults, too.
//
// It logs how many runs of each kind there were. It must not be called from within a synctest bubble.
func CrashEverywhere(t *testing.T, s Scenario) {
	t.Helper()
	r := explore(t, s)
	for _, fault := range r.faults {
		t.Error(fault)
	}
	t.Log(r)
}

// report is what came of a scenario.
type report struct {
	points, consumers, singles, pairs, allPairs, again, late, allLate int

	faults []string
}

func (r *report) String() string {
	return fmt.Sprintf("commit points: %d, crashes: %d, pairs: %d of %d, delivered again: %d, delivered late: %d of %d",
		r.points, r.singles, r.pairs, r.allPairs, r.again, r.late, r.allLate)
}

// mostFaults is how many runs may fail before the rest is given up.
const mostFaults = 3

// explorer plays a scenario in all ways.
type explorer struct {
	Scenario

	t      *testing.T
	report *report
	good   []any // results of runs without faults
	parked int   // how many entries there are without faults, at most
}

// explore plays a scenario in all ways, until too much has failed.
func explore(t *testing.T, s Scenario) *report {
	t.Helper()
	e := &explorer{Scenario: s, t: t, report: &report{}, good: s.Outcomes}
	if s.Play == nil || s.Result == nil || s.Organs == nil && s.Fresh == nil {
		e.report.faults = append(e.report.faults, "scenario: Play, Result and one of Organs and Fresh are required")
		return e.report
	}
	if e.For == 0 {
		e.For = 365 * 24 * time.Hour
	}
	e.Pairs, e.Late = cmp.Or(e.Pairs, 400), cmp.Or(e.Late, 400)
	if e.faultless() {
		e.crashes()
		e.doubled()
		e.delayed()
	}
	return e.report
}

// faultless plays without faults, a few times, and learns how the scenario may end.
func (e *explorer) faultless() bool {
	for range 3 {
		o := e.play(plan{})
		if len(o.faults) > 0 {
			e.fail("without faults", o)
			return false
		}
		e.report.points = max(e.report.points, o.points)
		e.report.consumers = max(e.report.consumers, o.consumers)
		e.parked = max(e.parked, o.parked)
		e.good = append(e.good, o.result)
	}
	return true
}

// crashes plays with a crash at each commit, then with two.
func (e *explorer) crashes() {
	for at, reached := 1, true; reached || at <= e.report.points; at++ {
		reached = false
		for _, how := range []crash{before, after} {
			if o := e.play(plan{crashes: map[int]crash{at: how}}); o.crashes > 0 {
				reached = true
				e.report.singles++
				if !e.check(fmt.Sprintf("crash %s commit %d", how, at), o, true) {
					return
				}
			}
		}
	}
	n := e.report.points
	e.report.allPairs = n * (n - 1) / 2
	pairs := min(e.report.allPairs, e.Pairs)
	for k := range pairs {
		i, j := pair(k * e.report.allPairs / pairs)
		hows := map[int]crash{i: crash(1 + (i+j)%2), j: crash(1 + j%2)}
		e.report.pairs++
		if !e.check(fmt.Sprintf("crash %s commit %d and %s commit %d", hows[i], i, hows[j], j), e.play(plan{crashes: hows}), true) {
			return
		}
	}
}

// pair is the kth pair of numbers from 1, in the list that begins with (1,2) (1,3) (2,3) (1,4).
func pair(k int) (i, j int) {
	for j = 2; k >= j-1; j++ {
		k -= j - 1
	}
	return k + 1, j
}

// doubled plays with what was delivered coming again.
func (e *explorer) doubled() {
	for at := 1; at <= e.report.points; at++ {
		e.report.again++
		if !e.check(fmt.Sprintf("crash after commit %d, and all is delivered again", at), e.play(plan{crashes: map[int]crash{at: after}, again: true}), true) {
			return
		}
	}
	for at := 1; at <= e.report.points; at++ {
		o := e.play(plan{twice: at})
		if o.doubled == 0 {
			continue
		}
		e.report.again++
		if !e.check(fmt.Sprintf("what commit %d sends stands in the log twice", at), o, true) {
			return
		}
	}
}

// late is for how many timers a consumer is held back, once the others are done. What goes on without end is cut off.
var late = []struct {
	timers int
	until  string
}{{0, "the others are done"}, {1, "the next timer has fired"}, {20, "all timers have fired"}}

// delayed plays with each consumer held back in turn, from each commit on.
func (e *explorer) delayed() {
	e.report.allLate = e.report.points * e.report.consumers * len(late)
	most := min(e.report.allLate, e.Late)
	for n := range most {
		k := n * e.report.allLate / most
		how := late[k%len(late)]
		k /= len(late)
		h := hold{at: 1 + k/e.report.consumers, consumer: k % e.report.consumers, timers: how.timers}
		o := e.play(plan{hold: h})
		if o.held == "" {
			continue // it was not known yet
		}
		e.report.late++
		if !e.check(fmt.Sprintf("from commit %d, %s is held back until %s", h.at, o.held, how.until), o, h.timers == 0) {
			return
		}
	}
}

// check wants a run to have ended well, and reports whether to go on.
func (e *explorer) check(what string, o outcome, compared bool) bool {
	if o.parked > e.parked {
		o.faults = append(o.faults, fmt.Sprintf("%d events are parked, %d without faults", o.parked, e.parked))
	}
	if compared && len(o.faults) == 0 && !e.known(o.result) {
		o.faults = append(o.faults, fmt.Sprintf("it ends like no run without faults (-without +with):\n%s", compare(e.good[len(e.good)-1], o.result)))
	}
	if len(o.faults) > 0 {
		e.fail(what, o)
	}
	return len(e.report.faults) < mostFaults
}

func (e *explorer) known(result any) bool {
	for _, good := range e.good {
		if compare(good, result) == "" {
			return true
		}
	}
	return false
}

// fail notes what was wrong with a run, and with the first one all that has happened in it.
func (e *explorer) fail(what string, o outcome) {
	text := what + ":\n  " + strings.Join(o.faults, "\n  ")
	if len(e.report.faults) == 0 {
		text += "\nthe log:" + o.story()
	}
	e.report.faults = append(e.report.faults, text)
}
