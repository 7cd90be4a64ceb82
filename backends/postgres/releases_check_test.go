package postgres_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// show returns all that reading the log yields.
func (r *release) show() string {
	r.Helper()
	var out strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	for _, e := range all(r, r.store.Read(r.Context(), eventstore.All(), eventstore.Range{})) {
		line("%s", shownEvent(e))
	}
	for _, q := range []struct {
		of    string
		query eventstore.Query
	}{
		{"a type", eventstore.OfType("withdrawn")},
		{"two tags", eventstore.WithTags("hot", "round:2")},
		{"a category", eventstore.InCategory("account")},
		{"a stream", eventstore.InStream("transfer-1")},
	} {
		var at []eventstore.Position
		for _, e := range all(r, r.store.Read(r.Context(), q.query, eventstore.Range{})) {
			at = append(at, e.Position)
		}
		line("events of %s: %v", q.of, at)
	}
	consumers, err := r.store.Consumers(r.Context())
	r.must(err)
	for _, c := range consumers {
		line("consumer %+v", c)
		roster, err := r.store.Roster(r.Context(), c.Name)
		r.must(err)
		line("  roster %+v", roster)
		outstanding, _, err := r.log.Window(r.Context(), c.Name)
		r.must(err)
		line("  deliveries outstanding: %d", outstanding)
	}
	for _, p := range all(r, r.store.Parked(r.Context(), eventstore.ParkedFilter{})) {
		line("parked %+v", p)
	}
	for _, s := range all(r, r.log.Scheduled(r.Context())) {
		line("schedule %s, due %s, to %s", s.ID, s.Due, s.Append.Stream)
		for _, e := range s.Append.Events {
			line("  %s", shownEvent(e))
		}
	}
	for _, stream := range []eventstore.Stream{"account-1", "account-2"} {
		s, err := r.log.Snapshot(r.Context(), "balance.1", stream)
		r.must(err)
		line("snapshot of %s for %s at version %d: %s", s.Stream, s.Fold, s.Version, s.Data)
	}
	return out.String()
}

// shownEvent shows every field that there is, and the payload as it is.
func shownEvent(e eventstore.Event) string {
	var out strings.Builder
	out.WriteString("event")
	for i, f := range reflect.VisibleFields(reflect.TypeFor[eventstore.Event]()) {
		if f.IsExported() && f.Name != "Data" {
			fmt.Fprintf(&out, " %s:%+v", f.Name, reflect.ValueOf(e).Field(i))
		}
	}
	return out.String() + "\n  " + string(e.Data)
}

func all[T any](r *release, items iter.Seq2[T, error]) (found []T) {
	r.Helper()
	for item, err := range items {
		r.must(err)
		found = append(found, item)
	}
	return found
}

// goesOn does with what a release left whatever a program does with a log.
func (r *release) goesOn() {
	r.Helper()
	head, err := r.store.Head(r.Context())
	r.must(err)
	r.knowsItsIDs()
	head = r.appendsGoOn(head)
	r.checkpointsGoOn()
	r.parkedAreRedriven()
	r.deliveriesAreHandedOut()
	r.schedulesFire(head)
	r.snapshotsAreReplaced()
	r.pausedResumes()
}

// refuses checks why a commit is refused.
func (r *release) refuses(c eventstore.Commit, want error, what string) {
	r.Helper()
	if _, err := r.store.Commit(r.Context(), c); !errors.Is(err, want) {
		r.Errorf("%s: %v, want: %v", what, err, want)
	}
}

// knowsItsIDs sends again what the release has written, and uses its ids for something else.
func (r *release) knowsItsIDs() {
	r.Helper()
	if got := r.commit(firstCommit()); got.First != 1 || got.Position != 1 || got.Version() != 1 {
		r.Errorf("the first commit, sent again: %+v", got)
	}
	if got := r.commit(firedCommit()); got.Position != 0 {
		r.Errorf("a schedule that has fired, made again: %+v", got)
	}
	for _, name := range []string{"first", "odd 3", "reminded", "due 2"} {
		r.refuses(one("other-1", releaseEvent(name, "x", `{}`)), eventstore.ErrIDReused, "the id of "+name+" is used again")
	}
}

// appendsGoOn returns the new head.
func (r *release) appendsGoOn(head eventstore.Position) eventstore.Position {
	r.Helper()
	account := all(r, r.store.Read(r.Context(), eventstore.InStream("account-1"), eventstore.Range{}))
	last := account[len(account)-1].Version
	next := one("account-1", releaseEvent("next", "deposited", `{}`, "hot"))
	next.Appends[0].Expect = eventstore.Exact(last - 1)
	r.refuses(next, eventstore.ErrConflict, "a version that was passed is expected")
	next.Appends[0].Expect = eventstore.Exact(last)
	next.Unless = []eventstore.Condition{{Query: eventstore.WithTags("hot")}}
	r.refuses(next, eventstore.ErrConflict, "a condition is broken by what the release left")
	next.Unless[0].After = head
	if got := r.commit(next); got.Position != head+1 || got.Version() != last+1 {
		r.Errorf("the next event is at %d, version %d; want %d, %d", got.Position, got.Version(), head+1, last+1)
	}
	return head + 1
}

