package memory_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

// delivered is a store with deliveries for the consumer c, at the positions 1 to n.
func delivered(t *testing.T, b *memory.Backend, n int) *eventstore.Store {
	t.Helper()
	s := eventstore.New(b, eventstore.Config{})
	if _, err := b.Define(t.Context(), eventstore.Consumer{Name: "c", Partitions: 1, Competing: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Renew(t.Context(), eventstore.Member{ID: "feeder", Consumers: []string{"c"}}, time.Hour); err != nil {
		t.Fatal(err)
	}
	leases, err := b.Claim(t.Context(), "feeder", "c", 1, []int{0})
	if err != nil {
		t.Fatal(err)
	}
	c := eventstore.Commit{Checkpoints: []eventstore.Checkpoint{{Consumer: "c", Epoch: leases[0].Epoch}}}
	for p := range n {
		c.Deliveries = append(c.Deliveries, eventstore.Delivery{ID: uuid.New(), Consumer: "c", Position: eventstore.Position(p + 1)})
	}
	wrote(t, s, c)
	return s
}

func take(t *testing.T, b *memory.Backend, visibility time.Duration) []eventstore.Delivery {
	t.Helper()
	list, err := b.Take(t.Context(), "c", eventstore.Taking{Limit: 10, Visibility: visibility})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestDeliveryIsItsHoldersForAsLongAsItWasGiven(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		s := delivered(t, b, 1)
		const visibility = 10 * time.Second
		first := take(t, b, visibility)
		if n, next, err := b.Window(t.Context(), "c"); n != 1 || !next.Equal(time.Now().Add(visibility)) || err != nil {
			t.Errorf("the window counts %d, the next %s from now, %v", n, time.Until(next), err)
		}
		time.Sleep(visibility - time.Nanosecond)
		if early := take(t, b, visibility); len(first) != 1 || len(early) != 0 {
			t.Fatalf("taken was %+v, and a nanosecond before its time had passed %+v", first, early)
		}
		time.Sleep(time.Nanosecond)
		if _, next, _ := b.Window(t.Context(), "c"); next.After(time.Now()) {
			t.Errorf("its time has passed, and it can be taken %s from now", time.Until(next))
		}
		second := take(t, b, visibility)
		if len(second) != 1 || second[0].ID != first[0].ID || second[0].Attempt != 2 {
			t.Fatalf("its time has passed, and taken was %+v", second)
		}
		ack := eventstore.Commit{Acks: []eventstore.Ack{{Consumer: "c", ID: first[0].ID, Attempt: 1}}}
		if _, err := s.Commit(t.Context(), ack); !errors.Is(err, eventstore.ErrFenced) {
			t.Errorf("its former holder was told %v", err)
		}
		time.Sleep(visibility)
		ack.Acks[0].Attempt = 2
		wrote(t, s, ack) // nobody else has taken it
	})
}

func TestReturnedDeliveryIsHandedOutFromTheTimeThatItIsDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		s := delivered(t, b, 2)
		list := take(t, b, time.Minute)
		var c eventstore.Commit
		for i, after := range []time.Duration{time.Second, time.Hour} { // sooner and later than it was given for
			c.Returns = append(c.Returns, eventstore.Return{
				Ack: eventstore.Ack{Consumer: "c", ID: list[i].ID, Attempt: 1}, Due: time.Now().Add(after),
			})
		}
		wrote(t, s, c)
		for i, wait := range []time.Duration{time.Second, time.Hour - time.Second} {
			time.Sleep(wait - time.Microsecond)
			if early := take(t, b, 2*time.Hour); len(early) != 0 {
				t.Errorf("a microsecond early taken was %+v", early)
			}
			time.Sleep(time.Microsecond)
			if due := take(t, b, 2*time.Hour); len(due) != 1 || due[0].Position != eventstore.Position(i+1) || due[0].Attempt != 2 {
				t.Errorf("when it was due taken was %+v", due)
			}
		}
	})
}

// Each owner that dies counts, until one has moved the partition; who hands it back does not.
func TestLeaseCountsTheOwnersThatWereLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		s := eventstore.New(b, eventstore.Config{})
		if _, err := b.Define(t.Context(), eventstore.Consumer{Name: "c", Partitions: 1}); err != nil {
			t.Fatal(err)
		}
		claim := func(member string, want int) eventstore.Lease {
			t.Helper()
			if _, err := b.Renew(t.Context(), eventstore.Member{ID: member, Consumers: []string{"c"}}, time.Second); err != nil {
				t.Fatal(err)
			}
			leases, err := b.Claim(t.Context(), member, "c", 1, []int{0})
			if err != nil || len(leases) != 1 || leases[0].Lost != want {
				t.Errorf("%s got %+v, %v; lost were %d", member, leases, err, want)
			}
			return leases[0]
		}
		for n, member := range []string{"first", "second", "third"} {
			claim(member, n)
			time.Sleep(2 * time.Second)
		}
		l := claim("fourth", 3)
		wrote(t, s, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{{Consumer: "c", Epoch: l.Epoch, To: 1}}})
		claim("fourth", 0)
		if err := b.Leave(t.Context(), "fourth"); err != nil {
			t.Fatal(err)
		}
		claim("fifth", 0)
	})
}
