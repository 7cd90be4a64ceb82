package postgres_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
)

// A release is a log with something of everything that a program of a released version leaves behind. Its ids are made
// of names, so that a test of today knows those in the dumps of former releases: what fill makes may grow, and does not
// change.
type release struct {
	*testing.T
	log   *postgres.Backend
	store *eventstore.Store
}

const (
	lanes   = "lanes"   // a consumer of three partitions, of a second definition
	workers = "workers" // a competing one
	resting = "resting" // one that is paused

	oldMember = "old member" // owns all partitions of lanes and workers
	lifetime  = 100 * 365 * 24 * time.Hour
)

func newRelease(t *testing.T, b *postgres.Backend) *release {
	t.Helper()
	st := eventstore.New(b, eventstore.Config{})
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return &release{T: t, log: b, store: st}
}

// named returns an id that is made of a name.
func named(name string) uuid.UUID { return uuid.NewSHA1(uuid.Nil, []byte(name)) }

// must fails the test if there is an error.
func (r *release) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *release) commit(c eventstore.Commit) eventstore.Result {
	r.Helper()
	result, err := r.store.Commit(r.Context(), c)
	r.must(err)
	return result
}

// releaseEvent returns an event that has an id of its name.
func releaseEvent(name, kind, data string, tags ...string) eventstore.Event {
	return eventstore.Event{ID: named(name), Type: kind, Data: json.RawMessage(data), Tags: tags}
}

// one returns a commit of one event.
func one(to eventstore.Stream, e eventstore.Event) eventstore.Commit {
	return eventstore.Commit{Appends: []eventstore.Append{{Stream: to, Events: []eventstore.Event{e}}}}
}

// firstCommit is the first of the log, which is sent again after the upgrade.
func firstCommit() eventstore.Commit {
	return one("account-1", releaseEvent("first", "account opened", `{"owner":"Ada","limit":100}`, "owner:Ada"))
}

// firedCommit makes a schedule that fires before the release is dumped.
func firedCommit() eventstore.Commit {
	return eventstore.Commit{Schedules: []eventstore.Schedule{{
		ID: named("fired"), Due: time.Unix(1, 0), Append: one("reminder-1", releaseEvent("reminded", "reminded", `{}`)).Appends[0],
	}}}
}

func (r *release) fill() {
	r.Helper()
	r.fillEvents()
	r.fillConsumers()
	r.fillSchedules()
	for version, stream := range []eventstore.Stream{"account-2", "account-1"} {
		r.must(r.log.Save(r.Context(), eventstore.Snapshot{
			Fold: "balance.1", Stream: stream, Version: eventstore.Version(version + 1), Data: json.RawMessage(`{"balance": 1.50}`),
		}))
	}
}

// fillEvents writes events one by one and many at once, some with tags, and with payloads that only bytes keep.
func (r *release) fillEvents() {
	r.Helper()
	r.commit(firstCommit())
	for i, data := range []string{
		`{ "spaces" : [1 , 2] }`, `{"b":1,"a":2,"b":3}`, `"\u0000 \ud83d\ude00 \/"`, `"żółw 🐢 ' \\ $$ \n"`, `12345678901234567890.10e3`, `null`,
	} {
		e := releaseEvent(fmt.Sprintf("odd %d", i), "odd noted", data)
		e.Metadata = eventstore.Metadata{
			Correlation: named("conversation"), Causation: named("cause"), Depth: i, Schema: 1 + i%2, Actor: "Ada's program",
			TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", TraceState: "a=b", User: map[string]string{"k": "ü", "j": ""},
		}
		r.commit(one("odd", e))
	}
	for n := range 4 {
		c := eventstore.Commit{}
		for _, stream := range []eventstore.Stream{"account-1", "account-2", "transfer-1"} {
			a := eventstore.Append{Stream: stream}
			for i := range 2 {
				name := fmt.Sprintf("%s %d %d", stream, n, i)
				a.Events = append(a.Events, releaseEvent(name, []string{"deposited", "withdrawn"}[i], fmt.Sprintf(`{"amount":%d}`, n), "hot", fmt.Sprintf("round:%d", n)))
			}
			c.Appends = append(c.Appends, a)
		}
		r.commit(c)
	}
}

