package spinetest

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func caughtUps() []promise {
	return []promise{
		{"CaughtUp is called at the end of Drain, when all is done", caughtUpDrain},
		{"CaughtUp that fails is called again until it does not", caughtUpFails},
		{"CaughtUp is called again after a reset", caughtUpReset},
		{"CaughtUp is not called for who is paused", caughtUpPaused},
	}
}

// approach is an organ that counts, and how often it was told that it has caught up.
type approach struct {
	handled, told atomic.Int64
	fails         atomic.Int64 // so often
	early         atomic.Int64 // it was told with fewer events handled than least
	least         atomic.Int64
}

func (a *approach) organ() Organ {
	o := On("organ", "in", func(context.Context, spine.Input) (spine.Output, error) {
		a.handled.Add(1)
		return spine.Output{}, nil
	})
	o.CaughtUp = func(context.Context) error {
		if a.handled.Load() < a.least.Load() {
			a.early.Add(1)
		}
		if a.fails.Add(-1) >= 0 {
			return errors.New("not yet")
		}
		a.told.Add(1)
		return nil
	}
	return o
}

func caughtUpDrain(t *Trial) {
	var a approach
	a.least.Store(20)
	a.fails.Store(2)
	sp := t.another(spine.Config{}, a.organ())
	t.numbered(1, 20)
	t.Drain(sp)
	if told, early := a.told.Load(), a.early.Load(); told != 1 || early > 0 || a.fails.Load() >= 0 {
		t.Errorf("it was told %d times, %d of all too early", told, early)
	}
	t.Drain(sp)
	if told := a.told.Load(); told != 2 {
		t.Errorf("after another Drain it was told %d times, want twice", told)
	}
}

func caughtUpFails(t *Trial) {
	var a approach
	a.least.Store(20)
	a.fails.Store(3)
	t.numbered(1, 20)
	t.Start(t.another(spine.Config{}, a.organ()))
	t.Until("it is told", func() bool { return a.told.Load() == 1 })
	if early := a.early.Load(); early > 0 || a.fails.Load() != -1 {
		t.Errorf("it was told %d times too early, and %d times in all after the failures", early, -a.fails.Load())
	}
}

func caughtUpReset(t *Trial) {
	var a approach
	a.least.Store(20)
	t.numbered(1, 20)
	t.Start(t.another(spine.Config{}, a.organ()))
	t.Until("it is told", func() bool { return a.told.Load() > 0 })
	t.Done("organ")
	told := a.told.Load()
	a.least.Store(40)
	t.must(t.Store.Reset(t.Ctx, "organ", 0))
	t.Until("it is told again", func() bool { return a.told.Load() > told })
	if early := a.early.Load(); early > 0 {
		t.Errorf("it was told %d times too early", early)
	}
}

func caughtUpPaused(t *Trial) {
	var a approach
	sp := t.another(spine.Config{}, a.organ())
	t.Drain(sp)
	told := a.told.Load()
	controller, _ := t.Store.Backend().(eventstore.Controller)
	t.must(controller.Pause(t.Ctx, "organ", true))
	t.numbered(1, 5)
	t.Drain(sp)
	if got := a.told.Load(); got != told {
		t.Errorf("it was told %d times while it was paused", got-told)
	}
	t.must(controller.Pause(t.Ctx, "organ", false))
	t.Drain(sp)
	if got := a.told.Load(); got != told+1 {
		t.Errorf("it was told %d times after the pause, want once", got-told)
	}
}
