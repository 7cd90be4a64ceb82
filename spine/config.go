package spine

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Config of a Spine. The zero value works.
type Config struct {
	Logger    *slog.Logger         // Defaults to slog.Default()
	Observers []Observer           // told of every step, before the logger. Defaults to none
	Tracing   trace.TracerProvider // takes spans. Defaults to OpenTelemetry's global provider: none unless an SDK is installed
	Metrics   metric.MeterProvider // takes metrics. Defaults to the global one likewise
	Policy    Policy               // for what organs leave open. Defaults to the defaults of Policy
	MaxSteps  int                  // events that Drain handles before it reports a loop; negative: no bound. Defaults to 10,000
	Lease     time.Duration        // how long after its last sign of life a process loses its partitions. Defaults to 15 s
	Grace     time.Duration        // how long handlers may go on when Run is to end. Defaults to 10 s
	Conflicts int                  // how often a command is decided anew before Send gives up, or an event has failed. Defaults to 50
	Abandoned int                  // handlers that ignore the end of their time, before the Spine fails. Defaults to 64
	MaxDepth  int                  // causes before an event, beyond which it is parked as a runaway. Defaults to 100

	Middleware []Middleware // around every decision on a command, the first one outermost. Defaults to none
	Elsewhere  []string     // commands that organs send and other processes decide. Defaults to none
	Spill      Spill        // where CommitStore keeps outputs
}

// Spill is the local file of CommitStore.
type Spill struct {
	Path string // of a file that no other process uses. Required by CommitStore
	Most int64  // bytes, beyond which the Spine fails. Defaults to 64 MiB
}

// Policy says how an organ consumes. Zero fields take the value of Config.Policy, and then the default.
type Policy struct {
	Delivery      Delivery      // in order, or each event by itself. Defaults to Ordered
	Partitions    int           // lanes: 1 … 1024. Defaults to what the log has, at first 16. Not for Competing
	Workers       int           // handlers of a Competing organ that run at once, in this process. Defaults to 8
	Window        int           // deliveries of a Competing organ under way, in all processes: 1 … 1000. Defaults to 1000
	Visibility    time.Duration // after which another worker may have a delivery, from when it was taken. Defaults to twice the Deadline
	OnError       OnError       // when a handler keeps failing. Defaults to ErrorStore
	OnCommitError OnCommitError // when the store keeps failing. Defaults to CommitRetry
	Retry         Retry         // quick retries, in place
	Backoff       Backoff       // of ErrorNack
	MaxDeliveries int           // attempts in all, or deliveries of a Competing organ, after which an event stays parked. Defaults to 10
	Deadline      time.Duration // for handling one event. Defaults to 30 s
}

// Delivery says how events come to an organ.
type Delivery int

const (
	_ Delivery = iota

	// Ordered hands events of equal keys to one lane, in order.
	Ordered

	// Competing hands each event to one of several workers, in no order, and acknowledges it alone: for slow
	// side effects. A worker that says nothing for Policy.Visibility loses it to another. A process takes more than it
	// has workers for where handlers are fast; what it does not get to within a second passes to others.
	Competing
)

// OnError says what becomes of an event whose handler keeps failing.
type OnError int

const (
	_ OnError = iota

	// ErrorStore parks the event and goes on. Later events of its key are parked behind it, in order; all
	// other keys flow on.
	ErrorStore

	// ErrorLog logs the failure, acknowledges the event and goes on.
	ErrorLog

	// ErrorNack is ErrorStore, but the event is tried again by itself, after a Backoff, until it has failed
	// Policy.MaxDeliveries times.
	ErrorNack
)

// OnCommitError says what becomes of a commit that the store cannot take for reasons of infrastructure.
type OnCommitError int

const (
	_ OnCommitError = iota

	// CommitRetry backs off and sends the same commit again, until it succeeds or Run ends.
	CommitRetry

	// CommitFail ends Run with the error.
	CommitFail

	// CommitStore tries as often as Policy.Retry says, then writes the events and what came of them to a local
	// file, see Config.Spill, and goes on. The events are parked with the next commit that succeeds, so what came of
	// them counts no more: it is in the file for whoever wants to see it, until the events are parked. That a
	// handler's output counts exactly once is given up.
	CommitStore
)

// Retry says how often a failing handler is tried at once, before OnError decides. The delays double from
// Base, each between half and all of that; together they should stay below a second, for the lane waits.
type Retry struct {
	Attempts int           // in all, so 1 never retries. Defaults to 4
	Base     time.Duration // before the second attempt. Defaults to 50 ms
}

// delay before the attempt that follows so many failures.
func (r Retry) delay(failures int) time.Duration {
	return jitter(r.Base << min(max(failures-1, 0), 10))
}

// Backoff is how long an event waits that is to be tried again: the time doubles from Base to Most, each between
// half and all of that.
type Backoff struct {
	Base time.Duration // Defaults to 1 s
	Most time.Duration // Defaults to 5 min
}

// delay before the nth time, from 1, that an event is tried again.
func (b Backoff) delay(n int) time.Duration {
	d := b.Base
	for ; n > 1 && d < b.Most; n-- {
		d *= 2
	}
	return jitter(min(d, b.Most))
}

