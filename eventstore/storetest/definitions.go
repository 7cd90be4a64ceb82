package storetest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/necrostack/necrostack/eventstore"
)

func definitions() promise {
	return promise{
		name:  "Definitions",
		says:  "all processes run one definition of a consumer, and a new one leaves nothing to those who run the old",
		needs: []Capability{Leaser},
		checks: []check{
			{name: "a consumer is of generation 1 and as its first definition says", run: defineOnce},
			{name: "a consumer redefined is of the next generation and as it was given", run: redefine},
			{name: "a redefinition of another generation is refused and changes nothing", run: redefineStale},
			{name: "of many who redefine one generation exactly one wins", run: redefineRace},
			{name: "a redefinition fences every owner and keeps positions", run: redefineFences},
			{name: "the number of partitions changes only where all stand at one position", run: redefineApart},
			{name: "new partitions begin where the old ones stood", run: redefineNumber},
			{name: "no epoch of a former owner is ever valid again", run: redefineEpochs},
			{name: "who ran the old definition runs the new one when it comes again", run: redefineMembers},
			{name: "a claim of another generation is refused", run: claimGeneration},
			{name: "definitions beyond the limits are refused", run: definitionLimits},
			{name: "changing a definition given or returned changes nothing stored", run: changeDefinition},
		},
	}
}

// wholly is a definition that says something everywhere.
func wholly(name string) eventstore.Consumer {
	return eventstore.Consumer{
		Name: name, Partitions: 3, Keys: 7, Hash: "fnv-1a \"ü\"", Listens: []string{"type order placed", "tag a,b", "", "😀 'quoted' \\"},
		Competing: true, Until: 1<<53 - 1, Next: "fingerprint", Former: []string{"first", "second"},
	}
}

// defined is a consumer as the log has it.
func (t *trial) defined(s *eventstore.Store, name string) eventstore.Consumer {
	t.Helper()
	return t.defineAs(s, eventstore.Consumer{Name: name, Partitions: 1})
}

// redefined replaces a definition, which nothing speaks against.
func (t *trial) redefined(s *eventstore.Store, c eventstore.Consumer) eventstore.Consumer {
	t.Helper()
	got, err := t.leaser(s).Redefine(t.ctx, c)
	t.need(err, "redefine %s", showConsumer(c))
	return got
}

// standing is all that is known of a consumer, as text.
func (t *trial) standing(name string) string {
	t.Helper()
	return fmt.Sprintf("%s, roster %+v", showConsumer(t.defined(t.store, name)), t.roster(t.store, name))
}

func defineOnce(t *trial) {
	for _, c := range []eventstore.Consumer{wholly("whole"), {Name: "bare", Partitions: 1}} {
		want := c
		want.Generation = 1
		c.Generation = 9 // is the log's to give
		if got := t.defineAs(t.store, c); showConsumer(got) != showConsumer(want) {
			t.broken("defined was\n\t%s; it came back as\n\t%s", showConsumer(want), showConsumer(got))
		}
		for _, s := range t.pair() {
			other := eventstore.Consumer{Name: c.Name, Partitions: 2, Keys: 8, Hash: "another", Listens: []string{"other"}, Former: []string{"third"}}
			if got := t.defineAs(s, other); showConsumer(got) != showConsumer(want) {
				t.broken("who defined it anew was told\n\t%s; the first definition was\n\t%s", showConsumer(got), showConsumer(want))
			}
		}
		if r := t.roster(t.store, c.Name); r.Generation != 1 || r.Competing != c.Competing || r.Paused || len(r.Partitions) != c.Partitions {
			t.broken("defined was\n\t%s; its roster is %+v", showConsumer(want), r)
		}
	}
}

func redefine(t *trial) {
	t.define(t.store, "changing", 1)
	next := wholly("changing")
	for n := int64(1); n <= 3; n++ {
		next.Generation, next.Competing, next.Keys = n, n != 2, int(n)
		next.Former = append(next.Former, fmt.Sprint("definition ", n))
		got := t.redefined(t.another(), next)
		want := next
		want.Generation++
		if showConsumer(got) != showConsumer(want) {
			t.brokenNow("redefined was\n\t%s; it came back as\n\t%s", showConsumer(want), showConsumer(got))
		}
		if kept := t.defined(t.store, "changing"); showConsumer(kept) != showConsumer(want) {
			t.brokenNow("redefined was\n\t%s; the log has\n\t%s", showConsumer(want), showConsumer(kept))
		}
		if r := t.roster(t.store, "changing"); r.Generation != want.Generation || r.Competing != want.Competing || len(r.Partitions) != 3 {
			t.brokenNow("redefined was\n\t%s; its roster is %+v", showConsumer(want), r)
		}
	}
}

