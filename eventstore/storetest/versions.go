package storetest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/necrostack/necrostack/eventstore"
)

func versions() promise {
	return promise{
		name: "Versions",
		says: "versions are gapless from 1 in every stream",
		checks: []check{
			{name: "versions are gapless whatever is refused in between", heavy: true, run: gaplessVersions},
			{name: "several appends of a commit to one stream go on from each other", run: versionsWithinCommit},
			{name: "writers who expect nothing share a stream without gaps", heavy: true, run: sharedStream},
			{name: "names that differ in case, space or form are different streams", run: similarStreams},
		},
	}
}

func gaplessVersions(t *trial) {
	for _, stream := range []eventstore.Stream{"versions-1", "versions-2", "no category"} {
		next := eventstore.Version(1)
		for n := range 8 {
			r := t.commit(t.store, appends(expecting(eventstore.Exact(next-1), stream, eventsOf(1+n%3, "counted")...)))
			next += eventstore.Version(1 + n%3)
			if r.Version() != next-1 {
				t.brokenNow("%s was reported to stand at version %d; it should be %d", stream, r.Version(), next-1)
			}
			t.refused(t.store, appends(expecting(eventstore.Exact(next), stream, event("counted"))), eventstore.ErrConflict)
		}
	}
	t.checkVersions(t.another())
}

// checkVersions counts every stream's versions through the whole log.
func (t *trial) checkVersions(s *eventstore.Store) {
	t.Helper()
	at := map[eventstore.Stream]eventstore.Version{}
	for _, e := range t.all(s) {
		if at[e.Stream]++; e.Version != at[e.Stream] {
			t.brokenNow("%s has version %d where %d is next", show(e), e.Version, at[e.Stream])
		}
	}
}

func versionsWithinCommit(t *trial) {
	t.add(t.store, "twice-1", event("before"))
	r := t.commit(t.store, appends(
		to("twice-1", eventsOf(2, "first")...),
		to("twice-2", event("between")),
		to("twice-1", event("last")),
	))
	if want := []eventstore.Version{3, 1, 4}; fmt.Sprint(r.Versions) != fmt.Sprint(want) {
		t.broken("after the appends the streams were reported at versions %v; they should be at %v", r.Versions, want)
	}
	t.checkVersions(t.store)
}

func sharedStream(t *trial) {
	stores := t.pair()
	var mu sync.Mutex
	told := map[eventstore.Position]eventstore.Version{}
	together(6, func(w int) {
		for n := range 15 {
			r, err := stores[w%2].Commit(t.ctx, appends(to("shared-1", eventsOf(1+n%2, "added")...)))
			if err != nil {
				t.Errorf("could not try whether %s: %v", t.says, err)
				return
			}
			mu.Lock()
			told[r.Position] = r.Version()
			mu.Unlock()
		}
	})
	t.checkVersions(t.store)
	for _, e := range t.all(t.store) {
		if v, ok := told[e.Position]; ok && v != e.Version {
			t.brokenNow("the writer of %s was told version %d", show(e), v)
		}
	}
}

func similarStreams(t *trial) {
	names := []eventstore.Stream{
		"case-a", "case-A", "Case-a", "case-a b", "case-a  b", "case-a%", "case-a_", "case-a*", "case-a?", "case-a'", "case-a\"", `case-a\`,
		"case-é", "case-e\u0301", "case-a-b", "case-", "-case", "-", "case-a:b", "case-{a}", "case-a\nb", "case-😀", "0", "null",
	}
	for _, name := range names {
		if _, err := t.store.Commit(t.ctx, appends(expecting(eventstore.NoStream, name, event("named")))); errors.Is(err, eventstore.ErrConflict) {
			t.brokenNow("%q was new, and the append was refused: %v", name, err)
		} else {
			t.need(err, "append to %q", name)
		}
	}
	for _, name := range names {
		got, _ := t.read(t.store, eventstore.InStream(name), eventstore.Range{})
		if len(got) != 1 || got[0].Stream != name {
			t.broken("%q holds one event; reading it gave %s", name, showAll(got))
		}
	}
}
