package sagas_test

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"testing"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

func TestInstanceThatLivesWithoutADefinitionIsFoundBehindManyThatHaveEndedUnseen(t *testing.T) {
	t.Parallel()
	st := memory.Open(memory.Config{})
	defer st.Close()
	silent := organs.Aggregate[bool]{Category: "place", Decide: organs.Decide[bool]{
		organs.Handle(func(bool, visit) (organs.Events, error) { return nil, nil }),
	}}
	cfg := spine.Config{Logger: slog.New(slog.DiscardHandler)}
	sp, err := spine.New(st, cfg, journeys("trip", visiting("rome")), silent)
	if err != nil {
		t.Fatal(err)
	}
	drain := func(events ...eventstore.Payload) {
		t.Helper()
		if _, err := sp.Emit(t.Context(), events...); err != nil {
			t.Fatal(err)
		}
		if _, err := sp.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var begin, end []eventstore.Payload
	for i := range 50 {
		id := fmt.Sprint(100 + i)
		begin = append(begin, ordered{id})
		if i != 41 {
			end = append(end, eventstore.Draft{Payload: visited{"rome"}, Stream: "place-1", ReplyTo: "saga.trip-" + id + "/rome/1/do"})
		}
	}
	drain(begin...)
	if err := st.Pause(t.Context(), "saga_trip_v1"); err != nil { // the rows show all as living
		t.Fatal(err)
	}
	drain(end...)
	newer := journeys("trip", visiting("oslo"))
	newer.Version = 2
	sp, err = spine.New(st, cfg, newer, silent)
	if err != nil {
		t.Fatal(err)
	}
	_, err = sp.Drain(t.Context())
	live, ok := errors.AsType[*sagas.LiveError](err)
	if want := map[int][]string{1: {"141"}}; !ok || !reflect.DeepEqual(live.Instances, want) {
		t.Errorf("%v, want that 141 lives", err)
	}
}
