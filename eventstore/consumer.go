package eventstore

import (
	"context"
	"time"
)

// Leaser is implemented by backends that keep the progress of consumers and share their partitions among
// the processes that run them. Times are by the store's clock. A lease is only an optimisation: what keeps
// two owners from both committing is the epoch in each Checkpoint.
type Leaser interface {
	// Define makes a consumer known, all its partitions at position 0, unless it is known already, and
	// returns it as the log has it.
	Define(ctx context.Context, c Consumer) (Consumer, error)

	// Renew keeps a member alive for ttl from now, as one that runs the named consumers, and returns the
	// roster of each, in the order named. A member that was not renewed in time has lost its partitions
	// only when another claims them.
	Renew(ctx context.Context, m Member, ttl time.Duration) ([]Roster, error)

	// Claim gives the member those of the partitions that no other live member owns, each under a new epoch:
	// also those it owns already, so that a claim whose answer was lost can be made again. The member must be
	// alive.
	Claim(ctx context.Context, member, consumer string, partitions []int) ([]Lease, error)

	// Release gives back those of the leases that still are the member's.
	Release(ctx context.Context, member string, leases []Lease) error

	// Leave gives back all of a member's leases and forgets it.
	Leave(ctx context.Context, member string) error

	// Roster returns who runs a consumer and how far it has come. An unknown consumer has no partitions.
	Roster(ctx context.Context, consumer string) (Roster, error)
}

// Consumer is a named reader with durable progress.
type Consumer struct {
	Name       string
	Partitions int // 1 … MaxPartitions
}

// Member is one process (more exactly: one Spine) among those that share the partitions of consumers.
type Member struct {
	ID        string   // unique for each start of a Spine
	Consumers []string // what it runs
}

// Lease is the right to work one partition, until another epoch begins.
type Lease struct {
	Consumer  string
	Partition int
	Epoch     int64
	Position  Position // where the partition stands
}

// Roster is who runs a consumer, and how far it has come.
type Roster struct {
	Consumer   string
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

// MaxPartitions is how many partitions a consumer may have.
const MaxPartitions = 1024

// Validate checks the name and the number of partitions.
func (c Consumer) Validate() error {
	if c.Partitions < 1 || c.Partitions > MaxPartitions {
		return invalid("consumer", "%s has %d partitions, not 1 … %d", c.Name, c.Partitions, MaxPartitions)
	}
	return checkName("consumer", c.Name)
}
