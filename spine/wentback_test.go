package spine_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
	"github.com/necrostack/necrostack/spine/spinetest"
)

// Whoever hears first that the log went back ends the Spine, which tries nothing again and sets nothing aside.
func TestLogThatWentBackEndsRun(t *testing.T) {
	t.Parallel()
	for name, disturb := range map[string]func(tap *spinetest.Tap, back *atomic.Bool, o *spinetest.Organ){
		"a commit hears of it": func(tap *spinetest.Tap, back *atomic.Bool, _ *spinetest.Organ) {
			tap.OnCommit = func(_ []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
				if back.Load() {
					return nil, eventstore.ErrWentBack
				}
				return write()
			}
		},
		"all calls do": func(tap *spinetest.Tap, back *atomic.Bool, _ *spinetest.Organ) {
			tap.OnCall = func() error {
				if back.Load() {
					return eventstore.ErrWentBack
				}
				return nil
			}
		},
		"a handler does": func(_ *spinetest.Tap, back *atomic.Bool, o *spinetest.Organ) {
			handle := o.Handle
			o.Handle = func(ctx context.Context, in spine.Input) (spine.Output, error) {
				if back.Load() {
					return spine.Output{}, errors.Join(errors.New("load"), eventstore.ErrWentBack)
				}
				return handle(ctx, in)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual(t, func(t *spinetest.Trial) {
				tap, back := t.Tap(), new(atomic.Bool)
				o := spinetest.On("organ", "in", spinetest.Copy("copy.", "mid"))
				disturb(tap, back, &o)
				sp := t.Spine(t.Open(tap), spine.Config{}, o)
				ended := make(chan error, 1)
				go func() { ended <- sp.Run(t.Ctx) }()
				t.Put(spinetest.Event("s-1", "in", 1))
				t.Until("it works", func() bool { return len(t.Numbers("copy.s-1")) == 1 })
				back.Store(true)
				t.Put(spinetest.Event("s-1", "in", 2))
				if err := <-ended; !errors.Is(err, eventstore.ErrWentBack) {
					t.Errorf("Run ended with %v, want %v", err, eventstore.ErrWentBack)
				}
				t.WantNumbers("copy.s-1", 1)
				t.WantParked("organ")
			})
		})
	}
}
