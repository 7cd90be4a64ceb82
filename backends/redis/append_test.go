package redis_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/backends/redis"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

// Batches that only append have a script of their own, whose outcomes are those of the reference backend whatever is in them.
func TestABatchOfAppendsIsDecidedAsTheReferenceDecidesIt(t *testing.T) {
	t.Parallel()
	store := openStore(t, testenv.Redis(t).Database(t), redis.Config{})
	reference := memory.New()
	t.Cleanup(func() { _ = reference.Close() })
	made := map[string]eventstore.Event{}
	to := func(stream eventstore.Stream, expect eventstore.Expected, names ...string) eventstore.Append {
		a := eventstore.Append{Stream: stream, Expect: expect}
		for _, name := range names {
			if _, ok := made[name]; !ok {
				e := event(t, store, "some")
				e.Stream, e.Type = "", name[:1]
				made[name] = e
			}
			a.Events = append(a.Events, made[name])
		}
		return a
	}
	commit := func(appends ...eventstore.Append) eventstore.Commit { return eventstore.Commit{Appends: appends} }
	first := commit(to("a-1", eventstore.NoStream, "a1", "a2"), to("b-1", eventstore.Any, "b1"))
	for i, batch := range [][]eventstore.Commit{
		{first, commit(to("c-1", eventstore.Any, "c1"))},
		{
			first, // again
			commit(to("c-1", eventstore.Exact(1), "c2", "d1")),                             // new
			commit(to("a-1", eventstore.NoStream, "a3")),                                   // the stream is there
			commit(to("e-1", eventstore.Any, "e1", "e2"), to("e-2", eventstore.Any, "c1")), // the last id is known
			commit(to("b-1", eventstore.StreamExists, "b2"), to("f-1", eventstore.NoStream, "f1"), to("b-1", eventstore.StreamExists, "b3")),
			commit(to("g-1", eventstore.Exact(3), "g1"), to("g-2", eventstore.Any, "b1")), // not as expected, and known
			commit(to("c-2", eventstore.Any, "c3"), to("c-1", eventstore.Exact(7), "c4")),
		},
		{commit(to("e-1", eventstore.NoStream, "e2", "e1")), commit(to("g-1", eventstore.NoStream, "g1")), commit(to("c-2", eventstore.NoStream, "c3"))},
	} {
		got, err := store.Backend().Commit(t.Context(), batch)
		want, wantErr := reference.Commit(t.Context(), batch)
		if err != nil || wantErr != nil {
			t.Fatal(i, err, wantErr)
		}
		for k := range want {
			if !reflect.DeepEqual(got[k].Result, want[k].Result) || !alike(got[k].Err, want[k].Err) {
				t.Errorf("batch %d, commit %d: got %+v, want %+v", i, k, got[k], want[k])
			}
		}
	}
	type place struct {
		id      uuid.UUID
		kind    string
		stream  eventstore.Stream
		version eventstore.Version
	}
	read := func(b eventstore.Backend, q eventstore.Query) (all []place) {
		for e, err := range b.Read(t.Context(), q, eventstore.Range{}) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, place{e.ID, e.Type, e.Stream, e.Version})
		}
		return all
	}
	for _, q := range []eventstore.Query{
		eventstore.All(), eventstore.WithTags("some"), eventstore.InStream("b-1"), eventstore.OfType("c"), eventstore.InCategory("e"),
	} {
		if got, want := read(store.Backend(), q), read(reference, q); !slices.Equal(got, want) {
			t.Errorf("%v: got %v, want %v", q, got, want)
		}
	}
}

// alike reports whether two refusals say the same.
func alike(got, want error) bool {
	if errors.Is(want, eventstore.ErrIDReused) {
		return errors.Is(got, eventstore.ErrIDReused)
	}
	return reflect.DeepEqual(got, want)
}
