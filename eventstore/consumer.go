package eventstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Leaser is implemented by backends that keep the progress of consumers and share their partitions among
// the processes that run them. Times are by the store's clock. A lease is only an optimisation: what keeps
// two owners from both committing is the epoch in each Checkpoint.
type Leaser interface {
	// Define makes a consumer known, all its partitions at position 0 and of generation 1, unless it is known
	// already, and returns it as the log has it.
	Define(ctx context.Context, c Consumer) (Consumer, error)

	// Redefine replaces a consumer's definition by c and raises its generation by one, provided that it
	// still is c.Generation: else it fails with ErrConflict. Every partition gets a new epoch and no owner,
	// and keeps its position. A changed number of partitions also is ErrConflict unless all of them stand
	// at one position, where the new ones begin. It returns the consumer as the log has it now.
	Redefine(ctx context.Context, c Consumer) (Consumer, error)

	// Renew keeps a member alive for ttl from now, as one that runs the named consumers, and returns the
	// roster of each, in the order named. A member that was not renewed in time has lost its partitions
	// only when another claims them.
	Renew(ctx context.Context, m Member, ttl time.Duration) ([]Roster, error)

	// Claim gives the member those of the partitions that no other live member owns, each under a new epoch:
	// also those it owns already, so that a claim whose answer was lost can be made again. It fails with
	// ErrFenced unless the member is alive and the consumer is of that generation and not paused.
	Claim(ctx context.Context, member, consumer string, generation int64, partitions []int) ([]Lease, error)

	// Release gives back those of the leases that still are the member's.
	Release(ctx context.Context, member string, leases []Lease) error

	// Leave gives back all of a member's leases and forgets it.
	Leave(ctx context.Context, member string) error

	// Roster returns who runs a consumer and how far it has come. An unknown consumer has no partitions.
	Roster(ctx context.Context, consumer string) (Roster, error)
}

// Controller is implemented by backends whose consumers operators can control, from any process.
type Controller interface {
	// Consumers returns all consumers that the log knows, sorted by name.
	Consumers(ctx context.Context) ([]Consumer, error)

	// Pause takes a consumer's partitions from their owners, as an expired lease would, and gives them to
	// nobody until it is called with paused false. Pausing what is paused changes nothing.
	Pause(ctx context.Context, consumer string, paused bool) error

	// Reset moves all partitions of a consumer to a position, each under a new epoch and without an owner,
	// and forgets its parked entries and deliveries that come after it.
	Reset(ctx context.Context, consumer string, to Position) error
}

// Consumer is a named reader with durable progress: its definition, which decides where each event goes.
type Consumer struct {
	Name       string
	Partitions int      // 1 … MaxPartitions
	Keys       int      // the version of its key function, from 0
	Hash       string   // how keys are spread over partitions
	Listens    []string // what it listens to, in a text of its own
	Competing  bool     // its events are delivered one by one, in no order

	// Next is not empty while the partitions are brought to one position, Until, for the definition that has it for
	// its fingerprint. No partition goes beyond it.
	Until Position
	Next  string

	Generation int64    // which definition this is, from 1; given by the log
	Former     []string // fingerprints of earlier definitions, the last ones
}

// Fingerprint is the same for definitions that send every event to the same partition.
func (c Consumer) Fingerprint() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %q %q %t", c.Partitions, c.Keys, c.Hash, c.Listens, c.Competing))
	return hex.EncodeToString(sum[:16])
}

// Clone returns a copy that shares no memory with c.
func (c Consumer) Clone() Consumer {
	same := func(s string) string { return s }
	c.Listens, c.Former = cloneEach(c.Listens, same), cloneEach(c.Former, same)
	return c
}

// Member is one process (more exactly: one Spine) among those that share the partitions of consumers.
type Member struct {
	ID        string   // unique for each start of a Spine
	Consumers []string // what it runs, in their present definition
}

// Lease is the right to work one partition, until another epoch begins.
type Lease struct {
	Consumer  string
	Partition int
	Epoch     int64
	Position  Position // where the partition stands
	Lost      int      // how many owners in a row the partition has outlived without moving
}

// Roster is who runs a consumer, and how far it has come.
type Roster struct {
	Consumer   string
	Generation int64    // of its definition
	Competing  bool     // its partitions only say what was put into its window
	Paused     bool     // nobody may run it
	History    Position // the head when it was defined, or last reset: what comes up to there was in the log before
	Redrives   int64    // grows whenever parked entries were redriven or taken back by others than their owner
	Members    []string // the live ones that run it, sorted
	Partitions []Partition
}

// Partition is the state of one lane of a consumer.
type Partition struct {
	Owner    string // "" if no live member owns it
	Epoch    int64  // 0 if it was never owned
	Position Position
}

// Position is how far the slowest partition has come, or 0 without partitions.
func (r Roster) Position() Position {
	if len(r.Partitions) == 0 {
		return 0
	}
	least := r.Partitions[0].Position
	for _, p := range r.Partitions {
		least = min(least, p.Position)
	}
	return least
}

// Bounds of a consumer's definition.
const (
	MaxPartitions = 1024
	maxListens    = 10_000    // texts of what a consumer listens to
	maxListen     = 256 << 10 // bytes of one: it names a type, and as many tags as a query may have
	maxFormer     = 100
)

// Validate checks names and sizes.
func (c Consumer) Validate() error {
	switch {
	case c.Partitions < 1 || c.Partitions > MaxPartitions:
		return invalid("consumer", "%s has %d partitions, not 1 … %d", c.Name, c.Partitions, MaxPartitions)
	case c.Keys < 0:
		return invalid("consumer", "%s has version %d of its key, not 0 or more", c.Name, c.Keys)
	case c.Until < 0 || c.Until > maxVersion:
		return invalid("consumer", "%s is to stop at position %d", c.Name, c.Until)
	case len(c.Listens) > maxListens:
		return invalid("consumer", "%s listens to %d things, more than %d", c.Name, len(c.Listens), maxListens)
	case len(c.Former) > maxFormer:
		return invalid("consumer", "%s had %d definitions, more than %d", c.Name, len(c.Former), maxFormer)
	}
	errs := []error{checkName("consumer", c.Name), checkText("hash", c.Hash), checkText("next definition", c.Next)}
	for _, text := range append(slices.Clone(c.Listens), c.Former...) {
		if len(text) > maxListen {
			errs = append(errs, invalid("consumer", "%s listens to %.40q…, which has %d bytes, more than %d", c.Name, text, len(text), maxListen))
		}
		errs = append(errs, checkText("definition", text))
	}
	return errors.Join(errs...)
}