// checkpointsGoOn moves a partition for its owner, and hands it to another.
func (r *release) checkpointsGoOn() {
	r.Helper()
	roster, err := r.store.Roster(r.Context(), lanes)
	r.must(err)
	if len(roster.Partitions) != 3 {
		r.Fatalf("%s has the partitions %+v, want 3", lanes, roster.Partitions)
	}
	was := roster.Partitions[1]
	move := func(epoch int64, from, to eventstore.Position) eventstore.Commit {
		return eventstore.Commit{Checkpoints: []eventstore.Checkpoint{{Consumer: lanes, Partition: 1, Epoch: epoch, From: from, To: to}}}
	}
	r.refuses(move(was.Epoch-1, was.Position, was.Position+1), eventstore.ErrFenced, "a checkpoint of an epoch before the owner's")
	r.refuses(move(was.Epoch, was.Position-1, was.Position+2), eventstore.ErrFenced, "a checkpoint from elsewhere")
	r.commit(move(was.Epoch, was.Position, was.Position+1)) // its owner's, who may have slept through the upgrade
	r.must(r.log.Leave(r.Context(), oldMember))
	_, err = r.log.Renew(r.Context(), eventstore.Member{ID: "new member", Consumers: []string{lanes, workers}}, time.Minute)
	r.must(err)
	leases, err := r.log.Claim(r.Context(), "new member", lanes, roster.Generation, []int{1})
	r.must(err)
	if len(leases) != 1 || leases[0].Position != was.Position+1 || leases[0].Epoch <= was.Epoch {
		r.Fatalf("claimed %+v, want position %d and an epoch after %d", leases, was.Position+1, was.Epoch)
	}
	r.refuses(move(was.Epoch, was.Position+1, was.Position+2), eventstore.ErrFenced, "a checkpoint of the former owner")
	r.commit(move(leases[0].Epoch, was.Position+1, was.Position+2))
}

// parkedAreRedriven redrives all that is parked for a key, and takes one of it back.
func (r *release) parkedAreRedriven() {
	r.Helper()
	ids := []uuid.UUID{named("parked 0 of 2")}
	if n, err := r.store.Redrive(r.Context(), eventstore.ParkedFilter{IDs: ids}); err != nil || n != 1 {
		r.Errorf("redrove %d, %v, want 1", n, err)
	}
	found := all(r, r.store.Parked(r.Context(), eventstore.ParkedFilter{IDs: ids}))
	if len(found) != 1 || !found[0].Redriven {
		r.Errorf("redriven is %+v", found)
	}
	r.commit(eventstore.Commit{Unparks: ids})
	r.refuses(eventstore.Commit{Unparks: ids}, eventstore.ErrFenced, "it is taken back twice")
}

// deliveriesAreHandedOut hands out all of the window, and settles what was handed out last before the upgrade.
func (r *release) deliveriesAreHandedOut() {
	r.Helper()
	taken, err := r.log.Take(r.Context(), workers, eventstore.Taking{Limit: 10, Visibility: time.Minute})
	r.must(err)
	got := ""
	for _, d := range taken {
		got += fmt.Sprintf("%d: attempt %d, %d failures; ", d.Position, d.Attempt, len(d.Failures))
	}
	if want := "1: attempt 2, 0 failures; 2: attempt 2, 1 failures; 3: attempt 1, 0 failures; "; got != want {
		r.Fatalf("taken are %s\nwant %s", got, want)
	}
	ack := func(attempt int) eventstore.Commit {
		return eventstore.Commit{Acks: []eventstore.Ack{{Consumer: workers, ID: taken[0].ID, Attempt: attempt}}}
	}
	r.refuses(ack(1), eventstore.ErrFenced, "the attempt before the upgrade is acknowledged")
	r.commit(ack(2))
}

// schedulesFire fires what is due, and nothing else.
func (r *release) schedulesFire(head eventstore.Position) {
	r.Helper()
	fired, next, err := r.log.Fire(r.Context(), 10)
	if err != nil || fired != 1 || next.Year() != 2400 {
		r.Errorf("%d fired, the next is due in %d, %v; want 1, 2400", fired, next.Year(), err)
	}
	got := ""
	for _, e := range all(r, r.store.Read(r.Context(), eventstore.All(), eventstore.Range{After: head})) {
		got += fmt.Sprintf("%d: %s %d %s; ", e.Position, e.Stream, e.Version, e.Data)
	}
	if want := fmt.Sprintf(`%d: reminder-1 2 { "of": "rent" }; %d: reminder-1 3 {}; `, head+1, head+2); got != want {
		r.Errorf("what fired is %s\nwant %s", got, want)
	}
}

func (r *release) snapshotsAreReplaced() {
	r.Helper()
	s := eventstore.Snapshot{Fold: "balance.1", Stream: "account-1", Version: 9, Data: json.RawMessage(`{"balance": 9}`)}
	r.must(r.log.Save(r.Context(), s))
	if got, err := r.log.Snapshot(r.Context(), s.Fold, s.Stream); err != nil || string(got.Data) != string(s.Data) || got.Version != 9 {
		r.Errorf("the snapshot is %+v, %v", got, err)
	}
}

// pausedResumes claims what was paused, once it is not.
func (r *release) pausedResumes() {
	r.Helper()
	if _, err := r.log.Claim(r.Context(), "new member", resting, 1, []int{0}); !errors.Is(err, eventstore.ErrFenced) {
		r.Errorf("a paused consumer is claimed: %v", err)
	}
	r.must(r.store.Resume(r.Context(), resting))
	if leases, err := r.log.Claim(r.Context(), "new member", resting, 1, []int{0}); err != nil || len(leases) != 1 {
		r.Errorf("claimed %+v, %v", leases, err)
	}
}
