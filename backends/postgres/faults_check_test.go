package postgres_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// A sighting is an event as a reader was given it.
type sighting struct {
	Position eventstore.Position `json:"position"`
	ID       uuid.UUID           `json:"id"`
}

// A tail is what one reader was given that went from Through to Through, while others wrote.
type tail struct {
	name  string
	query eventstore.Query
	seen  []sighting
}

// A record is all that is known of a load when it has ended.
type record struct {
	writers, commits int // so many commits of each writer
	log              []eventstore.Event
	told             []told
	tails            []tail
}

// A verdict says what is wrong with a record. Skipped, doubled and inverted events are counted over log and readers.
type verdict struct {
	events                     int // of the log, and of all readers together
	skipped, doubled, inverted int
	faults                     []string // of every kind
}

func (v *verdict) String() string {
	return fmt.Sprintf("checked %d events, %d skipped, %d doubled, %d inverted", v.events, v.skipped, v.doubled, v.inverted)
}

// report fails the test for each fault, up to a number that somebody would read.
func (v *verdict) report(t *testing.T) {
	t.Helper()
	for i, fault := range v.faults {
		if i == 20 {
			t.Errorf("and %d more", len(v.faults)-i)
			break
		}
		t.Error(fault)
	}
}

// checkStore looks at positions, versions, ids and times of a whole log, and reports what is wrong.
func checkStore(t *testing.T, s *eventstore.Store) *verdict {
	t.Helper()
	var r record
	for e, err := range s.Read(t.Context(), eventstore.All(), eventstore.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		r.log = append(r.log, e)
	}
	v := &verdict{events: len(r.log)}
	r.checkLog(v)
	v.report(t)
	return v
}

func (v *verdict) fault(format string, args ...any) {
	v.faults = append(v.faults, fmt.Sprintf(format, args...))
}

// check compares what writers were told and readers were given with the log, and the log with what was to be written.
func (r *record) check() *verdict {
	v := &verdict{events: len(r.log)}
	r.checkLog(v)
	r.checkCommits(v)
	for i := range r.tails {
		v.events += len(r.tails[i].seen)
		r.tails[i].check(r.log, v)
	}
	return v
}

// checkLog looks at positions, versions, ids and times.
func (r *record) checkLog(v *verdict) {
	versions, ids := map[eventstore.Stream]eventstore.Version{}, map[uuid.UUID]eventstore.Position{}
	before := eventstore.Event{}
	for i := range r.log {
		e := &r.log[i]
		switch next := before.Position + 1; {
		case e.Position < next:
			v.inverted++
			v.fault("position %d follows position %d", e.Position, before.Position)
		case e.Position > next:
			v.skipped += int(e.Position - next)
			v.fault("positions %d to %d are missing", next, e.Position-1)
		}
		if versions[e.Stream]++; e.Version != versions[e.Stream] {
			v.fault("position %d has version %d of %s, where %d is next", e.Position, e.Version, e.Stream, versions[e.Stream])
			versions[e.Stream] = e.Version
		}
		if at, known := ids[e.ID]; known {
			v.doubled++
			v.fault("positions %d and %d hold the same event", at, e.Position)
		}
		if e.Time.Before(before.Time) {
			v.fault("time runs backwards at position %d: %v after %v", e.Position, e.Time, before.Time)
		}
		ids[e.ID], before = e.Position, *e
	}
}

// checkCommits looks for every commit of every writer: once, whole, in the writer's order, and where it was told.
func (r *record) checkCommits(v *verdict) {
	at := map[uuid.UUID]int{}
	for i := range r.log {
		at[r.log[i].ID] = i
	}
	answers := map[[2]int]told{}
	for _, t := range r.told {
		key := [2]int{t.Writer, t.Commit}
		if before, known := answers[key]; known && (before.First != t.First || before.Last != t.Last || !slices.Equal(before.Versions, t.Versions)) {
			v.fault("writer %d, commit %d: was told %d…%d, and then %d…%d", t.Writer, t.Commit, before.First, before.Last, t.First, t.Last)
		}
		answers[key] = t
	}
	found := 0
	for w := range r.writers {
		last := eventstore.Position(0)
		for n, c := range script(w, r.commits) {
			answer, ok := answers[[2]int{w, n}]
			if !ok {
				v.fault("writer %d, commit %d: was never acknowledged", w, n)
				continue
			}
			if answer.First <= last {
				v.inverted++
				v.fault("writer %d, commit %d: stands at %d, before the one that was acknowledged before it, at %d", w, n, answer.First, last)
			}
			last = answer.Last
			found += r.checkCommit(v, answer, c, at)
		}
	}
	if found != len(r.log) {
		v.fault("the log holds %d events, and the acknowledged commits %d: somebody else's are among them", len(r.log), found)
	}
}

// checkCommit compares the events at the position that a writer was told with those that it has sent.
func (r *record) checkCommit(v *verdict, answer told, c eventstore.Commit, at map[uuid.UUID]int) (found int) {
	who := fmt.Sprintf("writer %d, commit %d at %d", answer.Writer, answer.Commit, answer.First)
	position, versions := answer.First, []eventstore.Version{}
	for _, a := range c.Appends {
		var version eventstore.Version
		for _, e := range a.Events {
			i, ok := at[e.ID]
			if !ok {
				v.skipped++
				v.fault("%s: part of it is not in the log", who)
				return found
			}
			got := &r.log[i]
			if got.Position != position {
				v.fault("%s: its event for %d stands at %d", who, position, got.Position)
			}
			if got.Stream != a.Stream || got.Type != e.Type || !slices.Equal(got.Tags, e.Tags) || !bytes.Equal(got.Data, e.Data) {
				v.fault("%s: the event at %d is not as it was sent", who, got.Position)
			}
			version = got.Version
			position++
			found++
		}
		versions = append(versions, version)
	}
	if position-1 != answer.Last || !slices.Equal(versions, answer.Versions) {
		v.fault("%s: was told …%d with versions %v, and stands …%d with versions %v", who, answer.Last, answer.Versions, position-1, versions)
	}
	return found
}

// check compares what a reader was given with the events of the log that it asked for.
func (t *tail) check(log []eventstore.Event, v *verdict) {
	want := map[sighting]bool{}
	for i := range log {
		if t.query.Matches(&log[i]) {
			want[sighting{log[i].Position, log[i].ID}] = true
		}
	}
	given := map[sighting]bool{}
	last := eventstore.Position(0)
	for _, s := range t.seen {
		switch {
		case given[s]:
			v.doubled++
			v.fault("reader %s was given position %d again", t.name, s.Position)
		case s.Position <= last:
			v.inverted++
			v.fault("reader %s was given position %d after %d", t.name, s.Position, last)
		case !want[s]:
			v.fault("reader %s was given an event at position %d that the log does not hold", t.name, s.Position)
		}
		given[s], last = true, max(last, s.Position)
	}
	for _, s := range slices.SortedFunc(maps.Keys(want), func(a, b sighting) int { return int(a.Position - b.Position) }) {
		if !given[s] {
			v.skipped++
			v.fault("reader %s was never given position %d", t.name, s.Position)
		}
	}
}