// conflicts checks that a redefinition is refused, and changes nothing.
func (t *trial) conflicts(c eventstore.Consumer, why string) {
	t.Helper()
	before := t.standing(c.Name)
	if got, err := t.leaser(t.store).Redefine(t.ctx, c); !errors.Is(err, eventstore.ErrConflict) {
		t.broken("%s, and to redefine it came to %s, %v; it must fail with %q", why, showConsumer(got), err, eventstore.ErrConflict)
	}
	if after := t.standing(c.Name); after != before {
		t.broken("%s, and a redefinition that was refused has made of\n\t%s\n\t%s", why, before, after)
	}
}

func redefineStale(t *trial) {
	lease := t.claim(t.store, "owner", "changing", 2)[0]
	t.commit(t.store, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{checkpoint(lease, 4)}})
	for _, generation := range []int64{0, -1, 2, 1 << 60} {
		t.conflicts(eventstore.Consumer{Name: "changing", Partitions: 2, Keys: 3, Generation: generation}, fmt.Sprintf("it is of generation 1, not %d", generation))
	}
	t.redefined(t.store, eventstore.Consumer{Name: "changing", Partitions: 2, Generation: 1})
	t.conflicts(eventstore.Consumer{Name: "changing", Partitions: 2, Keys: 3, Generation: 1}, "it is of generation 2, not 1")
	if got, err := t.leaser(t.store).Redefine(t.ctx, eventstore.Consumer{Name: "unheard of", Partitions: 1, Generation: 1}); err == nil {
		t.broken("a consumer that nobody had defined was redefined as %s", showConsumer(got))
	}
	if r := t.roster(t.store, "unheard of"); len(r.Partitions) > 0 {
		t.broken("a redefinition of what nobody had defined was refused, and left %+v", r)
	}
}

func redefineRace(t *trial) {
	stores := t.pair()
	t.define(t.store, "raced", 1)
	meet := meeting()
	const rounds = 5
	for n := int64(1); n <= rounds; n++ {
		var mu sync.Mutex
		var won []eventstore.Consumer
		together(racers, func(i int) {
			meet()
			c, err := t.leaser(stores[i%2]).Redefine(t.ctx, eventstore.Consumer{Name: "raced", Partitions: i + 1, Keys: i, Generation: n})
			switch {
			case err == nil:
				mu.Lock()
				won = append(won, c)
				mu.Unlock()
			case !errors.Is(err, eventstore.ErrConflict):
				t.broken("one of %d who redefined generation %d failed with %q; a loser must be told of a conflict", racers, n, err)
			}
		})
		if len(won) != 1 {
			t.brokenNow("of %d who redefined generation %d %d won", racers, n, len(won))
		}
		if got := t.defined(t.store, "raced"); showConsumer(got) != showConsumer(won[0]) || got.Generation != n+1 {
			t.brokenNow("the winner was told\n\t%s; the log has\n\t%s", showConsumer(won[0]), showConsumer(got))
		}
	}
}

func claimGeneration(t *trial) {
	t.define(t.store, "changing", 1)
	t.redefined(t.store, eventstore.Consumer{Name: "changing", Partitions: 2, Generation: 1})
	t.renew(t.store, "member", "changing", long)
	for _, generation := range []int64{1, 0, 3, -1} {
		got, err := t.leaser(t.store).Claim(t.ctx, "member", "changing", generation, []int{0})
		if !errors.Is(err, eventstore.ErrFenced) || len(got) > 0 {
			t.broken("it is of generation 2, and a claim of generation %d came to %+v, %v; it must fail with %q", generation, got, err, eventstore.ErrFenced)
		}
	}
	if r := t.roster(t.store, "changing"); r.Partitions[0].Owner != "" {
		t.broken("a claim was refused, and left %+v", r)
	}
	t.claimSome(t.store, "member", "changing", 0, 1)
	got, err := t.leaser(t.store).Claim(t.ctx, "member", "unheard of", 1, []int{0})
	if !errors.Is(err, eventstore.ErrInvalid) {
		t.broken("a claim of what nobody defined came to %+v, %v, not %q", got, err, eventstore.ErrInvalid)
	}
}
