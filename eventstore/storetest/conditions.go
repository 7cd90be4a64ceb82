package storetest

import (
	"errors"
	"slices"

	"github.com/necrostack/necrostack/eventstore"
)

func conditions() promise {
	return promise{
		name: "Conditions",
		says: "a condition refuses a commit if, and only if, an event matches its query after its position",
		checks: []check{
			{name: "every shape of query guards what it names", heavy: true, run: refuseEach},
			{name: "each of several conditions counts, and the error says which", run: severalConditions},
			{name: "a condition beyond the head refuses nothing", run: beyondHead},
			{name: "conditions guard commits that append nothing, too", needs: []Capability{Leaser}, run: conditionWithoutEvents},
		},
	}
}

// refuseEach tries a condition by each query, after every position.
func refuseEach(t *trial) {
	t.commit(t.store, shelf())
	each(t, selections(), selection.String, func(s selection) {
		if s.query.IsZero() {
			return // a Store refuses conditions that guard nothing
		}
		decided := event("decided")
		for after := range eventstore.Position(10) {
			s.refuses(t, decided, after)
		}
		after := t.through(t.store, eventstore.Query{})
		if !s.query.Matches(&decided) {
			after = append(s.want, 0)[max(len(s.want)-1, 0)]
		}
		c := unless(appends(to("outcome-1", decided)), s.query, after)
		if _, err := t.store.Commit(t.ctx, c); err != nil {
			t.broken("no event matches %s after %d, and the commit was refused: %v", showQuery(s.query), after, err)
		}
	})
}

// refuses expects a refusal if the shelf has a matching event after the position.
func (s selection) refuses(t *trial, decided eventstore.Event, after eventstore.Position) {
	matching := s.after(after)
	if len(matching) == 0 {
		return
	}
	err := t.refusal(t.store, unless(appends(to("outcome-1", decided)), s.query, after), eventstore.ErrConflict)
	said, ok := errors.AsType[*eventstore.ConditionError](err)
	if !ok || said.Index != 0 || said.After != after || said.Position != 0 && said.Position != matching[0] {
		t.brokenNow("the error must say that condition 0 after %d is broken by the event at %d; it is %#v", after, matching[0], err)
	}
}

func severalConditions(t *trial) {
	t.commit(t.store, shelf())
	holds := []eventstore.Condition{
		{Query: eventstore.OfType("lent"), After: 8},
		{Query: eventstore.WithTags("late"), After: 7},
		{Query: eventstore.InStream("never-1")},
	}
	c := appends(to("outcome-1", event("decided")))
	for broken := range len(holds) + 1 {
		c.Unless = slices.Insert(slices.Clone(holds), broken, eventstore.Condition{Query: eventstore.OfType("torn"), After: 5})
		err := t.refusal(t.store, c, eventstore.ErrConflict)
		if said, ok := errors.AsType[*eventstore.ConditionError](err); !ok || said.Index != broken || said.After != 5 {
			t.broken("the error must name condition %d, after 5; it is %#v", broken, err)
		}
	}
	c.Unless = holds
	t.commit(t.store, c)
}

func beyondHead(t *trial) {
	t.commit(t.store, shelf())
	for i, after := range []eventstore.Position{9, 11, 1000, 1<<53 - 1} {
		c := unless(appends(to("outcome-1", event("decided"))), eventstore.All(), max(after, eventstore.Position(9+i)))
		if _, err := t.store.Commit(t.ctx, c); err != nil {
			t.broken("nothing stands after %d, and the commit was refused: %v", after, err)
		}
	}
}

func conditionWithoutEvents(t *trial) {
	t.commit(t.store, shelf())
	l := t.claim(t.store, "owner", "guarded", 1)[0]
	c := eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(l, 1)}}
	t.refused(t.store, unless(c, eventstore.OfType("torn"), 5), eventstore.ErrConflict)
	t.commit(t.store, unless(c, eventstore.OfType("torn"), 9))
}
