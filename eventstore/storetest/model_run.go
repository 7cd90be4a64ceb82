package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/necrostack/necrostack/eventstore"
	"pgregory.net/rapid"
)

func modelled() promise {
	return promise{
		name: "Model",
		says: "whatever is asked of a log in whatever order, it answers as a slice would",
		checks: []check{
			{name: "random operations come to what the model comes to", heavy: true, run: func(t *trial) {
				rapid.Check(t, func(rt *rapid.T) {
					run := newRun(t, rt)
					defer run.close()
					rt.Repeat(run.actions())
					run.look(rt)
				})
			}},
		},
	}
}

// run is one sequence of random operations on a log and on its model.
type run struct {
	*trial
	m      model
	stores []*eventstore.Store
	ids    uint64
	dues   int

	drives   map[string]int   // the model's, when the rosters were last looked at
	redrives map[string]int64 // and the rosters'
}

var modelMembers = [...]string{"adam", "zoe"}

func newRun(t *trial, rt *rapid.T) *run {
	connect := t.h.Open(t.TB)
	r := &run{trial: t}
	for range 2 {
		r.stores = append(r.stores, eventstore.New(connect(), eventstore.Config{}))
	}
	if t.has(Leaser) {
		for consumer, partitions := range map[string]int{"one": 1, "three": 3} {
			if _, err := r.leaser(r.stores[0]).Define(t.ctx, eventstore.Consumer{Name: consumer, Partitions: partitions}); err != nil {
				rt.Fatalf("define: %v", err)
			}
			for n := range partitions {
				r.m.lanes = append(r.m.lanes, modelLane{consumer: consumer, partition: n})
			}
		}
		slices.SortFunc(r.m.lanes, func(a, b modelLane) int {
			return strings.Compare(fmt.Sprint(a.consumer, a.partition), fmt.Sprint(b.consumer, b.partition))
		})
		for _, m := range modelMembers {
			r.come(rt, m)
		}
	}
	r.m.paused, r.m.drives = map[string]bool{}, map[string]int{}
	r.drives, r.redrives = map[string]int{}, map[string]int64{}
	return r
}

func (r *run) close() {
	for _, s := range r.stores {
		if err := s.Close(); err != nil {
			r.Errorf("close a store: %v", err)
		}
	}
}

func (r *run) actions() map[string]func(*rapid.T) {
	actions := map[string]func(*rapid.T){
		"commit":       func(rt *rapid.T) { r.send(rt, r.drawCommit(rt)) },
		"commit again": func(rt *rapid.T) { r.send(rt, r.drawCommit(rt)) },
		"resend":       r.resend,
		"reuse":        r.reuse,
		"read":         r.readSome,
		"look":         r.look,
	}
	if r.has(Leaser) {
		actions["claim"], actions["release"], actions["leave"] = r.claimLanes, r.releaseLane, r.leave
	}
	if r.has(Scheduler) {
		actions["fire"] = r.fireSome
	}
	if r.has(Leaser) && r.has(Deliverer) {
		actions["take"], actions["take again"] = r.takeSome, r.takeSome
	}
	if r.has(Leaser) && r.has(Controller) {
		actions["pause"] = r.pauseOne
	}
	return actions
}

// connection picks one of the stores.
func (r *run) connection(rt *rapid.T) *eventstore.Store {
	return r.stores[rapid.IntRange(0, len(r.stores)-1).Draw(rt, "connection")]
}

// differs fails the run.
func (r *run) differs(rt *rapid.T, format string, args ...any) {
	rt.Helper()
	rt.Fatalf("broken promise: %s\n\tnot true: %s\n\tevidence: %s", r.promise, r.says, fmt.Sprintf(format, args...))
}

// send commits to the log and to the model, and compares what comes of it.
func (r *run) send(rt *rapid.T, c eventstore.Commit) {
	if len(c.Appends)+entriesOf(c) == 0 {
		return
	}
	want, wantErr := r.m.commit(c)
	got, err := r.connection(rt).Commit(r.ctx, c)
	switch {
	case wantErr == nil && err != nil:
		r.differs(rt, "the commit %s failed with %q; the model comes to %+v", showCommit(c), err, want)
	case wantErr != nil && !errors.Is(err, wantErr):
		r.differs(rt, "the commit %s came to %+v, %v; the model refuses it: %v", showCommit(c), got, err, wantErr)
	case wantErr == nil && (got.Position != want.Position || !slices.Equal(got.Versions, want.Versions)):
		r.differs(rt, "the commit %s came to %+v; the model to %+v", showCommit(c), got, want)
	}
}

