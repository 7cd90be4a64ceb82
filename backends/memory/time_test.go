package memory_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

func event(typ string) eventstore.Event {
	return eventstore.Event{ID: uuid.Must(uuid.NewV7()), Type: typ, Data: []byte(`{}`)}
}

func wrote(t *testing.T, s *eventstore.Store, c eventstore.Commit) eventstore.Result {
	t.Helper()
	r, err := s.Commit(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func log(t *testing.T, s *eventstore.Store) (list []eventstore.Event) {
	t.Helper()
	for e, err := range s.Read(t.Context(), eventstore.All(), eventstore.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}

func TestScheduleFiresFromTheMicrosecondThatItIsDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		s := eventstore.New(b, eventstore.Config{})
		due := time.Now().Add(time.Hour).UTC()
		wrote(t, s, eventstore.Commit{Schedules: []eventstore.Schedule{
			{ID: uuid.New(), Due: due.Add(999), Append: eventstore.Append{Stream: "s-1", Events: []eventstore.Event{event("due")}}},
		}})
		time.Sleep(time.Hour - time.Microsecond)
		if n, next, err := b.Fire(t.Context(), 10); n != 0 || !next.Equal(due) || err != nil {
			t.Errorf("a microsecond early it came to %d, %s, %v", n, next, err)
		}
		time.Sleep(time.Microsecond)
		if n, next, err := b.Fire(t.Context(), 10); n != 1 || !next.IsZero() || err != nil {
			t.Errorf("when it was due it came to %d, %s, %v", n, next, err)
		}
		if e := log(t, s)[0]; !e.Time.Equal(due) {
			t.Errorf("it was due at %s and has the time %s", due, e.Time)
		}
	})
}

func TestLeaseLastsAsLongAsItsMemberIsRenewed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		s := eventstore.New(b, eventstore.Config{})
		if _, err := b.Define(t.Context(), eventstore.Consumer{Name: "c", Partitions: 1}); err != nil {
			t.Fatal(err)
		}
		const ttl = 10 * time.Second
		renew := func(member string) {
			if _, err := b.Renew(t.Context(), eventstore.Member{ID: member, Consumers: []string{"c"}}, ttl); err != nil {
				t.Fatal(err)
			}
		}
		claim := func(member string) []eventstore.Lease {
			leases, err := b.Claim(t.Context(), member, "c", 1, []int{0})
			if err != nil {
				t.Fatal(err)
			}
			return leases
		}
		renew("adam")
		first := claim("adam")
		for range 5 {
			time.Sleep(ttl - 1)
			renew("zoe")
			if got := claim("zoe"); len(got) != 0 {
				t.Fatalf("a nanosecond before its end the lease went to zoe: %+v", got)
			}
			renew("adam")
		}
		time.Sleep(ttl)
		r, err := b.Roster(t.Context(), "c")
		if err != nil || len(r.Members) != 0 || r.Partitions[0].Owner != "" || r.Partitions[0].Epoch != first[0].Epoch {
			t.Errorf("when all had expired the roster was %+v, %v", r, err)
		}
		move := eventstore.Commit{Checkpoints: []eventstore.Checkpoint{{Consumer: "c", Epoch: first[0].Epoch, To: 1}}}
		wrote(t, s, move) // nobody has claimed it
		if _, err := b.Claim(t.Context(), "adam", "c", 1, []int{0}); err == nil {
			t.Error("who has expired could claim")
		}
		renew("zoe")
		second := claim("zoe")
		if len(second) != 1 || second[0].Epoch <= first[0].Epoch || second[0].Position != 1 {
			t.Fatalf("zoe's claim came to %+v", second)
		}
		move.Checkpoints[0].From, move.Checkpoints[0].To = 1, 2
		if _, err := s.Commit(t.Context(), move); !errors.Is(err, eventstore.ErrFenced) {
			t.Errorf("who has lost the lease was told %v", err)
		}
	})
}

// The log grows in blocks. A reader that began before goes on undisturbed, through all of them.
func TestLogGrowsUnderItsReaders(t *testing.T) {
	t.Parallel()
	s := memory.Open(memory.Config{})
	defer s.Close()
	const n = 5000
	list := make([]eventstore.Event, n)
	for i := range list {
		list[i] = event("counted")
	}
	wrote(t, s, eventstore.Commit{Appends: []eventstore.Append{{Stream: "s-1", Events: list[:n/2]}}})
	seen := 0
	for e, err := range s.Read(t.Context(), eventstore.All(), eventstore.Range{}) {
		if err != nil || e.ID != list[seen].ID {
			t.Fatalf("event %d is %+v, %v", seen+1, e, err)
		}
		if seen++; seen == 1000 {
			wrote(t, s, eventstore.Commit{Appends: []eventstore.Append{{Stream: "s-1", Events: list[n/2:]}}})
		}
	}
	if got := log(t, s); seen != n/2 || len(got) != n || !slices.EqualFunc(got, list, func(a, b eventstore.Event) bool { return a.ID == b.ID }) {
		t.Errorf("a reader saw %d events, and the next one %d", seen, len(got))
	}
}

// One store's end is not the log's: several may share a backend.
func TestLogStaysWhenAStoreIsClosed(t *testing.T) {
	t.Parallel()
	b := memory.New()
	one, two := eventstore.New(b, eventstore.Config{}), eventstore.New(b, eventstore.Config{})
	wrote(t, one, eventstore.Commit{Appends: []eventstore.Append{{Stream: "s-1", Events: []eventstore.Event{event("first")}}}})
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if r := wrote(t, two, eventstore.Commit{Appends: []eventstore.Append{{Stream: "s-1", Events: []eventstore.Event{event("second")}}}}); r.Version() != 2 {
		t.Errorf("the next event came to %+v", r)
	}
}

// A batch that depends on itself is decided as if its commits came one after the other.
func TestBatchIsDecidedCommitByCommit(t *testing.T) {
	t.Parallel()
	b := memory.New()
	commit := func(v eventstore.Version, e eventstore.Event) eventstore.Commit {
		return eventstore.Commit{Appends: []eventstore.Append{{Stream: "s-1", Expect: eventstore.Exact(v), Events: []eventstore.Event{e}}}}
	}
	first := event("first")
	outcomes, err := b.Commit(t.Context(), []eventstore.Commit{commit(0, first), commit(0, event("late")), commit(1, event("second")), commit(0, first)})
	if err != nil || outcomes[0].Err != nil || !errors.Is(outcomes[1].Err, eventstore.ErrConflict) || outcomes[2].Err != nil || outcomes[3].Err != nil {
		t.Fatalf("it came to %+v, %v", outcomes, err)
	}
	if outcomes[2].Result.Position != 2 || outcomes[3].Result.Position != 1 {
		t.Errorf("it came to %+v", outcomes)
	}
}
