package postgres_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

// A log that was dumped and restored into another server, whose transactions have lower numbers and whose tables have
// other oids, goes on as if nothing had happened.
func TestALogGoesOnAfterDumpAndRestore(t *testing.T) {
	t.Parallel()
	old, other := testenv.OwnPostgres(t), testenv.OwnPostgres(t)
	dsn := old.Database(t)
	before := &kept{T: t, store: openStore(t, dsn), commits: script(0, 60)}
	before.fill()
	log := before.read(eventstore.All())

	began := time.Now()
	after := &kept{T: t, commits: before.commits, lease: before.lease, results: before.results}
	restored := other.Restore(t, old.Dump(t, dsn))
	took := time.Since(began)
	after.store = openStore(t, restored)
	if got := after.read(eventstore.All()); !reflect.DeepEqual(got, log) {
		t.Errorf("%d events were read, and not what the log had, %d", len(got), len(log))
	}
	for _, q := range []eventstore.Query{
		eventstore.OfType(rare), eventstore.WithTags("hot"), eventstore.InCategory("own"), eventstore.InStream("shared-1"),
	} {
		if want, got := before.read(q), after.read(q); len(want) == 0 || !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %d events were read, want %d", q, len(got), len(want))
		}
	}
	after.knowsWhatItHas()
	after.goesOn(eventstore.Position(len(log)))
	after.consumersResume()
	after.firesSchedules()
	t.Logf("fault: dump and restore into another server, %s, in %v; %v", other.Addr(), took, checkStore(t, after.store))

	races := &races{T: t, store: after.store, results: map[string]int{}}
	for i := range raceProcesses {
		races.racers = append(races.racers, spawn(t, "racers", racersConfig{restored, i}))
	}
	for n := range 30 {
		races.run(race{Round: n, Shape: raceShapes[n%len(raceShapes)], Hammers: "same"})
	}
	races.judge()
	t.Logf("afterwards, %d races of %d racers in %d processes: %s; %v",
		len(races.rounds), raceProcesses*raceRacers, raceProcesses, races.show(), checkStore(t, after.store))
}

// kept is a log with something of everything that a dump must keep.
type kept struct {
	*testing.T
	store   *eventstore.Store
	commits []eventstore.Commit
	results []eventstore.Result
	lease   eventstore.Lease
}

const restoredConsumer = "restored"

func (k *kept) fill() {
	k.Helper()
	for _, c := range k.commits {
		k.results = append(k.results, k.commit(c))
	}
	k.lease = k.claim("before")
	k.lease = k.move(10)
	e := eventstore.Event{ID: uuid.New(), Type: "due", Data: json.RawMessage("{}")}
	k.commit(eventstore.Commit{Schedules: []eventstore.Schedule{{
		ID: uuid.New(), Due: time.Now().Add(-time.Second), Append: eventstore.Append{Stream: "due-1", Events: []eventstore.Event{e}},
	}}})
}

func (k *kept) commit(c eventstore.Commit) eventstore.Result {
	k.Helper()
	r, err := k.store.Commit(k.Context(), c)
	if err != nil {
		k.Fatal(err)
	}
	return r
}

