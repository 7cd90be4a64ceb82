package spine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
	"github.com/necrostack/necrostack/spine/spinetest"
)

// A program starts Run in a goroutine and waits at once for what it has just sent.
func TestOrganMayBeWaitedForBeforeItFirstRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memory.Open(memory.Config{})
		organ := spinetest.On("organ", "in", func(context.Context, spine.Input) (spine.Output, error) { return spine.Output{}, nil })
		sp, err := spine.New(store, spine.Config{}, organ)
		if err != nil {
			t.Fatal(err)
		}
		e := eventstore.Event{ID: uuid.New(), Type: "in", Data: []byte(`{}`)}
		r, err := store.Commit(t.Context(), eventstore.Commit{Appends: []eventstore.Append{{Stream: "s-1", Events: []eventstore.Event{e}}}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := sp.WaitFor(ctx, "organ", r.Position); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("before it runs: %v, want to wait until the deadline", err)
		}
		if _, err := sp.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := sp.WaitFor(t.Context(), "organ", r.Position); err != nil {
			t.Error(err)
		}
	})
}
