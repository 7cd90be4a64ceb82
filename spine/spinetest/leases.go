package spinetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func leases() []promise {
	return []promise{
		{"Spines share the partitions evenly, and again when one comes or goes", sharesEvenly},
		{"a Spine that stops hands its partitions over at once", handsOver},
		{"a Spine that stops leaves no member behind", leavesNobody},
		{"a Spine that is cut off is taken over, and nothing is lost or doubled", takesOver},
		{"more Spines than partitions work as well", tooMany},
		{"an output whose lease has changed hands is not written", fences},
	}
}

// lanes is how many partitions of a consumer a Spine works.
func lanes(sp *spine.Spine, organ string) int {
	for _, o := range sp.Stats().Organs {
		if o.Name == organ {
			return o.Lanes
		}
	}
	return 0
}

// another is a Spine as of another process.
func (t *Trial) another(cfg spine.Config, organs ...spine.Organ) *spine.Spine {
	return t.Spine(t.Open(t.Tap()), cfg, organs...)
}

func sharesEvenly(t *Trial) {
	copier := On("copier", "in", Copy("copy.", "mid"))
	cfg := spine.Config{Lease: time.Minute}
	a, b, c := t.another(cfg, copier), t.another(cfg, copier), t.another(cfg, copier)
	share := func(least, most int, spines ...*spine.Spine) {
		t.Helper()
		t.Until(fmt.Sprintf("%d Spines work %d … %d partitions each", len(spines), least, most), func() bool {
			low, high, sum := 99, 0, 0
			for _, sp := range spines {
				n := lanes(sp, "copier")
				low, high, sum = min(low, n), max(high, n), sum+n
			}
			return low == least && high == most && sum == 16
		})
	}
	t.Start(a)
	share(16, 16, a)
	stopB := t.Start(b)
	share(8, 8, a, b)
	t.Start(c)
	share(5, 6, a, b, c)
	if err := stopB(); err != nil {
		t.Error(err)
	}
	share(8, 8, a, c)
	for i := range 32 {
		t.Put(Event(fmt.Sprint("s-", i), "in", i))
	}
	t.Done("copier")
	for i := range 32 {
		t.WantNumbers(fmt.Sprint("copy.s-", i), i)
	}
}

func handsOver(t *Trial) {
	copier := On("copier", "in", Copy("copy.", "mid"))
	cfg := spine.Config{Lease: time.Hour}
	a, b := t.another(cfg, copier), t.another(cfg, copier)
	stop := t.Start(a)
	t.Until("the first works all", func() bool { return lanes(a, "copier") == 16 })
	t.Start(b)
	t.Until("they share", func() bool { return lanes(b, "copier") == 8 })
	t.Put(Event("s-1", "in", 1))
	if err := stop(); err != nil {
		t.Error(err)
	}
	t.Put(Event("s-1", "in", 2))
	t.Until("the second works all", func() bool { return lanes(b, "copier") == 16 })
	t.Done("copier")
	t.WantNumbers("copy.s-1", 1, 2)
}

// leavesNobody stops Spines while their lanes end, which is when they look at their share once more.
func leavesNobody(t *Trial) {
	for range 20 {
		sp := t.another(spine.Config{Lease: time.Hour}, On("copier", "in", Ignore))
		stop := t.Start(sp)
		t.Until("it works", func() bool { return lanes(sp, "copier") > 0 })
		if err := stop(); err != nil {
			t.Error(err)
		}
		if r := t.Roster("copier"); len(r.Members) > 0 {
			t.Fatalf("members are left: %v", r.Members)
		}
	}
}

func takesOver(t *Trial) {
	for _, how := range []string{"fails", "hangs"} {
		one := NewTrial(t.T, t.harness)
		copier := On("copier", "in", Copy("copy.", "mid"))
		cfg := spine.Config{Lease: 300 * time.Millisecond, Grace: 50 * time.Millisecond}
		tap := one.Tap()
		a, b := one.Spine(one.Open(tap), cfg, copier), one.another(cfg, copier)
		one.Start(a)
		one.Start(b)
		one.Until("they share", func() bool { return lanes(a, "copier") == 8 && lanes(b, "copier") == 8 })
		for i := range 200 {
			one.Put(Event(fmt.Sprint("s-", i%20), "in", i))
			if i == 100 && how == "fails" {
				tap.Cut()
			} else if i == 100 {
				tap.Hang()
			}
		}
		one.Done("copier")
		for i := range 20 {
			s := fmt.Sprint("s-", i)
			one.WantNumbers("copy."+s, one.Numbers(s)...)
		}
	}
}

func tooMany(t *Trial) {
	copier := On("copier", "in", Copy("copy.", "mid"))
	copier.Policy.Partitions = 2
	var all []*spine.Spine
	for range 4 {
		sp := t.another(spine.Config{Lease: time.Minute}, copier)
		t.Start(sp)
		all = append(all, sp)
	}
	t.Until("two of them work one partition each", func() bool {
		with, sum := 0, 0
		for _, sp := range all {
			n := lanes(sp, "copier")
			with, sum = with+min(n, 1), sum+n
		}
		return with == 2 && sum == 2 && len(t.Roster("copier").Members) == 4
	})
	for i := range 10 {
		t.Put(Event(fmt.Sprint("s-", i), "in", i))
	}
	t.Done("copier")
	for i := range 10 {
		t.WantNumbers(fmt.Sprint("copy.s-", i), i)
	}
}

// fences takes the partition away while its handler is at work.
func fences(t *Trial) {
	var runs, lost atomic.Int64
	busy, goOn := make(chan struct{}), make(chan struct{})
	o := On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
		if runs.Add(1) == 1 {
			close(busy)
			<-goOn
		}
		return Copy("copy.", "mid")(ctx, in)
	})
	o.Policy.Partitions = 1
	watch := Watch(func(o spine.Observation) {
		if o.Step == spine.LeaseLost {
			lost.Add(1)
		}
	})
	t.Put(Event("s-1", "in", 1))
	sp := t.another(spine.Config{Lease: 300 * time.Millisecond, Observers: []spine.Observer{watch}}, o)
	t.Start(sp)
	<-busy
	leaser, _ := t.Store.Backend().(eventstore.Leaser)
	owned := t.Roster("organ").Partitions[0]
	if err := leaser.Release(t.Ctx, owned.Owner, []eventstore.Lease{{Consumer: "organ", Epoch: owned.Epoch}}); err != nil {
		t.Fatal(err)
	}
	if _, err := leaser.Renew(t.Ctx, eventstore.Member{ID: "thief", Consumers: []string{"organ"}}, time.Minute); err != nil {
		t.Fatal(err)
	}
	stolen, err := leaser.Claim(t.Ctx, "thief", "organ", 1, []int{0})
	if err != nil || len(stolen) != 1 || stolen[0].Epoch <= owned.Epoch {
		t.Fatalf("claimed %+v, %v", stolen, err)
	}
	close(goOn)
	t.Until("the lane is lost", func() bool { return lost.Load() == 1 })
	t.WantNumbers("copy.s-1")
	if err := leaser.Leave(t.Ctx, "thief"); err != nil {
		t.Fatal(err)
	}
	t.Done("organ")
	t.WantNumbers("copy.s-1", 1)
	if runs.Load() != 2 {
		t.Errorf("the handler ran %d times, want once under each lease", runs.Load())
	}
}
