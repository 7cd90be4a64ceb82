// Package sagatest tests sagas and process managers.
//
// Given begins a case of one instance, without a store and on a virtual clock: what comes, then what the instance sends,
// waits for, remembers and is. A case takes some hundred microseconds, however many days pass in it.
//
// CrashEverywhere plays a scenario of whole organs again and again, with a crash at every commit in turn, and compares how it
// ends.
package sagatest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

// Run is one instance under test. Each When has something come, and each Then looks at what the last When led to, or at
// what the instance is by now. The first thing that is wrong fails the test, and what follows it in the chain is
// passed over.
type Run[S any] struct {
	t      testing.TB
	trial  *sagas.Trial[S]
	step   int    // of the chain
	when   string // what has come last
	sent   sagas.Effects
	err    error // of the last When, until ThenError asks for it
	failed bool
}

// Given begins a case of an instance with events that have come to it already, in their order: see When. An instance
// begins with the first event, or command, that its definition starts by.
func Given[S any](t testing.TB, d sagas.Definition[S], history ...eventstore.Payload) *Run[S] {
	t.Helper()
	r := &Run[S]{t: t, when: "nothing"}
	trial, err := d.Try()
	if err != nil {
		r.fail("%v", err)
		return r
	}
	r.trial = trial
	t.Cleanup(func() {
		t.Helper()
		r.settled()
	})
	for _, e := range history {
		r.come("given "+show(e), func() (sagas.Effects, error) { return r.trial.Take(e) })
	}
	return r
}

// When has an event come: one that begins the instance, or that a step of the saga waits for; or one that belongs to the
// process, by its Key. An event that nobody waits for fails the test, and so does one that several steps wait for: use
// WhenAnswered then.
func (r *Run[S]) When(e eventstore.Payload) *Run[S] {
	r.t.Helper()
	return r.come("when "+show(e), func() (sagas.Effects, error) { return r.trial.Take(e) })
}

// WhenSent has the command come that begins the saga.
func (r *Run[S]) WhenSent(c spine.Command) *Run[S] {
	r.t.Helper()
	return r.come("when sent "+show(c), func() (sagas.Effects, error) { return r.trial.Send(c) })
}

// WhenAnswered has an event come that follows from what a step does: what a participant appends, or what the step's call
// returns. It may come late, when nobody waits for it any more.
func (r *Run[S]) WhenAnswered(step string, e eventstore.Payload) *Run[S] {
	r.t.Helper()
	return r.come(fmt.Sprintf("when %s is answered %s", step, show(e)), func() (sagas.Effects, error) { return r.trial.Answer(step, e) })
}

// WhenAccepted has what a step does succeed, or its undoing if that is under way: the command is accepted, the call has
// returned, the nested saga is Completed. Of a process, step is the type of a command that it has sent.
func (r *Run[S]) WhenAccepted(step string) *Run[S] {
	r.t.Helper()
	return r.come("when "+step+" is accepted", func() (sagas.Effects, error) { return r.trial.Accept(step) })
}

// WhenRefused has what a step does be refused, or its undoing if that is under way: the command is rejected, the call
// returns sagas.Refuse, the nested saga is Compensated. Of a process, step is the type of a command that it has sent.
func (r *Run[S]) WhenRefused(step, why string) *Run[S] {
	r.t.Helper()
	return r.come(fmt.Sprintf("when %s is refused (%s)", step, why), func() (sagas.Effects, error) { return r.trial.Refuse(step, why) })
}

// WhenFailed has the call of a step, or of its undoing, return an error: nobody knows what came of it.
func (r *Run[S]) WhenFailed(step, why string) *Run[S] {
	r.t.Helper()
	return r.come(fmt.Sprintf("when %s fails (%s)", step, why), func() (sagas.Effects, error) { return r.trial.Fail(step, why) })
}

// WhenTimedOut lets time pass until the Timeout of a step, or of its undoing, is over.
func (r *Run[S]) WhenTimedOut(step string) *Run[S] {
	r.t.Helper()
	return r.come("when "+step+" has timed out", func() (sagas.Effects, error) {
		waits := r.trial.Waits()
		for _, name := range []string{step, "undo " + step} {
			if w, ok := waits[name]; ok && !w.Spread {
				return r.trial.Pass(w.In)
			}
		}
		return sagas.Effects{}, fmt.Errorf("step %q has no attempt under way that could time out; the instance waits for %s", step, list(waits))
	})
}

// WhenPassed lets time pass. What falls due is done, in its order.
func (r *Run[S]) WhenPassed(d time.Duration) *Run[S] {
	r.t.Helper()
	return r.come(fmt.Sprintf("when %s have passed", d), func() (sagas.Effects, error) { return r.trial.Pass(d) })
}

// WhenRetried has an operator retry what is stuck: see sagas.Instances.
func (r *Run[S]) WhenRetried() *Run[S] {
	r.t.Helper()
	return r.operated("retry", "")
}

// WhenSkipped has an operator skip a step that is stuck.
func (r *Run[S]) WhenSkipped(step string) *Run[S] {
	r.t.Helper()
	return r.operated("skip", step)
}

// WhenCancelled has an operator cancel the instance.
func (r *Run[S]) WhenCancelled() *Run[S] {
	r.t.Helper()
	return r.operated("cancel", "")
}

// WhenSuspended has an operator suspend the instance.
func (r *Run[S]) WhenSuspended() *Run[S] {
	r.t.Helper()
	return r.operated("suspend", "")
}

// WhenResumed has an operator resume it.
func (r *Run[S]) WhenResumed() *Run[S] {
	r.t.Helper()
	return r.operated("resume", "")
}

func (r *Run[S]) operated(verb, step string) *Run[S] {
	r.t.Helper()
	when := "when an operator does " + verb
	if step != "" {
		when += " " + step
	}
	return r.come(when, func() (sagas.Effects, error) { return r.trial.Operate(verb, step) })
}

// come has something come. An error of what came before, and that nobody has asked for, is a failure.
func (r *Run[S]) come(when string, happen func() (sagas.Effects, error)) *Run[S] {
	r.t.Helper()
	if !r.settled() {
		return r
	}
	r.step++
	r.when = when
	r.sent, r.err = happen()
	return r
}

// settled reports whether all is well: an error of the last When fails the test unless it was asked for.
func (r *Run[S]) settled() bool {
	r.t.Helper()
	if !r.failed && r.err != nil {
		r.fail("%v", r.err)
	}
	return !r.failed
}

// fail fails the test: it says at which step of the chain, and after what.
func (r *Run[S]) fail(format string, args ...any) {
	r.t.Helper()
	r.failed = true
	r.t.Errorf("step %d, %s: %s", r.step, r.when, fmt.Sprintf(format, args...))
}

// ThenError wants that the last When was refused, by errors.Is: by the function that begins an instance, because it has
// begun already (sagas.ErrBegun), because it has not (sagas.ErrMissing, sagas.ErrNoInstance), or because the state
// does not allow what the operator wants (sagas.ErrNotNow). Without it, a refusal fails the test.
func (r *Run[S]) ThenError(want error) *Run[S] {
	r.t.Helper()
	if r.failed {
		return r
	}
	if !errors.Is(r.err, want) {
		r.fail("error\n  want %v\n  got  %v", want, r.err)
	}
	r.err = nil
	return r
}