// resend sends again a commit that was accepted.
func (r *run) resend(rt *rapid.T) {
	if len(r.m.sent) == 0 {
		rt.Skip("nothing was sent yet")
	}
	r.send(rt, rapid.SampledFrom(r.m.sent).Draw(rt, "again").commit)
}

// reuse changes a commit that was accepted, so that it is another one with the same ids.
func (r *run) reuse(rt *rapid.T) {
	var withEvents []eventstore.Commit
	for _, s := range r.m.sent {
		if len(s.commit.Appends) > 0 {
			withEvents = append(withEvents, s.commit)
		}
	}
	if len(withEvents) == 0 {
		rt.Skip("no event was sent yet")
	}
	old := rapid.SampledFrom(withEvents).Draw(rt, "old")
	c := eventstore.Commit{Appends: slices.Clone(old.Appends)}
	last := &c.Appends[len(c.Appends)-1]
	switch rapid.SampledFrom([]string{"more", "fewer", "elsewhere", "scheduled", "with a schedule", "under a checkpoint"}).Draw(rt, "reuse") {
	case "more":
		last.Events = append(slices.Clone(last.Events), r.drawEvent(rt))
	case "fewer":
		if len(last.Events) > 1 {
			last.Events = last.Events[1:]
		} else if c.Appends = c.Appends[:len(c.Appends)-1]; len(c.Appends) == 0 {
			c.Appends = []eventstore.Append{to(last.Stream, r.drawEvent(rt), last.Events[0])}
		}
	case "elsewhere":
		last.Stream += "-elsewhere"
	case "with a schedule":
		if r.has(Scheduler) {
			c.Schedules = []eventstore.Schedule{r.drawSchedule(rt)}
		}
	case "under a checkpoint":
		if r.has(Leaser) {
			r.drawCheckpoints(rt, &c)
		}
	case "scheduled":
		if r.has(Scheduler) {
			c.Appends, c.Schedules = nil, []eventstore.Schedule{r.drawSchedule(rt)}
			c.Schedules[0].Append.Events = append(c.Schedules[0].Append.Events, last.Events[0])
		}
	}
	r.send(rt, c)
}

func (r *run) readSome(rt *rapid.T) {
	rng := eventstore.Range{
		After:    eventstore.Position(rapid.IntRange(0, int(r.m.head())+1).Draw(rt, "after")),
		UpTo:     eventstore.Position(rapid.IntRange(0, int(r.m.head())+2).Draw(rt, "up to")),
		Limit:    rapid.IntRange(0, 5).Draw(rt, "limit"),
		Backward: rapid.Bool().Draw(rt, "backward"),
	}
	r.compare(rt, r.connection(rt), drawQuery(rt), rng)
}

// compare reads from the log and from the model.
func (r *run) compare(rt *rapid.T, s *eventstore.Store, q eventstore.Query, rng eventstore.Range) {
	want, reach := within(r.m.events, q, rng)
	var got []eventstore.Event
	var through eventstore.Position
	reported := rng
	reported.Through = &through
	for e, err := range s.Read(r.ctx, q, reported) {
		if err != nil {
			rt.Fatalf("read %s: %v", showRange(rng), err)
		}
		got = append(got, e)
	}
	same := slices.EqualFunc(got, want, func(a, b eventstore.Event) bool {
		return show(a) == show(b) && a.ID == b.ID && string(a.Data) == string(b.Data) &&
			slices.Equal(slices.Sorted(slices.Values(a.Tags)), slices.Sorted(slices.Values(b.Tags)))
	})
	if !same || through != reach {
		r.differs(rt, "a read of %s %s gave\n\t%s and Through %d; the model gives\n\t%s and %d", showQuery(q), showRange(rng), showAll(got), through, showAll(want), reach)
	}
}

