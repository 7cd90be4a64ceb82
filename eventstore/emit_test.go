package eventstore_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

type counted struct{ N int }

func (counted) EventType() string { return "counted" }

func TestEmitBeginsAStreamForEachEventThatNamesNone(t *testing.T) {
	t.Parallel()
	store := memory.Open(memory.Config{})
	r, err := store.Emit(t.Context(), counted{1}, eventstore.In("a-1", counted{2}), eventstore.In("a-1", counted{3}), counted{4})
	if err != nil || r.First != 1 || r.Position != 4 || !slices.Equal(r.Versions, []eventstore.Version{1, 2, 1}) {
		t.Fatalf("%+v, %v", r, err)
	}
	for e, err := range store.Read(t.Context(), eventstore.All(), eventstore.Range{}) {
		named := e.Position == 2 || e.Position == 3
		if err != nil || !named && e.Stream != eventstore.StreamOf("counted", e.ID.String()) || named && e.Stream != "a-1" {
			t.Errorf("position %d is in stream %s, %v", e.Position, e.Stream, err)
		}
	}
	if _, err := store.Emit(t.Context()); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("emit of nothing: %v, want ErrInvalid", err)
	}
	if _, err := store.Emit(t.Context(), counted{5}, nil); !errors.Is(err, eventstore.ErrInvalid) || !strings.Contains(err.Error(), "event 2") {
		t.Errorf("emit of nil: %v, want ErrInvalid that names event 2", err)
	}
}

func TestPayloadOfASchemaThatIsReadAsOldIsRefused(t *testing.T) {
	t.Parallel()
	double := eventstore.UpcastAs(1, func(old counted) counted { return counted{2 * old.N} })
	store := memory.Open(memory.Config{Store: eventstore.Config{Upcasters: []eventstore.Upcaster{double}}})
	_, err := store.Append(t.Context(), "a-1", eventstore.Any, counted{5})
	if !errors.Is(err, eventstore.ErrInvalid) || !strings.Contains(err.Error(), "schema version") {
		t.Errorf("got %v, want ErrInvalid: counted lacks a SchemaVersion, so it would be read doubled", err)
	}
}
