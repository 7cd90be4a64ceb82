package eventstore_test

import (
	"context"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

// stands is the status of consumer c.
func stands(t *testing.T, s *eventstore.Store) eventstore.Status {
	t.Helper()
	st, err := s.Status(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// moved commits where the partitions of consumer c have come to, whose leases these are.
func moved(t *testing.T, s *eventstore.Store, leases []eventstore.Lease, to ...eventstore.Position) {
	t.Helper()
	var c eventstore.Commit
	for i, p := range to {
		l := &leases[i]
		c.Checkpoints = append(c.Checkpoints, eventstore.Checkpoint{Consumer: "c", Partition: l.Partition, Epoch: l.Epoch, From: l.Position, To: p})
		l.Position = p
	}
	if _, err := s.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// one writes an event.
func one(t *testing.T, s *eventstore.Store) {
	t.Helper()
	wrote(t, s, "account-1", raw("deposited", "{}"))
}

func TestStatusTellsWhoWorksAConsumerAndHowFarItIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		s, other := eventstore.New(b, eventstore.Config{}), eventstore.New(b, eventstore.Config{})
		for range 4 { // at 0, 1, 2 and 3 seconds
			one(t, s)
			time.Sleep(time.Second)
		}
		leases := []eventstore.Lease{leased(t, b, eventstore.Consumer{Name: "c", Partitions: 3})}
		more, err := b.Claim(t.Context(), "m", "c", 1, []int{2})
		if err != nil {
			t.Fatal(err)
		}
		moved(t, s, append(leases, more...), 4, 2)
		want := eventstore.Status{
			Consumer: "c", At: time.Now().UTC(), Generation: 1, Head: 4, Lag: 4, Behind: 4 * time.Second, Members: []string{"m"},
			Partitions: []eventstore.Partition{{Owner: "m", Epoch: 1, Position: 4}, {}, {Owner: "m", Epoch: 1, Position: 2}}, Unowned: []int{1},
		}
		for _, from := range []*eventstore.Store{s, other} {
			got := stands(t, from)
			if want.At = got.At; !reflect.DeepEqual(got, want) {
				t.Errorf("it is\n%+v\nnot\n%+v", got, want)
			}
			if now := time.Now(); !got.At.Equal(now) {
				t.Errorf("it was taken at %s, not %s", got.At, now)
			}
		}
	})
}

// Nobody runs the consumer any more. What it was the last to see does not matter.
func TestStatusOfADeadReaderGetsWorse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		s := eventstore.New(b, eventstore.Config{})
		one(t, s)
		l := []eventstore.Lease{leased(t, b, eventstore.Consumer{Name: "c", Partitions: 1})} // for an hour
		moved(t, s, l, 1)
		if st := stands(t, s); st.Lag != 0 || st.Behind != 0 || !st.Healthy() {
			t.Errorf("caught up, it is %+v, in trouble %q", st, st.Trouble())
		}
		for n := range int64(3) {
			one(t, s)
			time.Sleep(time.Minute)
			if st := stands(t, s); st.Lag != n+1 || st.Behind != time.Duration(n+1)*time.Minute || !st.Healthy() {
				t.Errorf("%d minutes after it has died, it is %+v, in trouble %q", n+1, st, st.Trouble())
			}
		}
		time.Sleep(time.Hour)
		st := stands(t, s)
		if !slices.Equal(st.Unowned, []int{0}) || len(st.Members) > 0 || !slices.Equal(st.Trouble(), []string{"it stands at 1 of 4, nobody works it"}) {
			t.Errorf("without its lease, it is %+v, in trouble %q", st, st.Trouble())
		}
	})
}

func TestStatusCountsWhatIsParked(t *testing.T) {
	t.Parallel()
	entries := some()
	for i := range entries {
		for j := range entries[i].Failures {
			entries[i].Failures[j].At = epoch.Add(time.Duration(10-i) * time.Second) // the earliest event has failed last
		}
	}
	s := eventstore.New(setAside(t, entries...), eventstore.Config{})
	want := []eventstore.Status{
		{Consumer: "bills", Parked: 4, ParkedKeys: 3, LastError: "order order-1 is not there", LastFailure: epoch.Add(10 * time.Second)},
		{Consumer: "mails", Parked: 3, ParkedKeys: 2, LastError: "dial tcp 10.0.0.1:25: timed out after 30s", LastFailure: epoch.Add(9 * time.Second)},
	}
	all, err := s.Statuses(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatalf("the statuses are %+v, %v", all, err)
	}
	for i, w := range want {
		single, err := s.Status(t.Context(), w.Consumer)
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range []eventstore.Status{all[i], single} {
			part := eventstore.Status{
				Consumer: got.Consumer, Parked: got.Parked, ParkedKeys: got.ParkedKeys, LastError: got.LastError, LastFailure: got.LastFailure,
			}
			if !reflect.DeepEqual(part, w) {
				t.Errorf("it is %+v, not %+v", part, w)
			}
		}
	}
	if n, err := s.Discard(t.Context(), eventstore.ParkedFilter{Consumer: "bills"}); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	if st, err := s.Status(t.Context(), "bills"); st.Parked != 0 || st.LastError != "" || !st.LastFailure.IsZero() || err != nil {
		t.Errorf("with nothing parked it is %+v, %v", st, err)
	}
}

