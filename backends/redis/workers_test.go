package redis_test

import (
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/redis"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
	goredis "github.com/redis/go-redis/v9"
)

// What is in workers' hands shows where operators look for it: as the pending entries of a consumer group.
func TestDeliveriesInHandsShowAsAConsumerGroup(t *testing.T) {
	t.Parallel()
	dsn, stream, client := mailer(t)
	store := openStore(t, dsn, redis.Config{})
	deliver(t, store, "mailer", 3)
	other, err := redis.Open(t.Context(), dsn, redis.Config{})
	if err != nil {
		t.Fatal(err)
	}
	mine := take(t, store, 1, time.Hour)
	theirs := take(t, other, 1, time.Nanosecond)
	shows := func(when string, workers int, pending int64) {
		t.Helper()
		groups, err := client.XInfoGroups(t.Context(), stream).Result()
		if err != nil {
			t.Fatal(err)
		}
		if len(groups) != 1 || groups[0].Name != "workers" || groups[0].Consumers != int64(workers) || groups[0].Pending != pending || groups[0].Lag != 0 {
			t.Errorf("%s the groups are %+v; there should be one of %d workers, with %d pending", when, groups, workers, pending)
		}
	}
	shows("with one delivery in each of two hands,", 2, 2)
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	shows("a worker that departs with something in its hands stays,", 2, 2)
	again := take(t, store, 1, time.Hour)
	if again[0].ID != theirs[0].ID || again[0].Attempt != 2 {
		t.Errorf("what was let lie is %+v; handed out was %+v", theirs, again)
	}
	consumers, err := client.XInfoConsumers(t.Context(), stream, "workers").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range consumers {
		if c.Pending != 0 && c.Pending != 2 {
			t.Errorf("a worker has %d pending: %+v", c.Pending, consumers)
		}
	}
	settle := eventstore.Commit{
		Acks:    []eventstore.Ack{{Consumer: "mailer", ID: mine[0].ID, Attempt: 1}},
		Returns: []eventstore.Return{{Ack: eventstore.Ack{Consumer: "mailer", ID: again[0].ID, Attempt: 2}, Due: time.Now().Add(time.Hour)}},
	}
	if _, err := store.Commit(t.Context(), settle); err != nil {
		t.Fatal(err)
	}
	shows("with all of that done or returned", 2, 0)
	if n, err := client.XLen(t.Context(), stream).Result(); err != nil || n != 0 {
		t.Errorf("the stream has %d entries, %v", n, err)
	}
	last := take(t, store, 9, time.Nanosecond)
	third := openStore(t, dsn, redis.Config{})
	if got := take(t, third, 9, time.Hour); len(got) != len(last) {
		t.Errorf("handed out were %d, then %d", len(last), len(got))
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	shows("of those who departed with nothing in their hands only who closed in time is gone:", 2, 1)
}

// What is done leaves the stream behind one that is in slow hands, too: it holds little more than what is in hands.
func TestOneInSlowHandsDoesNotKeepTheOthersInTheStream(t *testing.T) {
	t.Parallel()
	const all, at = 4000, 100
	dsn, stream, client := mailer(t)
	store := openStore(t, dsn, redis.Config{})
	deliver(t, store, "mailer", all)
	done := func(list []eventstore.Delivery) {
		t.Helper()
		var c eventstore.Commit
		for _, d := range list {
			c.Acks = append(c.Acks, eventstore.Ack{Consumer: "mailer", ID: d.ID, Attempt: d.Attempt})
		}
		if _, err := store.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	length := func() int64 {
		t.Helper()
		n, err := client.XLen(t.Context(), stream).Result()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	slow, others, longest := take(t, store, 1, time.Hour), take(t, store, at, time.Hour), int64(0)
	for n := 1 + at; n < all; n += len(others) {
		next := take(t, store, at, time.Hour)
		longest = max(longest, length())
		done(others)
		others = next
	}
	done(others)
	if longest < at || longest > 1000+3*at {
		t.Errorf("with up to %d in hands, the stream had %d entries", 2*at+1, longest)
	}
	pending, err := client.XPendingExt(t.Context(), &goredis.XPendingExtArgs{Stream: stream, Group: "workers", Start: "-", End: "+", Count: 9}).Result()
	if err != nil || len(pending) != 1 {
		t.Fatalf("one is in hands, but pending are %+v, %v", pending, err)
	}
	if entries, err := client.XRange(t.Context(), stream, pending[0].ID, pending[0].ID).Result(); err != nil || len(entries) != 1 {
		t.Errorf("the entry of the one in hands is %v, %v", entries, err)
	}
	if done(slow); length() != 0 {
		t.Errorf("with all done, the stream has %d entries", length())
	}
}

// mailer names a log of its own, and the stream of what is in hands there, for a client.
func mailer(t *testing.T) (dsn, stream string, client *goredis.Client) {
	t.Helper()
	dsn = testenv.Redis(t).Database(t)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return dsn, "{" + u.Query().Get("log") + "}:w:mailer", testenv.RedisClient(t, dsn)
}

// deliver puts events into the window of a competing consumer.
func deliver(t *testing.T, s *eventstore.Store, consumer string, n int) {
	t.Helper()
	l := s.Backend().(eventstore.Leaser)
	if _, err := l.Define(t.Context(), eventstore.Consumer{Name: consumer, Partitions: 1, Competing: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Renew(t.Context(), eventstore.Member{ID: "feeder", Consumers: []string{consumer}}, time.Hour); err != nil {
		t.Fatal(err)
	}
	leases, err := l.Claim(t.Context(), "feeder", consumer, 1, []int{0})
	if err != nil {
		t.Fatal(err)
	}
	c := eventstore.Commit{Checkpoints: []eventstore.Checkpoint{{Consumer: consumer, Epoch: leases[0].Epoch}}}
	for i := range n {
		c.Deliveries = append(c.Deliveries, eventstore.Delivery{ID: uuid.New(), Consumer: consumer, Position: eventstore.Position(i + 1), Event: uuid.New()})
	}
	if _, err := s.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func take(t *testing.T, s *eventstore.Store, limit int, visibility time.Duration) []eventstore.Delivery {
	t.Helper()
	got, err := s.Backend().(eventstore.Deliverer).Take(t.Context(), "mailer", eventstore.Taking{Limit: limit, Visibility: visibility})
	if err != nil || len(got) == 0 {
		t.Fatalf("take: %v, %v", got, err)
	}
	return got
}

// TestAcknowledgementsOfABatchAreDecidedEachByItself has them beside each other, refused ones and other commits in between.
func TestAcknowledgementsOfABatchAreDecidedEachByItself(t *testing.T) {
	t.Parallel()
	store := openStore(t, testenv.Redis(t).Database(t), redis.Config{})
	deliver(t, store, "mailer", 8)
	deliver(t, store, "caller", 1)
	got := take(t, store, 8, time.Hour)
	called, err := store.Backend().(eventstore.Deliverer).Take(t.Context(), "caller", eventstore.Taking{Limit: 1, Visibility: time.Hour})
	if err != nil || len(called) != 1 {
		t.Fatalf("take: %v, %v", called, err)
	}
	ack := func(d eventstore.Delivery) eventstore.Ack {
		return eventstore.Ack{Consumer: d.Consumer, ID: d.ID, Attempt: d.Attempt}
	}
	former, unknown, theirs := ack(got[2]), ack(got[3]), ack(got[4])
	former.Attempt, unknown.ID, theirs.Consumer = 2, uuid.New(), "caller"
	note := eventstore.Append{Stream: "notes-1", Events: []eventstore.Event{{ID: uuid.New(), Type: "noted", Stream: "notes-1", Data: []byte("{}")}}}
	batch := []eventstore.Commit{
		{Acks: []eventstore.Ack{ack(got[0])}},
		{Acks: []eventstore.Ack{former}},
		{Acks: []eventstore.Ack{unknown}},
		{Acks: []eventstore.Ack{ack(got[1])}},
		{Acks: []eventstore.Ack{ack(called[0])}},
		{Acks: []eventstore.Ack{theirs}},
		{Appends: []eventstore.Append{note}, Acks: []eventstore.Ack{ack(got[5])}},
		{Acks: []eventstore.Ack{ack(got[6])}},
	}
	refused := map[int]eventstore.Ack{1: former, 2: unknown, 5: theirs}
	outcomes, err := store.Backend().Commit(t.Context(), batch)
	if err != nil || len(outcomes) != len(batch) {
		t.Fatalf("%d outcomes, %v", len(outcomes), err)
	}
	for i, o := range outcomes {
		a, want := refused[i]
		fenced, is := errors.AsType[*eventstore.FencedError](o.Err)
		if (o.Err != nil) != want || want && (!is || fenced.Consumer != a.Consumer || fenced.Entry != a.ID) {
			t.Errorf("commit %d came to %+v", i, o)
		}
	}
	if p := outcomes[6].Result.Position; p != 1 {
		t.Errorf("the event stands at %d", p)
	}
	for consumer, want := range map[string]int{"mailer": 4, "caller": 0} {
		n, _, err := store.Backend().(eventstore.Deliverer).Window(t.Context(), consumer)
		if err != nil || n != want {
			t.Errorf("%d deliveries of %s are not done, want %d (%v)", n, consumer, want, err)
		}
	}
}
