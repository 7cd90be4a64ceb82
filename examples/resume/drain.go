package resume

import (
	"context"
	"time"

	"github.com/necrostack/necrostack/spine"
)

// Lease is how long a run that was killed may hold up the next one, which cannot know that it is dead and not just slow.
// A service would rather take the default of spine.Config, which is longer: it has others to go on meanwhile, and pauses
// of seconds must not cost it its partitions. Here somebody waits, and losing a partition costs no more than doing some
// work twice, whose output counts once.
const Lease = 3 * time.Second

// Drain has the organs do all that there is to do, what earlier runs have left undone too. What is due within a Lease is
// waited for: a run that was killed has had it in hand.
func Drain(ctx context.Context, sp *spine.Spine) error {
	for {
		next, err := sp.Drain(ctx)
		wait := time.Until(next)
		if err != nil || next.IsZero() || wait > Lease {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}
