package sagatest

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

// ThenSends wants that the last When, or the last event of what was given, has led to exactly these commands, in this order.
func (r *Run[S]) ThenSends(want ...spine.Command) *Run[S] {
	r.t.Helper()
	if !r.settled() {
		return r
	}
	if diff := compare(want, r.sent.Commands); diff != "" {
		r.fail("commands\n  want %s\n  got  %s\n(-want +got):\n%s", list(want), list(r.sent.Commands), diff)
	}
	return r
}

// ThenCalls wants that the last When has led to the calls of exactly these steps, an undoing with "undo " before it, in
// this order.
func (r *Run[S]) ThenCalls(want ...string) *Run[S] {
	r.t.Helper()
	if r.settled() && !slices.Equal(want, r.sent.Calls) {
		r.fail("calls of steps\n  want %s\n  got  %s", list(want), list(r.sent.Calls))
	}
	return r
}

// ThenSendsNothing wants that the last When has led to no command and to no call.
func (r *Run[S]) ThenSendsNothing() *Run[S] {
	r.t.Helper()
	return r.ThenSends().ThenCalls()
}

// ThenTimer wants that something falls due after a time from now: of a process the timer of a name; of a saga a step's
// Timeout, or its next attempt, by the step's ID, for its undoing with "undo " before that; or the saga's "deadline". The
// time until a next attempt is random: want the longest, what the Retry says.
func (r *Run[S]) ThenTimer(name string, in time.Duration) *Run[S] {
	r.t.Helper()
	if !r.settled() {
		return r
	}
	waits := r.trial.Waits()
	w, ok := waits[name]
	if !ok || w.In != in && (!w.Spread || w.In > in || w.In < in/2) {
		r.fail("timer\n  want %s in %s\n  got  %s", name, in, list(waits))
	}
	return r
}

// ThenNoTimer wants that a timer is not set, any more or yet.
func (r *Run[S]) ThenNoTimer(name string) *Run[S] {
	r.t.Helper()
	if !r.settled() {
		return r
	}
	if w, ok := r.trial.Waits()[name]; ok {
		r.fail("timer\n  want no %s\n  got  %s in %s", name, name, w.In)
	}
	return r
}

// ThenState wants what the instance remembers by now.
func (r *Run[S]) ThenState(want S) *Run[S] {
	r.t.Helper()
	if !r.settled() {
		return r
	}
	got, err := r.trial.Remembers()
	if err != nil {
		r.fail("state\n  want %+v\n  got  %v", want, err)
	} else if diff := compare(want, got); diff != "" {
		r.fail("state\n  want %+v\n  got  %+v\n(-want +got):\n%s", want, got, diff)
	}
	return r
}

// ThenIs wants the state that the instance is in by now; "" for none that has begun.
func (r *Run[S]) ThenIs(want sagas.State) *Run[S] {
	r.t.Helper()
	if !r.settled() {
		return r
	}
	if got, reason := r.trial.State(); got != want {
		if reason != "" {
			reason = " (" + reason + ")"
		}
		r.fail("it is\n  want %q\n  got  %q%s", want, got, reason)
	}
	return r
}

// ThenReason wants a text in the reason why the instance turned back, or is stuck.
func (r *Run[S]) ThenReason(want string) *Run[S] {
	r.t.Helper()
	if !r.settled() {
		return r
	}
	if _, got := r.trial.State(); !strings.Contains(got, want) {
		r.fail("reason\n  want %q in it\n  got  %q", want, got)
	}
	return r
}

// compare returns the difference between two values, unexported fields included; empty for none.
func compare[T any](want, got T) string {
	if reflect.DeepEqual(want, got) {
		return "" // a comparison that explains itself takes longer than all the rest of a case
	}
	all := cmp.Exporter(func(reflect.Type) bool { return true })
	same := cmp.Comparer(func(x, y error) bool { return errors.Is(x, y) || errors.Is(y, x) }) // it has to be symmetric
	return cmp.Diff(want, got, all, same, cmpopts.EquateEmpty())
}

// show writes a command or an event.
func show(v any) string { return fmt.Sprintf("%T%+v", v, v) }

// list writes what there is several of.
func list(all any) string {
	var texts []string
	switch all := all.(type) {
	case []spine.Command:
		for _, c := range all {
			texts = append(texts, show(c))
		}
	case []string:
		texts = all
	case map[string]sagas.Wait:
		for _, name := range slices.Sorted(maps.Keys(all)) {
			texts = append(texts, fmt.Sprintf("%s in %s", name, all[name].In))
		}
	}
	if len(texts) == 0 {
		return "none"
	}
	return strings.Join(texts, ", ")
}
