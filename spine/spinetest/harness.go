package spinetest

import (
	"cmp"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

// Harness says how to reach the backend under test.
type Harness struct {
	// Open makes a fresh, empty log and returns how to connect to it. Each call of connect must be as good
	// as another process: a backend with connections of its own, which the suite closes. A log in memory
	// returns the same backend every time. Whatever goes wrong is reported to tb.
	Open func(tb testing.TB) (connect func() eventstore.Backend)

	Patience time.Duration // how long a test may take before it counts as hanging. Defaults to a minute

	// Lease is the shortest that a Spine can keep alive on the backend, on a busy machine: tests that want a shorter
	// one get this. A server takes about a second; with less, all that Spines do is to lose their leases. Defaults to
	// what a test wants.
	Lease time.Duration
}

// promise is one test. Its name is a sentence that must be true.
type promise struct {
	name string
	run  func(t *Trial)
}

// Run tries every promise of the Spine on logs that h opens. Run's tests are parallel.
func Run(t *testing.T, h Harness) {
	t.Helper()
	topics := []struct {
		name     string
		promises []promise
	}{
		{"Order", order()},
		{"Keys", keys()},
		{"Commits", commits()},
		{"Conflicts", conflicts()},
		{"Send", sends()},
		{"Failures", failures()},
		{"Redrive", redrives()},
		{"RedriveExactly", redrivesExactly()},
		{"Posted", posted()},
		{"Spills", spills()},
		{"Careful", carefuls()},
		{"Gather", gathers()},
		{"CaughtUp", caughtUps()},
		{"Depth", depths()},
		{"Middleware", middlewares()},
		{"Schedules", schedules()},
		{"Outputs", outputs()},
		{"Leases", leases()},
		{"Waiting", waiting()},
		{"Drain", drains()},
		{"Lifecycle", lifecycle()},
		{"Feed", feeds()},
		{"Causation", causation()},
		{"Rolling", rolling()},
		{"Definitions", definitions()},
		{"Control", control()},
		{"Competing", competes()},
	}
	for _, topic := range topics {
		t.Run(topic.name, func(t *testing.T) {
			t.Parallel()
			for _, p := range topic.promises {
				t.Run(p.name, func(t *testing.T) {
					t.Parallel()
					p.run(NewTrial(t, h))
				})
			}
		})
	}
}

// Trial is one test, on a log of its own.
type Trial struct {
	*testing.T

	Ctx   context.Context // everything in the test ends with it
	Store *eventstore.Store

	harness Harness
	connect func() eventstore.Backend
}

// NewTrial opens a fresh log for a test.
func NewTrial(t *testing.T, h Harness) *Trial {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), cmp.Or(h.Patience, time.Minute))
	t.Cleanup(cancel)
	trial := &Trial{T: t, Ctx: ctx, harness: h, connect: h.Open(t)}
	trial.Store = trial.Open(trial.Tap())
	return trial
}

// Tap connects to the log once more, as another process would.
func (t *Trial) Tap() *Tap {
	t.Helper()
	b, ok := t.connect().(Backend)
	if !ok {
		t.Skip("the backend lacks an optional interface that the Spine needs")
	}
	return NewTap(b)
}

// Open makes a store on a tap, and closes it when the test ends.
func (t *Trial) Open(b eventstore.Backend, cfg ...eventstore.Config) *eventstore.Store {
	t.Helper()
	st := eventstore.New(b, append(cfg, eventstore.Config{})[0])
	t.Cleanup(func() {
		if tap, ok := b.(*Tap); ok {
			tap.Free()
		}
		if err := st.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return st
}

// Spine makes a Spine that logs nothing, and whose lease the backend can keep up with.
func (t *Trial) Spine(st *eventstore.Store, cfg spine.Config, organs ...spine.Organ) *spine.Spine {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Lease != 0 {
		cfg.Lease = max(cfg.Lease, t.harness.Lease)
	}
	sp, err := spine.New(st, cfg, organs...)
	if err != nil {
		t.Fatal(err)
	}
	return sp
}

// Start runs a Spine until stop, or until the test ends. Both wait for it.
func (t *Trial) Start(sp *spine.Spine) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Ctx)
	done := make(chan struct{})
	var err error
	go func() {
		defer close(done)
		err = sp.Run(ctx)
	}()
	stop = func() error {
		cancel()
		<-done
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}

// Drain drains a Spine, and fails the test if that fails.
func (t *Trial) Drain(sp *spine.Spine) time.Time {
	t.Helper()
	next, err := sp.Drain(t.Ctx)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// Done waits until the organ, which runs or is about to, has done everything that is in the log now.
func (t *Trial) Done(organ string) {
	t.Helper()
	t.Until("the organ is known", func() bool { return len(t.Roster(organ).Partitions) > 0 })
	if err := t.Store.WaitFor(t.Ctx, organ, t.Head()); err != nil {
		t.Fatal(err)
	}
}

// Until waits for what nothing announces.
func (t *Trial) Until(what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-t.Ctx.Done():
			t.Fatalf("it never came to this: %s", what)
		}
	}
}