// windowed puts events into the window of consumer c, and has a worker take them.
func windowed(t *testing.T, b *memory.Backend, s *eventstore.Store, n int) (taken []eventstore.Delivery) {
	t.Helper()
	l := leased(t, b, eventstore.Consumer{Name: "c", Partitions: 1, Competing: true})
	c := eventstore.Commit{Checkpoints: []eventstore.Checkpoint{{Consumer: "c", Epoch: l.Epoch, To: eventstore.Position(n)}}}
	for i := range n {
		c.Deliveries = append(c.Deliveries, eventstore.Delivery{ID: uuid.New(), Consumer: "c", Position: eventstore.Position(i + 1)})
	}
	if _, err := s.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	taken, err := b.Take(t.Context(), "c", eventstore.Taking{Limit: n, Visibility: time.Hour})
	if err != nil || len(taken) != n {
		t.Fatalf("taken was %+v, %v", taken, err)
	}
	return taken
}

func TestLagOfACompetingConsumerCountsWhatIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	b := memory.New()
	s := eventstore.New(b, eventstore.Config{})
	for range 5 {
		one(t, s)
	}
	taken := windowed(t, b, s, 3)
	for i := range 4 {
		st := stands(t, s)
		if !st.Competing || st.Position != 3 || st.Head != 5 || st.Window != 3-i || st.Lag != int64(2+3-i) {
			t.Errorf("with %d of 3 done, it is %+v", i, st)
		}
		if i == 3 {
			break
		}
		ack := eventstore.Ack{Consumer: "c", ID: taken[i].ID, Attempt: 1}
		if _, err := s.Commit(t.Context(), eventstore.Commit{Acks: []eventstore.Ack{ack}}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStatusOfAPausedConsumerSaysSo(t *testing.T) {
	t.Parallel()
	b := memory.New()
	s := eventstore.New(b, eventstore.Config{})
	one(t, s)
	leased(t, b, eventstore.Consumer{Name: "c", Partitions: 2})
	if err := s.Pause(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	if st := stands(t, s); !st.Paused || !slices.Equal(st.Trouble(), []string{"it stands at 0 of 1, paused"}) {
		t.Errorf("it is %+v, in trouble %q", st, st.Trouble())
	}
	if err := s.Resume(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	if st := stands(t, s); st.Paused {
		t.Errorf("resumed, it is %+v", st)
	}
}

// What has no lag need not be waited for.
func TestStatusWithoutLagAgreesWithWaitFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		s := eventstore.New(b, eventstore.Config{})
		l := []eventstore.Lease{leased(t, b, eventstore.Consumer{Name: "c", Partitions: 2})}
		more, err := b.Claim(t.Context(), "m", "c", 1, []int{1})
		if err != nil {
			t.Fatal(err)
		}
		l = append(l, more...)
		for _, to := range [][]eventstore.Position{{0, 0}, {0, 1}, {1, 1}, {2, 1}, {2, 2}} {
			if to[0] == to[1] {
				one(t, s)
			}
			moved(t, s, l, to...)
			st := stands(t, s)
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			err := s.WaitFor(ctx, "c", st.Head)
			cancel()
			if atOnce := err == nil && time.Now().Equal(began); atOnce != (st.Lag == 0) {
				t.Errorf("at %v its lag is %d, and who waited %s was told %v", to, st.Lag, time.Since(began), err)
			}
		}
	})
}

// dropping forgets events of an old schema.
var dropping = eventstore.Upcaster{Type: "old", From: 1, Into: []string{"new"}, Up: func(eventstore.Raw) ([]eventstore.Raw, error) { return nil, nil }}

func TestStatusHeedsEventsThatAnUpcasterDrops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		s := eventstore.New(b, eventstore.Config{Upcasters: []eventstore.Upcaster{dropping}})
		wrote(t, eventstore.New(b, eventstore.Config{}), "account-1", raw("old", "{}"))
		time.Sleep(time.Minute)
		one(t, s)
		leased(t, b, eventstore.Consumer{Name: "c", Partitions: 1})
		if st := stands(t, s); len(all(t, s, eventstore.All())) != 1 || st.Head != 2 || st.Lag != 2 || st.Behind != time.Minute {
			t.Errorf("it is %+v", st)
		}
	})
}