func (k *kept) read(q eventstore.Query) (all []eventstore.Event) {
	k.Helper()
	for e, err := range k.store.Read(k.Context(), q, eventstore.Range{}) {
		if err != nil {
			k.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// claim has a member claim the consumer's only partition.
func (k *kept) claim(member string) eventstore.Lease {
	k.Helper()
	leaser := k.store.Backend().(eventstore.Leaser)
	c, err := leaser.Define(k.Context(), eventstore.Consumer{Name: restoredConsumer, Partitions: 1, Hash: "fnv1a", Listens: []string{usual}})
	if err != nil {
		k.Fatal(err)
	}
	_, renews := leaser.Renew(k.Context(), eventstore.Member{ID: member, Consumers: []string{restoredConsumer}}, time.Minute)
	leases, claims := leaser.Claim(k.Context(), member, restoredConsumer, c.Generation, []int{0})
	if err := errors.Join(renews, claims); err != nil || len(leases) != 1 {
		k.Fatal(leases, err)
	}
	return leases[0]
}

// move moves the lease's partition.
func (k *kept) move(to eventstore.Position) eventstore.Lease {
	k.Helper()
	k.commit(eventstore.Commit{Checkpoints: []eventstore.Checkpoint{k.checkpoint(to)}})
	k.lease.Position = to
	return k.lease
}

func (k *kept) checkpoint(to eventstore.Position) eventstore.Checkpoint {
	return eventstore.Checkpoint{Consumer: k.lease.Consumer, Partition: k.lease.Partition, Epoch: k.lease.Epoch, From: k.lease.Position, To: to}
}

// knowsWhatItHas sends every commit again, and uses one of its ids for something else.
func (k *kept) knowsWhatItHas() {
	k.Helper()
	for i, c := range k.commits {
		if r := k.commit(c); !reflect.DeepEqual(r, k.results[i]) {
			k.Errorf("commit %d, sent again: %+v, want %+v", i, r, k.results[i])
		}
	}
	e := k.commits[0].Appends[0].Events[0]
	if _, err := k.store.Commit(k.Context(), eventstore.Commit{Appends: []eventstore.Append{{Stream: "x", Events: []eventstore.Event{e}}}}); !errors.Is(err, eventstore.ErrIDReused) {
		k.Errorf("an id is used again: %v", err)
	}
}

// goesOn appends with an expectation and a condition about what was restored.
func (k *kept) goesOn(head eventstore.Position) {
	k.Helper()
	own := k.read(eventstore.InStream("own-0"))
	next := eventstore.Append{Stream: "own-0", Expect: eventstore.Exact(own[len(own)-1].Version), Events: order{Events: 1}.commit().Appends[0].Events}
	broken := []eventstore.Condition{{Query: eventstore.WithTags("hot")}}
	if _, err := k.store.Commit(k.Context(), eventstore.Commit{Appends: []eventstore.Append{next}, Unless: broken}); !errors.Is(err, eventstore.ErrConflict) {
		k.Errorf("a condition that was broken before the dump: %v", err)
	}
	if r := k.commit(eventstore.Commit{Appends: []eventstore.Append{next}}); r.Position != head+1 || r.Version() != own[len(own)-1].Version+1 {
		k.Errorf("the next event is at %d, version %d; want %d, %d", r.Position, r.Version(), head+1, own[len(own)-1].Version+1)
	}
}

// consumersResume has the lease of before fence nobody but itself.
func (k *kept) consumersResume() {
	k.Helper()
	k.move(20) // it still is its owner's
	former := k.checkpoint(30)
	leaser := k.store.Backend().(eventstore.Leaser)
	if err := leaser.Leave(k.Context(), "before"); err != nil {
		k.Fatal(err)
	}
	epoch := k.lease.Epoch
	if k.lease = k.claim("after"); k.lease.Position != 20 || k.lease.Epoch <= epoch {
		k.Errorf("the consumer resumes as %+v, want position 20 and an epoch after %d", k.lease, epoch)
	}
	if _, err := k.store.Commit(k.Context(), eventstore.Commit{Checkpoints: []eventstore.Checkpoint{former}}); !errors.Is(err, eventstore.ErrFenced) {
		k.Errorf("the former owner commits: %v", err)
	}
	k.move(30)
}

func (k *kept) firesSchedules() {
	k.Helper()
	fired, _, err := k.store.Backend().(eventstore.Scheduler).Fire(k.Context(), 10)
	if got := k.read(eventstore.InStream("due-1")); err != nil || fired != 1 || len(got) != 1 {
		k.Errorf("%d schedules fired, %v, and %d events came of them; want 1", fired, err, len(got))
	}
}
