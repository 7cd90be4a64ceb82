package spine

import (
	"context"
	"errors"

	"github.com/necrostack/necrostack/eventstore"
)

// separable reports whether it may be only some of an event's keys that it cannot be handled for.
func (l *lane) separable(in []Input, t *tries) bool {
	return !t.apart && len(in[0].Keys) > 1 && whole(in) == 1 && in[0].fault == nil &&
		!errors.Is(t.err, ErrDeadline) && !errors.Is(t.err, ErrPoison)
}

// apartMost is for how many keys an event is handled in one commit, if what follows from it for all of them was not to be had,
// or did not fit. For the others it is set aside untried, and they take it up from there, each in a commit of its own.
const apartMost = 200

// handleApart finds out for which of its keys an event cannot be handled: for these it is set aside, and it is handled for
// the others.
func (l *lane) handleApart(ctx context.Context, in Input, t *tries) work {
	t.apart = true
	good, bad := in, in
	good.Keys, bad.Keys = nil, nil
	number := len(t.failures) + 1
	now, later := in.Keys, []string(nil)
	if len(now) > apartMost {
		now, later = now[:apartMost], now[apartMost:]
	}
	for i, key := range now {
		one := in
		one.Keys = now[i : i+1]
		if w := l.behind(ctx, []Input{one}, number); w.done > 0 && len(w.aside) == 0 {
			good.Keys = append(good.Keys, key)
			w.output.settle(eventstore.Result{}, errApart)
		} else {
			bad.Keys = append(bad.Keys, key)
		}
	}
	if len(good.Keys) == 0 {
		return l.giveUp([]Input{in}, t.failures, t.err)
	}
	w := l.behind(ctx, []Input{good}, number)
	if w.done == 0 {
		return l.giveUp([]Input{in}, t.failures, t.err)
	}
	if len(bad.Keys) > 0 {
		aside := l.giveUp([]Input{bad}, t.failures, t.err)
		w.parks, w.aside = append(w.parks, aside.parks...), append(w.aside, aside.aside...)
	}
	for _, key := range later {
		w.parks = append(w.parks, l.entry(&in, key, nil))
	}
	return w
}

// errApart is why what came of an event for one of its keys is not written: it is handled again, for all that can be.
var errApart = errors.New("tried for one key alone")
