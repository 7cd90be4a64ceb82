package spinetest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func definitions() []promise {
	return []promise{
		{"a changed key without the former one is an error that says where all stands, and changes nothing", keyUnknown},
		{"a changed key without the former one is fine where all partitions stand at one position", keyEven},
		{"the key of a program that was taken back is missed with a clear error", keyTakenBack},
		{"what is under way by a former definition is not written", formerFenced},
		{"a deploy that is taken back leaves the former definition at work", func(t *Trial) { takenBack(t, false) }},
		{"a deploy that is taken back in the middle leaves the former definition at work", func(t *Trial) { takenBack(t, true) }},
		{"a process that has come back once does not push out the next deploy", comesBackOnce},
		{"a restarted process of a former definition stays out, also if it leaves its partitions open", staysOut},
		{"a change that was cut off in the middle is carried on by another process", changeCarriedOn},
		{"parked entries are found, hold their keys and are redriven under another number of partitions", parkedMove},
		{"parked entries of an Ordered organ are redriven once when it competes", parkedCompete},
		{"deliveries that are left when an organ becomes Ordered are handled", windowLeft},
		{"a worker of a former definition leaves alone what it does not know", formerWorker},
	}
}

// fast is the configuration of a process whose end is soon noticed.
var fast = spine.Config{Lease: 400 * time.Millisecond, Grace: 100 * time.Millisecond}

// Of a consumer that unevenly has left, some partitions have passed the first half of the events, the others all.
const (
	half = 20
	full = 2 * half
)

// unevenly defines a consumer by stream, of four partitions, as if a program had run it and stopped in the middle.
// Nothing came out.
func (t *Trial) unevenly() {
	t.Helper()
	o := On("organ", "in", Ignore)
	o.Policy.Partitions = 4
	t.Drain(t.another(fast, o)) // of nothing
	var in []eventstore.Event
	for i := range full {
		in = append(in, Event(fmt.Sprint("s-", i%10), "in", i+100))
	}
	t.Put(in...)
	leaser, _ := t.Store.Backend().(eventstore.Leaser)
	_, err := leaser.Renew(t.Ctx, eventstore.Member{ID: "m", Consumers: []string{"organ"}}, time.Minute)
	t.must(err)
	leases, err := leaser.Claim(t.Ctx, "m", "organ", t.Roster("organ").Generation, []int{0, 1, 2, 3})
	t.must(err)
	var c eventstore.Commit
	for _, l := range leases {
		c.Checkpoints = append(c.Checkpoints, eventstore.Checkpoint{
			Consumer: "organ", Partition: l.Partition, Epoch: l.Epoch, To: []eventstore.Position{full, half}[l.Partition%2],
		})
	}
	_, err = t.Store.Commit(t.Ctx, c)
	t.must(err)
	t.must(leaser.Leave(t.Ctx, "m"))
}

// parts is a copier with so many partitions.
func parts(n int) Organ { return version{parts: n}.organ() }

func keyUnknown(t *Trial) {
	t.unevenly()
	before := t.Roster("organ")
	o := version{parts: 4, keys: 1}.organ()
	o.FormerKey = nil
	err := t.another(fast, o).Run(t.Ctx)
	if err == nil {
		t.Fatal("Run returned nil")
	}
	for _, part := range []string{`"organ"`, "of version 1", "of version 0", "20 … 40", "FormerKey"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("Run returned %q, which does not mention %s", err, part)
		}
	}
	if now := t.Roster("organ"); now.Generation != before.Generation {
		t.Errorf("the definition has become generation %d, was %d", now.Generation, before.Generation)
	}
	t.Drain(t.another(fast, parts(4))) // the former program may go on, and come to the end
	t.Drain(t.another(fast, o))
	t.wantRest()
}

// wantRest expects the events that unevenly has left undone, and those after them, to have been copied once.
func (t *Trial) wantRest() {
	t.Helper()
	times, left := map[int]int{}, 0
	for _, e := range t.Events(eventstore.OfType("copied")) {
		times[N(&e)]++
	}
	for _, e := range t.Events(eventstore.OfType("in")) {
		k := times[N(&e)]
		left += k
		if k > 1 || e.Position <= half && k > 0 || e.Position > full && k == 0 {
			t.Errorf("event %d at position %d was handled %d times", N(&e), e.Position, k)
		}
	}
	if left == 0 {
		t.Error("nothing was handled")
	}
}

func keyEven(t *Trial) {
	t.Drain(t.another(fast, parts(4)))
	for range 3 { // at 0, and elsewhere
		o := version{parts: 4, keys: 1 + int(t.Head())}.organ()
		o.FormerKey = nil
		t.Put(Event("s-1", "in", int(t.Head())))
		t.Drain(t.another(fast, o))
	}
	t.WantNumbers("copy.s-1", t.Numbers("s-1")...)
}

func keyTakenBack(t *Trial) {
	t.unevenly()
	f := t.fleet()
	f.start(1, version{parts: 4, keys: 1}.organ())
	f.Until("it is deployed", func() bool { return f.isDefined(version{parts: 4, keys: 1}) })
	f.end(true)
	r := t.Roster("organ")
	if r.Position() == r.Partitions[0].Position && len(r.Partitions) == 4 {
		t.unevenlyAgain()
	}
	time.Sleep(2 * fast.Lease)
	errs := make(chan error, 100)
	watch := Watch(func(o spine.Observation) {
		if o.Err != nil {
			select {
			case errs <- o.Err:
			default:
			}
		}
	})
	cfg := fast
	cfg.Observers = []spine.Observer{watch}
	ctx, cancel := context.WithTimeout(t.Ctx, 10*time.Second)
	defer cancel()
	go func() { errs <- t.another(cfg, parts(4)).Run(ctx) }()
	for err := range errs {
		if err == nil || strings.Contains(err.Error(), "of version 1 again") {
			if err == nil {
				t.Error("the former program says nothing")
			}
			break
		}
	}
}

// unevenlyAgain appends events that only one partition has done.
func (t *Trial) unevenlyAgain() {
	t.Helper()
	t.Put(Event("s-1", "in", 1000))
	leaser, _ := t.Store.Backend().(eventstore.Leaser)
	_, err := leaser.Renew(t.Ctx, eventstore.Member{ID: "m", Consumers: []string{"organ"}}, time.Millisecond)
	t.must(err)
	t.Until("one partition is free", func() bool {
		_, err := leaser.Renew(t.Ctx, eventstore.Member{ID: "m", Consumers: []string{"organ"}}, 10*time.Millisecond)
		t.must(err)
		leases, err := leaser.Claim(t.Ctx, "m", "organ", t.Roster("organ").Generation, []int{0})
		if err != nil || len(leases) == 0 {
			return false
		}
		_, err = t.Store.Commit(t.Ctx, eventstore.Commit{Checkpoints: []eventstore.Checkpoint{{
			Consumer: "organ", Epoch: leases[0].Epoch, From: leases[0].Position, To: t.Head(),
		}}})
		return err == nil
	})
	t.must(leaser.Leave(t.Ctx, "m"))
}

// takenBack starts a newer program beside an older one and stops it, perhaps before it has all partitions at one
// position.
// held is a connection on which signs of life can be held up.
// Renew implements eventstore.Leaser.
// holding back its first sign of life, the next deploy is a moment without members.
// formerWorker has a process that does not notice a change take deliveries of an event that only the newer
// definition knows.
