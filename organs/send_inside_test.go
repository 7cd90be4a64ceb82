package organs_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// A handler may send commands, also several at once: they are decided beside its own batch, each on its own.
func TestCommandsSentByAHandlerDoNotShareItsBatch(t *testing.T) {
	t.Parallel()
	store := memory.Open(memory.Config{})
	var sp *spine.Spine
	errs := make([]error, 8)
	sender := organs.Reactor{Name: "sender", On: organs.Reactions{
		organs.React(func(ctx context.Context, _ rang) (organs.Events, error) {
			var wg sync.WaitGroup
			for i := range errs {
				wg.Go(func() { _, errs[i] = sp.Send(ctx, press{"1"}) })
			}
			wg.Wait()
			return nil, nil
		}),
	}}
	doors := organs.Aggregate[int]{
		Category: "door",
		Evolve:   organs.Evolve[int]{organs.On(func(n *int, _ pressed) { *n++ })},
		Decide: organs.Decide[int]{
			organs.Handle(func(int, press) (organs.Events, error) { return organs.Events{pressed{}}, nil }),
		},
	}
	var err error
	if sp, err = spine.New(store, spine.Config{Logger: slog.New(slog.DiscardHandler)}, sender, doors); err != nil {
		t.Fatal(err)
	}
	if _, err := sp.Emit(t.Context(), eventstore.In("bell-1", rang{})); err != nil {
		t.Fatal(err)
	}
	if _, err := sp.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if n, v, err := doors.Load(t.Context(), store, "1"); n != len(errs) || int(v) != len(errs) || err != nil {
		t.Errorf("%d presses, version %d, %v, want %d", n, v, err, len(errs))
	}
}

type (
	rang    struct{}
	pressed struct{}
	press   struct{ Door string }
)

func (rang) EventType() string    { return "rang" }
func (pressed) EventType() string { return "pressed" }
func (press) CommandType() string { return "press" }
func (p press) StreamID() string  { return p.Door }
