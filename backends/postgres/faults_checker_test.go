package postgres_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// The faults are only as good as what looks at them: a record in which one thing is wrong must not pass.
func TestTheCheckOfALoadFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	if v := sound().check(); len(v.faults) > 0 {
		t.Fatalf("a sound record: %v", v.faults)
	}
	type counts struct{ skipped, doubled, inverted int }
	for _, tt := range []struct {
		name  string
		spoil func(r *record)
		says  string
		want  counts
	}{
		{"a gap", func(r *record) { r.log = slices.Delete(r.log, 4, 5) }, "positions 5 to 5 are missing", counts{skipped: 2}},
		{"a foreign event", func(r *record) {
			r.log = append(r.log, eventstore.Event{ID: uuid.New(), Position: r.log[len(r.log)-1].Position + 1, Stream: "x", Version: 1, Time: time.Now()})
		}, "somebody else's", counts{skipped: 1}},
		{"a changed payload", func(r *record) { r.log[3].Data = []byte("{}") }, "is not as it was sent", counts{}},
		{"a wrong version", func(r *record) { r.log[3].Version++ }, "where", counts{}},
		{"an id twice", func(r *record) { r.log[5].ID = r.log[4].ID }, "hold the same event", counts{}},
		{"time running backwards", func(r *record) { r.log[5].Time = time.Time{} }, "time runs backwards at position 6", counts{}},
		{"a commit told elsewhere", func(r *record) { r.told[1].First++; r.told[1].Last++ }, "its event for", counts{}},
		{"a resend with another result", func(r *record) {
			again := r.told[1]
			again.Last++
			r.told = append(r.told, again)
		}, "and then", counts{}},
		{"a lost commit", func(r *record) { r.told = r.told[1:] }, "was never acknowledged", counts{}},
		{"a writer's order", func(r *record) { r.told[0].First, r.told[1].First = r.told[1].First, r.told[0].First }, "before the one that was acknowledged", counts{inverted: 1}},
		{"a reader that skips", func(r *record) { r.tails[0].seen = slices.Delete(r.tails[0].seen, 2, 3) }, "was never given position 3", counts{skipped: 1}},
		{"a reader that repeats", func(r *record) { r.tails[0].seen = slices.Insert(r.tails[0].seen, 2, r.tails[0].seen[1]) }, "was given position 2 again", counts{doubled: 1}},
		{"a reader that goes back", func(r *record) {
			seen := r.tails[0].seen
			seen[2], seen[3] = seen[3], seen[2]
		}, "was given position 3 after 4", counts{inverted: 1}},
		{"a reader of what is not there", func(r *record) { r.tails[0].seen[1].ID = uuid.New() }, "that the log does not hold", counts{skipped: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := sound()
			tt.spoil(r)
			v := r.check()
			if !strings.Contains(strings.Join(v.faults, "\n"), tt.says) {
				t.Errorf("nothing says %q: %v", tt.says, v.faults)
			}
			if v.skipped < tt.want.skipped || v.doubled < tt.want.doubled || v.inverted < tt.want.inverted {
				t.Errorf("counted %d skipped, %d doubled, %d inverted; want at least %+v", v.skipped, v.doubled, v.inverted, tt.want)
			}
		})
	}
}

// sound is a record of two writers in which nothing is wrong.
func sound() *record {
	r := &record{writers: 2, commits: 5}
	versions := map[eventstore.Stream]eventstore.Version{}
	begun := time.Now()
	for w := range r.writers {
		for n, c := range script(w, r.commits) {
			answer := told{Writer: w, Commit: n, First: eventstore.Position(len(r.log) + 1)}
			for _, a := range c.Appends {
				for _, e := range a.Events {
					versions[a.Stream]++
					e.Position, e.Stream, e.Version = eventstore.Position(len(r.log)+1), a.Stream, versions[a.Stream]
					e.Time = begun.Add(time.Duration(len(r.log)))
					r.log = append(r.log, e)
				}
				answer.Versions = append(answer.Versions, versions[a.Stream])
			}
			answer.Last = eventstore.Position(len(r.log))
			r.told = append(r.told, answer)
		}
	}
	all := tail{name: "all", query: eventstore.All()}
	for _, e := range r.log {
		all.seen = append(all.seen, sighting{e.Position, e.ID})
	}
	r.tails = []tail{all}
	return r
}
