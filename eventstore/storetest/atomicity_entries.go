package storetest

import "github.com/necrostack/necrostack/eventstore"

func parksWithCheckpoints(t *trial) {
	t.stepwise("parked", func(l eventstore.Lease, e eventstore.Event) eventstore.Commit {
		return eventstore.Commit{Parks: []eventstore.Parked{entry(l, "key", e)}}
	}, func(s *eventstore.Store, _ string) int { return len(t.parked(s, eventstore.ParkedFilter{})) })
}

func deliveriesWithCheckpoints(t *trial) {
	t.stepwise("delivered", func(l eventstore.Lease, e eventstore.Event) eventstore.Commit {
		return eventstore.Commit{Deliveries: []eventstore.Delivery{toDeliver(l.Consumer, e.Position)}}
	}, func(s *eventstore.Store, consumer string) int {
		n, _ := t.window(s, consumer)
		return n
	})
}

// stepwise moves a checkpoint by one with each entry that it writes, while another connection counts them.
func (t *trial) stepwise(what string, step func(l eventstore.Lease, e eventstore.Event) eventstore.Commit, count func(s *eventstore.Store, consumer string) int) {
	const events = 30
	lease := t.claim(t.store, "member", "stepping", 1)[0]
	t.add(t.store, "handled-1", eventsOf(events, "handled")...)
	handled, other := t.all(t.store), t.another()
	done := make(chan struct{})
	defer func() { <-done }()
	go func() {
		defer close(done)
		for i, e := range handled {
			lease.Position = eventstore.Position(i)
			c := step(lease, e)
			c.Checkpoints = []eventstore.Checkpoint{checkpoint(lease, lease.Position+1)}
			if _, err := t.store.Commit(t.ctx, c); err != nil {
				t.Errorf("could not try whether %s: %v", t.says, err)
				return
			}
		}
	}()
	for over := false; !over && !t.Failed(); {
		select {
		case <-done:
			over = true
		default:
		}
		stands := t.roster(other, "stepping").Position()
		entries := count(other, "stepping")
		now := t.roster(other, "stepping").Position()
		if entries < int(stands) || entries > int(now) {
			t.broken("the checkpoint went from %d to %d while %d entries were %s", stands, now, entries, what)
		}
	}
}
