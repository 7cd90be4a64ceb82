package spine

import (
	"context"

	"github.com/necrostack/necrostack/eventstore"
)

// Organ is anything the Spine drives. Package organs makes organs of typed functions; anything else that
// can wire itself is one too.
type Organ interface {
	// Attach binds the organ to a store, without I/O, and reports all its faults at once. Wiring.Name is
	// to be set even then.
	Attach(store *eventstore.Store) (Wiring, error)
}

// Wiring is an organ as the Spine sees it: a consumer of events, a decider of commands, or both.
type Wiring struct {
	Name    string           // unique among the organs of all processes that share the log
	Listens eventstore.Query // which events it handles. The zero Query: none, so it is no consumer
	Key     eventstore.Key   // what an event is handled for. Defaults to its stream
	Handle  Handle           // of a consumer: this, or HandleBatch
	Decides []CommandHandler // the commands it decides
	Sends   []string         // the types of the commands it puts into the log
	Emits   bool             // what it handles may lead to events, so it belongs on the store that has the log
	Policy  Policy           // how it consumes

	// HandleBatch is for consumers that do better with many events at once. Not for Competing.
	HandleBatch HandleBatch
	MaxBatch    int // how many at most. Defaults to 256

	// Prefetch, if not nil, is called before Handle with the next events that this is to be called for, if there are several and
	// nothing has gone wrong with them: it may read at once what they need. It is a help only: what it fails at is left to Handle.
	Prefetch func(ctx context.Context, batch []Input)

	// Begin, if not nil, is called whenever Run begins, before the organ handles anything. Its error ends Run.
	Begin func(ctx context.Context) error

	// CaughtUp, if not nil, is called when the consumer has caught up with the log in all its partitions, whoever works them:
	// at least once after a process has taken some, and again until it returns nil. Several processes may call it at once.
	CaughtUp func(ctx context.Context) error

	// Gather, if not nil, makes what takes the events of a lane up in place of HandleBatch, as long as nothing fails.
	Gather func() Gatherer

	// With are organs that belong to this one: the Spine takes them in as if they had been handed to New, too.
	With []Organ

	// Awaits are those of Sends whose outcome the organ waits for. Organs that wait for each other in a circle are a fault.
	Awaits []string

	// KeyVersion is to be raised by one whenever Key changes what it returns. FormerKey, if not nil, is what it
	// was before that: with it the partitions, wherever they stand, are first brought to one position.
	KeyVersion int
	FormerKey  eventstore.Key
}

// Handle handles one event. It may run again for the same event, after a failure, a conflict or a crash; its
// output counts once. It is given up when ctx ends. What it returns with an error is dropped, unless the
// error is made by Park.
type Handle func(ctx context.Context, in Input) (Output, error)

// HandleBatch handles consecutive events of a partition, from the first on, and returns how many of them the output, which
// is written as one commit, is of. If these are not all, err is why the next one cannot be handled; it is tried again
// by itself then, as its policy says. Else it is like Handle.
type HandleBatch func(ctx context.Context, batch []Input) (out Output, done int, err error)

// Input is an event, and the keys that it is to be handled for. It must not be changed: other organs see the
// same event.
type Input struct {
	*eventstore.Event
	Keys []string

	fault error // its keys could not be had
}

// Output is what handling an event, or deciding a command, led to.
type Output struct {
	// Commit is what to write. The Spine adds the checkpoint; it may join the outputs of consecutive
	// events of a partition into one commit.
	Commit eventstore.Commit

	// Into, if not nil, is written together with Commit. Only HandleBatch may have it.
	Into eventstore.Pending

	// Seen is what Send returns when Commit is empty.
	Seen eventstore.Result

	// Settled, if not nil, is called once with what became of Commit, or of the bigger commit that it
	// became part of. An error says that it was not written, or that this is not known.
	Settled func(r eventstore.Result, err error)
}

// settle tells whoever made the output what became of it.
func (o *Output) settle(r eventstore.Result, err error) {
	if o.Settled != nil {
		o.Settled(r, err)
		o.Settled = nil
	}
}

// empty reports whether there is nothing to write.
func (o *Output) empty() bool {
	c := &o.Commit
	return o.Into == nil && len(c.Appends)+len(c.Schedules)+len(c.Cancels)+len(c.Unparks) == 0
}