// jitter returns between half and all of d.
func jitter(d time.Duration) time.Duration {
	if d <= 1 {
		return d
	}
	return d/2 + rand.N(d/2+1)
}

func (cfg Config) withDefaults() Config {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	orDefault(&cfg.MaxSteps, 10_000)
	orDefault(&cfg.Lease, 15*time.Second)
	orDefault(&cfg.Grace, 10*time.Second)
	orDefault(&cfg.Conflicts, 50)
	orDefault(&cfg.Abandoned, 64)
	orDefault(&cfg.MaxDepth, 100)
	orDefault(&cfg.Spill.Most, 64<<20)
	cfg.Policy = cfg.Policy.or(Policy{
		Delivery: Ordered, Partitions: 16, Workers: 8, Window: maxWindow, OnError: ErrorStore, OnCommitError: CommitRetry,
		Retry: Retry{Attempts: 4, Base: 50 * time.Millisecond}, Backoff: Backoff{Base: time.Second, Most: 5 * time.Minute},
		MaxDeliveries: 10, Deadline: 30 * time.Second,
	})
	return cfg
}

// maxWindow bounds the deliveries of a consumer that are under way.
const maxWindow = 1000

// or fills p's zero fields from d.
func (p Policy) or(d Policy) Policy {
	orDefault(&p.Delivery, d.Delivery)
	orDefault(&p.Partitions, d.Partitions)
	orDefault(&p.Workers, d.Workers)
	orDefault(&p.Window, d.Window)
	orDefault(&p.Visibility, d.Visibility)
	orDefault(&p.OnError, d.OnError)
	orDefault(&p.OnCommitError, d.OnCommitError)
	orDefault(&p.Retry.Attempts, d.Retry.Attempts)
	orDefault(&p.Retry.Base, d.Retry.Base)
	orDefault(&p.Backoff.Base, d.Backoff.Base)
	orDefault(&p.Backoff.Most, d.Backoff.Most)
	orDefault(&p.MaxDeliveries, d.MaxDeliveries)
	orDefault(&p.Deadline, d.Deadline)
	return p
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate reports all faults at once.
func (cfg Config) Validate() error {
	var errs []error
	if cfg.Lease < 0 || cfg.Grace < 0 || cfg.Conflicts < 0 || cfg.Abandoned < 0 || cfg.MaxDepth < 0 || cfg.Spill.Most < 0 {
		errs = append(errs, errors.New("config: Lease, Grace, Conflicts, Abandoned, MaxDepth and Spill.Most must not be negative"))
	}
	for i, m := range cfg.Middleware {
		if m == nil {
			errs = append(errs, fmt.Errorf("config: middleware %d is nil", i+1))
		}
	}
	for _, typ := range cfg.Elsewhere {
		if err := eventstore.CheckName("command type", typ); err != nil {
			errs = append(errs, fmt.Errorf("config: Elsewhere: %w", err))
		}
	}
	for i, o := range cfg.Observers {
		if o == nil {
			errs = append(errs, fmt.Errorf("config: observer %d is nil", i+1))
		}
	}
	return errors.Join(append(errs, cfg.Policy.Validate())...)
}

// Validate reports all faults at once. Zero fields are fine.
func (p Policy) Validate() error {
	var errs []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf("policy: "+format, args...))
		}
	}
	fault(p.Partitions < 0 || p.Partitions > eventstore.MaxPartitions, "Partitions is %d, not 1 … %d", p.Partitions, eventstore.MaxPartitions)
	fault(p.Delivery < 0 || p.Delivery > Competing, "Delivery is %d, not Ordered or Competing", p.Delivery)
	fault(p.Delivery == Competing && p.Partitions != 0, "Partitions is %d, but Competing has none", p.Partitions)
	fault(p.Workers < 0 || p.Workers > maxWindow, "Workers is %d, not 1 … %d", p.Workers, maxWindow)
	fault(p.Window < 0 || p.Window > maxWindow, "Window is %d, not 1 … %d", p.Window, maxWindow)
	fault(p.Visibility < 0, "Visibility is negative")
	fault(p.Visibility > 0 && p.Deadline > p.Visibility, "Visibility is %s, less than Deadline, which is %s", p.Visibility, p.Deadline)
	fault(p.OnError < 0 || p.OnError > ErrorNack, "OnError is %d, not ErrorStore, ErrorLog or ErrorNack", p.OnError)
	fault(p.OnCommitError < 0 || p.OnCommitError > CommitStore, "OnCommitError is %d, not CommitRetry, CommitFail or CommitStore", p.OnCommitError)
	fault(p.Backoff.Base < 0 || p.Backoff.Most < 0, "Backoff is negative")
	fault(p.Backoff.Most > 0 && p.Backoff.Base > p.Backoff.Most, "Backoff.Base is %s, more than Backoff.Most", p.Backoff.Base)
	fault(p.MaxDeliveries < 0, "MaxDeliveries is %d, not 1 or more", p.MaxDeliveries)
	fault(p.Retry.Attempts < 0, "Retry.Attempts is %d, not 1 or more", p.Retry.Attempts)
	fault(p.Retry.Base < 0 || p.Retry.Base > time.Second, "Retry.Base is %s, not 0 … 1s", p.Retry.Base)
	fault(p.Deadline < 0, "Deadline is negative")
	return errors.Join(errs...)
}
