package spinetest

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func gathersPoison(t *Trial) {
	l := ledger{bad: map[int]bool{7: true}}
	o := l.organ()
	o.MaxBatch = 4
	t.numbered(1, 12)
	sp := t.another(spine.Config{}, o)
	t.Drain(sp)
	l.want(t, 1, 2, 3, 4, 5, 6, 8, 9, 11, 12)
	if parked := t.Parked("ledger"); len(parked) != 2 || parked[0].Attempts != 1 || parked[1].Attempts != 0 {
		t.Errorf("parked are %+v, want the bad event and one behind it", parked)
	}
}

func gathersNoOutput(t *Trial) {
	for name, fail := range map[string]func() error{
		"fails": func() error { return errors.New("no output") }, "panics": func() error { panic("no output") },
	} {
		one := NewTrial(t.T, t.harness)
		var l ledger
		o := l.organ()
		l.output = func(*spine.Output) error { return fail() }
		ns := one.numbered(1, 10)
		one.Drain(one.another(spine.Config{MaxSteps: 12}, o)) // none of which counts twice
		l.want(one, ns...)
		if parked := one.Parked("ledger"); len(parked) > 0 {
			t.Errorf("if it %s, %d events are parked", name, len(parked))
		}
	}
}

func gathersAppend(t *Trial) {
	var l ledger
	o := l.organ()
	l.output = func(out *spine.Output) error {
		out.Commit = Out(Event("out-1", "out", 1)).Commit
		return nil
	}
	ns := t.numbered(1, 10)
	t.Drain(t.another(spine.Config{}, o))
	l.want(t, ns...)
	t.WantNumbers("out-1")
	if _, _, dropped := l.count(); dropped != 1 {
		t.Errorf("%d outputs were told that they are dropped, want 1", dropped)
	}
}

// gathersHung lets the Gatherer go on as soon as it is given up, which is when it would do harm.
func gathersHung(t *Trial) {
	var l ledger
	o := l.organ()
	o.Policy.Deadline = 50 * time.Millisecond
	goOn, over := make(chan struct{}), make(chan struct{})
	var hung *gatheredSums
	l.add = func(g *gatheredSums, _ []spine.Input) (bool, error) {
		if hung == nil {
			hung = g
			<-goOn
			close(over)
			return true, nil
		}
		if g == hung {
			t.Error("it is called again")
		}
		return false, nil
	}
	watch := Watch(func(o spine.Observation) {
		if o.Step == spine.Abandoned {
			close(goOn)
		}
	})
	ns := t.numbered(1, 10)
	t.Start(t.another(spine.Config{Observers: []spine.Observer{watch}}, o))
	t.Done("ledger")
	<-over
	ns = append(ns, t.numbered(11, 20)...)
	t.Done("ledger")
	l.want(t, ns...)
}

func gathersRedriven(t *Trial) {
	var l ledger
	o := l.organ()
	ns := t.numbered(1, 6)
	t.Start(t.another(spine.Config{}, o))
	t.Done("ledger")
	l.want(t, ns...) // and is remembered
	l.mu.Lock()
	l.bad = map[int]bool{7: true}
	l.mu.Unlock()
	ns = append(ns, t.numbered(7, 12)...)
	t.Until("one is parked, and one behind it", func() bool { return len(t.Parked("ledger")) == 2 })
	l.mu.Lock()
	l.bad = nil
	l.mu.Unlock()
	t.redrive(2, eventstore.ParkedFilter{Consumer: "ledger", Key: "s-1"})
	t.Until("none is parked", func() bool { return len(t.Parked("ledger")) == 0 })
	t.Done("ledger")
	l.want(t, ns...)
	_, before, _ := l.count()
	ns = append(ns, t.numbered(13, 18)...)
	t.Done("ledger")
	l.want(t, ns...)
	if _, after, _ := l.count(); after == before {
		t.Error("after the redrive nothing is gathered any more")
	}
}

