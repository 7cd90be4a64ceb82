package redis_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/necrostack/necrostack/backends/redis"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

// What lies between the events that are asked for is read along where they are near each other, and must not show.
func TestReadsAlongIndexesYieldWhatIsAskedForHoweverFarApart(t *testing.T) {
	t.Parallel()
	store := openStore(t, testenv.Redis(t).Database(t), redis.Config{})
	const n = 3000
	var events []eventstore.Event
	steps := []int{1, 2, 4, 5, 7, 100}
	for p := 1; p <= n; p++ {
		e := event(t, store, "all")
		for _, step := range steps {
			if p%step == 0 {
				e.Tags = append(e.Tags, fmt.Sprint("step:", step))
			}
		}
		events = append(events, e)
	}
	if _, err := store.Commit(t.Context(), eventstore.Commit{Appends: []eventstore.Append{{Stream: "a-1", Events: events}}}); err != nil {
		t.Fatal(err)
	}
	for _, step := range steps {
		for _, r := range []eventstore.Range{{}, {Backward: true}, {After: 501, UpTo: 2503}, {Limit: 300}, {Limit: 300, Backward: true}} {
			var got, want []eventstore.Position
			for e, err := range store.Read(t.Context(), eventstore.WithTags(fmt.Sprint("step:", step)), r) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, e.Position)
			}
			for p := eventstore.Position(step); p <= n; p += eventstore.Position(step) {
				if p > r.After && (r.UpTo == 0 || p <= r.UpTo) {
					want = append(want, p)
				}
			}
			if r.Backward {
				slices.Reverse(want)
			}
			if r.Limit > 0 {
				want = want[:min(r.Limit, len(want))]
			}
			if !slices.Equal(got, want) {
				t.Errorf("each %d., %+v: got %v, want %v", step, r, got, want)
			}
		}
	}
}

// Whoever removes an entry by hand makes no shorter history of it.
func TestAReadOfALogThatLacksAnEventFails(t *testing.T) {
	t.Parallel()
	const n = 3000
	for _, lacks := range []int{1, 100, 129, 1000, n} {
		t.Run(fmt.Sprint(lacks), func(t *testing.T) {
			t.Parallel()
			dsn := testenv.Redis(t).Database(t)
			store := openStore(t, dsn, redis.Config{})
			var events []eventstore.Event
			for range n {
				events = append(events, event(t, store, "all"))
			}
			if _, err := store.Commit(t.Context(), eventstore.Commit{Appends: []eventstore.Append{{Stream: "a-1", Events: events}}}); err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(dsn)
			if err != nil {
				t.Fatal(err)
			}
			if err := testenv.RedisClient(t, dsn).XDel(t.Context(), "{"+u.Query().Get("log")+"}:log", fmt.Sprint(lacks, "-0")).Err(); err != nil {
				t.Fatal(err)
			}
			for _, q := range []eventstore.Query{eventstore.All(), eventstore.InStream("a-1"), eventstore.WithTags("all")} {
				for _, backward := range []bool{false, true} {
					var err error
					for _, fault := range store.Read(t.Context(), q, eventstore.Range{Backward: backward}) {
						err = fault
					}
					if want := fmt.Sprintf("no event at position %d", lacks); err == nil || !strings.Contains(err.Error(), want) {
						t.Errorf("%v, backward %v: %v, and not: %s", q, backward, err, want)
					}
				}
			}
		})
	}
}
