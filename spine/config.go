package spine

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// Config of a Spine. The zero value works.
type Config struct {
	Logger    *slog.Logger  // Defaults to slog.Default()
	Observers []Observer    // told of every step, before the logger. Defaults to none
	Policy    Policy        // for what organs leave open. Defaults to the defaults of Policy
	MaxSteps  int           // events that Drain handles before it reports a loop; negative: no bound. Defaults to 10,000
	Lease     time.Duration // how long after its last sign of life a process loses its partitions. Defaults to 15 s
	Grace     time.Duration // how long handlers may go on when Run is to end. Defaults to 10 s
	Conflicts int           // how often a command is decided anew before Send gives up, or an event has failed. Defaults to 50
	Abandoned int           // handlers that ignore the end of their time, before the Spine fails. Defaults to 64
}

// Policy says how an organ consumes. Zero fields take the value of Config.Policy, and then the default.
type Policy struct {
	Partitions    int           // lanes, fixed when the consumer first runs: 1 … 1024. Defaults to 16
	OnError       OnError       // when a handler keeps failing. Defaults to ErrorStore
	OnCommitError OnCommitError // when the store keeps failing. Defaults to CommitRetry
	Retry         Retry         // quick retries, in place
	Deadline      time.Duration // for handling one event. Defaults to 30 s
}

// OnError says what becomes of an event whose handler keeps failing.
type OnError int

const (
	_ OnError = iota

	// ErrorStore parks the event and goes on. Later events of its key are parked behind it, in order; all
	// other keys flow on.
	ErrorStore

	// ErrorLog logs the failure, acknowledges the event and goes on.
	ErrorLog
)

// OnCommitError says what becomes of a commit that the store cannot take for reasons of infrastructure.
type OnCommitError int

const (
	_ OnCommitError = iota

	// CommitRetry backs off and sends the same commit again, until it succeeds or Run ends.
	CommitRetry

	// CommitFail ends Run with the error.
	CommitFail
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
	cfg.Policy = cfg.Policy.or(Policy{
		Partitions: 16, OnError: ErrorStore, OnCommitError: CommitRetry,
		Retry: Retry{Attempts: 4, Base: 50 * time.Millisecond}, Deadline: 30 * time.Second,
	})
	return cfg
}

// or fills p's zero fields from d.
func (p Policy) or(d Policy) Policy {
	orDefault(&p.Partitions, d.Partitions)
	orDefault(&p.OnError, d.OnError)
	orDefault(&p.OnCommitError, d.OnCommitError)
	orDefault(&p.Retry.Attempts, d.Retry.Attempts)
	orDefault(&p.Retry.Base, d.Retry.Base)
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
	if cfg.Lease < 0 || cfg.Grace < 0 || cfg.Conflicts < 0 || cfg.Abandoned < 0 {
		errs = append(errs, errors.New("config: Lease, Grace, Conflicts and Abandoned must not be negative"))
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
	fault(p.OnError < 0 || p.OnError > ErrorLog, "OnError is %d, not ErrorStore or ErrorLog", p.OnError)
	fault(p.OnCommitError < 0 || p.OnCommitError > CommitFail, "OnCommitError is %d, not CommitRetry or CommitFail", p.OnCommitError)
	fault(p.Retry.Attempts < 0, "Retry.Attempts is %d, not 1 or more", p.Retry.Attempts)
	fault(p.Retry.Base < 0 || p.Retry.Base > time.Second, "Retry.Base is %s, not 0 … 1s", p.Retry.Base)
	fault(p.Deadline < 0, "Deadline is negative")
	return errors.Join(errs...)
}