// gathersLost takes the partition away while the Gatherer is at work.
func gathersLost(t *Trial) {
	var l ledger
	o := l.organ()
	busy, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	l.add = func(*gatheredSums, []spine.Input) (bool, error) {
		once.Do(func() {
			close(busy)
			<-goOn
		})
		return false, nil
	}
	ns := t.numbered(1, 10)
	t.Start(t.another(spine.Config{Lease: time.Minute}, o))
	<-busy
	leaser, _ := t.Store.Backend().(eventstore.Leaser)
	owned := t.Roster("ledger").Partitions[0]
	t.must(leaser.Release(t.Ctx, owned.Owner, []eventstore.Lease{{Consumer: "ledger", Epoch: owned.Epoch}}))
	_, err := leaser.Renew(t.Ctx, eventstore.Member{ID: "thief", Consumers: []string{"ledger"}}, time.Minute)
	t.must(err)
	if stolen, err := leaser.Claim(t.Ctx, "thief", "ledger", 1, []int{0}); err != nil || len(stolen) != 1 {
		t.Fatalf("claimed %+v, %v", stolen, err)
	}
	close(goOn)
	t.Until("it is dropped", func() bool { _, _, dropped := l.count(); return dropped > 0 })
	l.want(t)
	t.must(leaser.Leave(t.Ctx, "thief"))
	t.Done("ledger")
	l.want(t, ns...)
	if _, _, dropped := l.count(); dropped != 1 {
		t.Errorf("%d commits were tried in vain, want 1", dropped)
	}
}

func gathersCommitFail(t *Trial) {
	var l ledger
	o := l.organ()
	o.Policy.OnCommitError = spine.CommitFail
	tap := t.Tap()
	var mu sync.Mutex
	failed := 0
	tap.OnCommit = func(batch []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
		mu.Lock()
		defer mu.Unlock()
		if len(batch[0].Checkpoints) > 0 && failed == 0 {
			failed++
			return nil, errDisk
		}
		return write()
	}
	ns := t.numbered(1, 10)
	sp := t.Spine(t.Open(tap), spine.Config{}, o)
	if err := sp.Run(t.Ctx); !errors.Is(err, errDisk) {
		t.Errorf("Run returned %v, want the commit's error", err)
	}
	l.want(t) // nor was it written on the way out, which would make the error a lie
	t.Drain(sp)
	l.want(t, ns...)
}

func gathersObserved(t *Trial) {
	var l ledger
	o := l.organ()
	o.MaxBatch = 3
	var mu sync.Mutex
	steps := map[int][]spine.Step{}
	watch := Watch(func(o spine.Observation) {
		if o.Event != nil {
			mu.Lock()
			defer mu.Unlock()
			steps[N(o.Event)] = append(steps[N(o.Event)], o.Step)
		}
	})
	ns := t.numbered(1, 10)
	t.Drain(t.another(spine.Config{Observers: []spine.Observer{watch}}, o))
	l.want(t, ns...)
	want := []spine.Step{spine.EventReceived, spine.EventDispatched, spine.EventCompleted, spine.EventAcked}
	for _, n := range ns {
		if !slices.Equal(steps[n], want) {
			t.Errorf("of event %d they saw %v, want %v", n, steps[n], want)
		}
	}
}

// gathersWarily has an owner die that had moved nothing.
func gathersWarily(t *Trial) {
	var l ledger
	o := l.organ()
	o.MaxBatch = 1000
	sp := t.another(spine.Config{Lease: 300 * time.Millisecond}, o)
	t.Drain(sp)
	leaser, _ := t.Store.Backend().(eventstore.Leaser)
	_, err := leaser.Renew(t.Ctx, eventstore.Member{ID: "dead", Consumers: []string{"ledger"}}, time.Second)
	t.must(err)
	if taken, err := leaser.Claim(t.Ctx, "dead", "ledger", 1, []int{0}); err != nil || len(taken) != 1 {
		t.Fatalf("claimed %+v, %v", taken, err)
	}
	ns := t.numbered(1, 400)
	t.Drain(sp)
	l.want(t, ns...)
	for _, some := range l.commits {
		if len(some) > 256 {
			t.Errorf("a commit is of %d events", len(some))
		}
	}
}
