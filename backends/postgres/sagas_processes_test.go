package postgres_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
	"github.com/necrostack/necrostack/sagas"
)

// Three processes work at 1,000 journeys; processes are killed at random, and twice the server. What comes of each
// journey is all or nothing, whatever was under way when somebody was killed.
func TestSagasEndWhileProcessesAndTheServerAreKilled(t *testing.T) {
	t.Parallel()
	const n, kills, seed = 1000, 12, 3
	server := testenv.OwnPostgres(t)
	b := openBank(t, server.Database(t))
	config := workerConfig{Lease: 3 * time.Second, Sagas: true}
	workers := []*worker{b.start(config), b.start(config), b.start(config)}
	random := rand.New(rand.NewPCG(seed, seed))
	begin := time.Now()
	go b.travel(n)
	var pids []int
	for len(pids) < kills {
		from := b.count("saga moved")
		b.until("they go on", func() bool {
			return b.count("saga moved") > from+100 || b.count("saga ended") >= n
		})
		time.Sleep(time.Duration(random.IntN(100)) * time.Millisecond) // any moment will do
		if k := len(pids); k == kills/3 || k == 2*kills/3 {
			server.Kill(t)
			server.Start(t)
		}
		i := random.IntN(len(workers))
		workers[i].crash()
		pids = append(pids, workers[i].pid())
		workers[i] = b.start(config)
	}
	poison := b.redrivePoison(func() bool { return b.count("saga ended") >= n && b.at("booking") && b.at("saga_journey_v1") })
	t.Logf("seed %d: %d sagas within %v; SIGKILL to processes %v, and twice to the server; %d events counted as poison and were redriven; %s",
		seed, n, time.Since(begin).Round(time.Second), pids, poison, b.arrived(n))
	for state, want := range map[sagas.State]int64{sagas.Running: 0, sagas.Compensating: 0, "": n} {
		if got, err := journeys().Instances(b.store).Count(b.ctx, sagas.Which{State: state}); err != nil || got != want {
			t.Errorf("%d instances are listed as %q, want %d: %v", got, state, want, err)
		}
	}
	for _, w := range workers {
		w.stop()
	}
}

// travel posts the commands that begin n journeys. What is not known to be in the log is sent again, with the same ids.
func (b *bank) travel(n int) {
	const batch = 50
	for from := 0; from < n; from += batch {
		var c eventstore.Commit
		for k := from; k < from+batch; k++ {
			c.Appends = append(c.Appends, eventstore.Append{
				Stream: eventstore.StreamOf("command", uuid.Must(uuid.NewV7()).String()),
				Events: []eventstore.Event{{ID: uuid.Must(uuid.NewV7()), Type: travel{}.CommandType(), Data: fmt.Appendf(nil, `{"N":%d}`, k)}},
			})
		}
		for b.ctx.Err() == nil {
			if _, err := b.store.Commit(b.ctx, c); err == nil {
				break
			}
			time.Sleep(20 * time.Millisecond) // the server is down
		}
	}
}

// fate is what came of a journey.
type fate struct {
	state          sagas.State
	reason         string
	ends           int
	booked, undone []string // in the order of their names
}

// arrived compares what came of n journeys with what may come of them, and says how they ended.
func (b *bank) arrived(n int) string {
	b.Helper()
	fates := make([]fate, n)
	sent, replies := map[string]int{}, map[string]int{}
	for e, err := range b.store.Read(b.ctx, eventstore.All(), eventstore.Range{}) {
		if err != nil {
			b.Fatal(err)
		}
		var x struct {
			N    int
			What string
		}
		if err := json.Unmarshal(e.Data, &x); err != nil {
			b.Fatal(err)
		}
		switch e.Type {
		case "booked", "rented":
			fates[x.N].booked = append(fates[x.N].booked, x.What)
		case "unbooked", "returned":
			fates[x.N].undone = append(fates[x.N].undone, x.What)
		case "travel", "book", "unbook", "saga call requested":
			sent[e.Stream.ID()]++
		case "command accepted", "command rejected", "saga call answered":
			for _, tag := range e.Tags {
				if id, ok := strings.CutPrefix(tag, "command:"); ok {
					replies[id]++
				}
			}
			if of := e.Stream.ID(); replies[of] != 1 {
				b.Errorf("%s at %d is reply %d", e.Type, e.Position, replies[of])
			}
		case "saga ended":
			var end sagas.Ended
			if err := json.Unmarshal(e.Data, &end); err != nil {
				b.Fatal(err)
			}
			var k int
			if _, err := fmt.Sscan(end.Instance, &k); err != nil {
				b.Fatal(err)
			}
			fates[k].state, fates[k].reason = end.State, end.Reason
			fates[k].ends++
		}
	}
	for id := range sent {
		if replies[id] == 0 {
			b.Errorf("command %s was lost", id)
		}
	}
	ended := map[string]int{}
	for k, f := range fates {
		f.compare(b, k)
		ended[fmt.Sprintf("%s (%s)", f.state, f.reason)]++
	}
	var text []string
	for _, how := range slices.Sorted(maps.Keys(ended)) {
		text = append(text, fmt.Sprint(ended[how], " ", how))
	}
	return fmt.Sprintf("of %d commands and calls 0 were to be lost and 0 doubled; %s", len(sent), strings.Join(text, ", "))
}

// compare compares what came of a journey with what may.
func (f fate) compare(b *bank, k int) {
	b.Helper()
	slices.Sort(f.booked)
	slices.Sort(f.undone)
	gaveUp := strings.HasPrefix(f.reason, "flight: no outcome within")
	refused := map[int]string{0: "room: ", 1: "money: ", 2: "flight: no outcome", 3: "car: ", 4: "seats: "}[k%10]
	switch {
	case f.ends != 1:
		b.Errorf("journey %d has ended %d times", k, f.ends)
	case f.state == sagas.Completed:
		if all := []string{"", "flight", "money", "room", "seats", "tickets"}; refused != "" || !slices.Equal(f.booked, all) || len(f.undone) > 0 {
			b.Errorf("journey %d is completed: booked %q, undone %q", k, f.booked, f.undone)
		}
	case f.state != sagas.Compensated || !gaveUp && (refused == "" || !strings.HasPrefix(f.reason, refused)):
		b.Errorf("journey %d is %s: %s", k, f.state, f.reason)
	case !slices.Equal(f.booked, f.undone) || slices.Contains(f.booked, "money"):
		b.Errorf("journey %d is compensated: booked %q, undone %q", k, f.booked, f.undone)
	}
}