func (r *run) claimLanes(rt *rapid.T) {
	member := rapid.SampledFrom(modelMembers[:]).Draw(rt, "member")
	partitions := rapid.SliceOfNDistinct(rapid.IntRange(0, 2), 1, 3, rapid.ID[int]).Draw(rt, "partitions")
	var free []int
	for _, n := range partitions {
		if l := r.m.lane("three", n); l.owner == "" || l.owner == member {
			free = append(free, n)
		}
	}
	if r.m.paused["three"] {
		if leases, err := r.leaser(r.connection(rt)).Claim(r.ctx, member, "three", 1, partitions); !errors.Is(err, eventstore.ErrFenced) {
			r.differs(rt, "%s claimed partitions of what is paused and got %+v, %v", member, leases, err)
		}
		return
	}
	leases, err := r.leaser(r.connection(rt)).Claim(r.ctx, member, "three", 1, partitions)
	if err != nil || len(leases) != len(free) {
		r.differs(rt, "%s claimed the partitions %v and got %+v, %v; the model gives %v", member, partitions, leases, err, free)
	}
	for _, lease := range leases {
		l := r.m.lane(lease.Consumer, lease.Partition)
		if l == nil || !slices.Contains(free, lease.Partition) || lease.Epoch <= l.epoch || lease.Position != l.position {
			r.differs(rt, "%s claimed the partitions %v and got %+v; the model has %+v", member, partitions, lease, l)
		}
		l.owner, l.epoch = member, lease.Epoch
	}
}

func (r *run) releaseLane(rt *rapid.T) {
	l := &r.m.lanes[rapid.IntRange(0, len(r.m.lanes)-1).Draw(rt, "lane")]
	member := rapid.SampledFrom(modelMembers[:]).Draw(rt, "member")
	lease := eventstore.Lease{Consumer: l.consumer, Partition: l.partition, Epoch: l.epoch - int64(rapid.IntRange(0, 1).Draw(rt, "stale"))}
	if err := r.leaser(r.connection(rt)).Release(r.ctx, member, []eventstore.Lease{lease}); err != nil {
		r.differs(rt, "release %+v: %v", lease, err)
	}
	if l.owner == member && l.epoch == lease.Epoch {
		l.owner = ""
	}
}

func (r *run) leave(rt *rapid.T) {
	member := rapid.SampledFrom(modelMembers[:]).Draw(rt, "member")
	if err := r.leaser(r.connection(rt)).Leave(r.ctx, member); err != nil {
		r.differs(rt, "leave: %v", err)
	}
	for i := range r.m.lanes {
		if r.m.lanes[i].owner == member {
			r.m.lanes[i].owner = ""
		}
	}
	r.come(rt, member)
}

// come makes a member live.
func (r *run) come(rt *rapid.T, member string) {
	if _, err := r.leaser(r.stores[0]).Renew(r.ctx, eventstore.Member{ID: member, Consumers: []string{"one", "three"}}, long); err != nil {
		rt.Fatalf("renew: %v", err)
	}
}

func (r *run) fireSome(rt *rapid.T) {
	limit := rapid.IntRange(0, 3).Draw(rt, "limit")
	fired, next, err := r.scheduler(r.connection(rt)).Fire(r.ctx, limit)
	want := r.m.fire(limit)
	waiting := r.m.waiting()
	if err != nil || fired != want || next.IsZero() != (len(waiting) == 0) || len(waiting) > 0 && !next.Equal(waiting[0].Due) {
		r.differs(rt, "Fire(%d) came to %d, %s, %v; the model fires %d, and then %d wait", limit, fired, next, err, want, len(waiting))
	}
}

// look compares everything.
func (r *run) look(rt *rapid.T) {
	s := r.connection(rt)
	r.compare(rt, s, eventstore.All(), eventstore.Range{})
	var got, want []string
	if r.has(Scheduler) {
		for x, err := range r.scheduler(s).Scheduled(r.ctx) {
			got = append(got, fmt.Sprint(showSchedule(x), err))
		}
		for _, x := range r.m.waiting() {
			want = append(want, fmt.Sprint(showSchedule(x), nil))
		}
	}
	if r.has(Leaser) {
		for _, l := range r.m.lanes {
			roster, err := r.leaser(s).Roster(r.ctx, l.consumer)
			got = append(got, fmt.Sprint(l.consumer, roster.Partitions[l.partition], err))
			want = append(want, fmt.Sprint(l.consumer, eventstore.Partition{Owner: l.owner, Epoch: l.epoch, Position: l.position}, nil))
		}
		r.lookAtConsumers(rt, s)
	}
	if r.has(Parker) {
		var list, model []string
		for p, err := range r.parker(s).Parked(r.ctx, eventstore.ParkedFilter{}) {
			list = append(list, fmt.Sprint(showParked(p), err))
		}
		for _, p := range r.m.parked {
			model = append(model, fmt.Sprint(showParked(p), nil))
		}
		slices.Sort(list) // several may be parked at one position
		slices.Sort(model)
		got, want = append(got, list...), append(want, model...)
	}
	if !slices.Equal(got, want) {
		r.differs(rt, "the log (+) and the model (-) differ:\n%s", difference(strings.Join(want, "\n"), strings.Join(got, "\n")))
	}
}