// fillConsumers leaves consumers that are at work: their partitions are owned, and have been moved and parked.
func (r *release) fillConsumers() {
	r.Helper()
	ctx := r.Context()
	c, err := r.log.Define(ctx, eventstore.Consumer{Name: lanes, Partitions: 2, Hash: "fnv1a", Listens: []string{"deposited"}})
	r.must(err)
	c.Former, c.Listens, c.Partitions = []string{c.Fingerprint()}, append(c.Listens, "withdrawn"), 3
	c, err = r.log.Redefine(ctx, c)
	r.must(err)
	_, err = r.log.Define(ctx, eventstore.Consumer{Name: workers, Partitions: 1, Hash: "fnv1a", Listens: []string{"account opened"}, Competing: true})
	r.must(err)
	_, err = r.log.Define(ctx, eventstore.Consumer{Name: resting, Partitions: 1, Keys: 2, Hash: "fnv1a"})
	r.must(err)
	r.must(r.store.Pause(ctx, resting))
	_, err = r.log.Renew(ctx, eventstore.Member{ID: oldMember, Consumers: []string{lanes, workers}}, lifetime)
	r.must(err)
	leases, err := r.log.Claim(ctx, oldMember, lanes, c.Generation, []int{0, 1, 2})
	r.must(err)
	failures := []eventstore.Failure{{At: time.Unix(1700000000, 0).UTC(), Error: "no such account: 'x'"}}
	for _, l := range leases {
		move := eventstore.Commit{Checkpoints: []eventstore.Checkpoint{{Consumer: lanes, Partition: l.Partition, Epoch: l.Epoch, To: eventstore.Position(8 + l.Partition)}}}
		for i := range l.Partition {
			move.Parks = append(move.Parks, eventstore.Parked{
				ID: named(fmt.Sprintf("parked %d of %d", i, l.Partition)), Consumer: lanes, Partition: l.Partition, Key: "account-1",
				Position: eventstore.Position(8 + i), Event: named(fmt.Sprintf("account-1 0 %d", i)), Attempts: 1 - i, Failures: failures[:1-i],
			})
		}
		r.commit(move)
	}
	r.commit(eventstore.Commit{Redrives: []uuid.UUID{named("parked 0 of 1")}})
	r.fillWindow(failures[0])
}

// fillWindow leaves deliveries that are waiting, handed out, and returned.
func (r *release) fillWindow(why eventstore.Failure) {
	r.Helper()
	leases, err := r.log.Claim(r.Context(), oldMember, workers, 1, []int{0})
	r.must(err)
	c := eventstore.Commit{Checkpoints: []eventstore.Checkpoint{{Consumer: workers, Epoch: leases[0].Epoch, To: 3}}}
	for i, name := range []string{"first", "odd 0", "odd 1"} {
		c.Deliveries = append(c.Deliveries, eventstore.Delivery{
			ID: named(fmt.Sprintf("delivery %d", i)), Consumer: workers, Position: eventstore.Position(1 + i), Event: named(name),
		})
	}
	r.commit(c)
	_, err = r.log.Take(r.Context(), workers, eventstore.Taking{Limit: 2, Visibility: time.Microsecond})
	r.must(err)
	r.commit(eventstore.Commit{Returns: []eventstore.Return{{
		Ack: eventstore.Ack{Consumer: workers, ID: named("delivery 1"), Attempt: 1}, Due: time.Unix(2, 0), Failure: why,
	}}})
}

// fillSchedules leaves one that has fired, one that was called off, one that is due, and one that is not for long.
func (r *release) fillSchedules() {
	r.Helper()
	r.commit(firedCommit())
	fired, _, err := r.log.Fire(r.Context(), 10)
	r.must(err)
	if fired != 1 {
		r.Fatalf("%d schedules fired, want 1", fired)
	}
	due := one("reminder-1", releaseEvent("due 1", "reminded", `{ "of": "rent" }`, "hot")).Appends[0]
	due.Events = append(due.Events, releaseEvent("due 2", "reminded", `{}`))
	later := time.Date(2400, 1, 1, 0, 0, 0, 0, time.UTC)
	r.commit(eventstore.Commit{Schedules: []eventstore.Schedule{
		{ID: named("due"), Due: time.Unix(3, 0), Append: due},
		{ID: named("cancelled"), Due: later, Append: one("reminder-2", releaseEvent("cancelled event", "reminded", `{}`)).Appends[0]},
		{ID: named("later"), Due: later, Append: one("reminder-3", releaseEvent("later event", "reminded", `{}`)).Appends[0]},
	}})
	r.commit(eventstore.Commit{Cancels: []uuid.UUID{named("cancelled")}})
}
