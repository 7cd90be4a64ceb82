package viewtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/spine"
	"github.com/necrostack/necrostack/spine/spinetest"
)

// clean verifies a view that is as it ought to be.
func clean[Row any](t *spinetest.Trial, view projections.View[Row], parts int) (v projections.Verification[Row]) {
	t.Helper()
	v, err := view.Verify(t.Ctx, t.Store, projections.Verify{Parts: parts})
	if err != nil {
		t.Fatal(err)
	}
	if v.Differing != 0 || len(v.Differences) != 0 {
		t.Errorf("in %d parts, %d of %d differ", parts, v.Differing, v.Compared)
	}
	for _, d := range v.Differences {
		t.Errorf("%s at %d, %v (-folded +kept)\n%s", d.Key, d.Position, d.Err, cmp.Diff(d.Folded, d.Kept))
	}
	return v
}

func verifies(t *spinetest.Trial) {
	view := balances()
	if _, err := view.Verify(t.Ctx, t.Store, projections.Verify{}); !errors.Is(err, eventstore.ErrNoRows) {
		t.Errorf("a view that never ran: %v", err)
	}
	script(t, rand.New(rand.NewPCG(4, 4)), 400)
	t.Drain(t.Spine(t.Store, spine.Config{MaxSteps: -1}, view))
	rows := len(oracle(t, t.Events(eventstore.All())))
	var done, total eventstore.Position
	for _, parts := range []int{0, 1, 3, 40} {
		if v := clean(t, view, parts); v.Compared != rows || len(v.Parked) != 0 || v.Position != t.Head() {
			t.Errorf("in %d parts, of %d rows at %d: %+v", parts, rows, t.Head(), v)
		}
	}
	_, err := view.Verify(t.Ctx, t.Store, projections.Verify{Parts: 2, Report: func(d, of eventstore.Position) {
		if d < done {
			t.Errorf("it was at %d, and is at %d", done, d)
		}
		done, total = d, of
	}})
	if err != nil || done != total || total != 2*t.Head() {
		t.Errorf("at the end, %d of %d are done: %v", done, total, err)
	}
}

// vandal writes rows of a view as its owner, past what its folds say.
func vandal(t *spinetest.Trial, set eventstore.RowSet, rows ...eventstore.Row) {
	t.Helper()
	t.Put(spinetest.Event("aside-1", "aside", 1))
	tap, consumer := t.Tap(), set.Table()
	roster := t.Roster(consumer)
	_, err := tap.Renew(t.Ctx, eventstore.Member{ID: "vandal", Consumers: []string{consumer}}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	leases, err := tap.Claim(t.Ctx, "vandal", consumer, roster.Generation, []int{0})
	if err != nil || len(leases) != 1 {
		t.Fatalf("%d leases, %v", len(leases), err)
	}
	at := eventstore.Checkpoint{Consumer: consumer, Epoch: leases[0].Epoch, From: leases[0].Position, To: t.Head()}
	c := eventstore.Commit{Checkpoints: []eventstore.Checkpoint{at}}
	if _, err := t.Open(tap).CommitWith(t.Ctx, tap.WriteRows(set, rows), c); err != nil {
		t.Fatal(err)
	}
	if err := tap.Leave(t.Ctx, "vandal"); err != nil {
		t.Fatal(err)
	}
}

// spoiled changes one column of each of some rows, takes one away, and adds one.
func spoiled(t *spinetest.Trial) {
	view := balances()
	view.Policy.Partitions = 1
	for n := range 40 {
		from, to := fmt.Sprint("a", n%12), fmt.Sprint("a", (n+1)%12)
		if _, err := t.Store.Append(t.Ctx, "transfer-1", eventstore.Any, moved{from, to, int64(n)}); err != nil {
			t.Fatal(err)
		}
	}
	t.Drain(t.Spine(t.Store, spine.Config{MaxSteps: -1}, view))
	set := eventstore.RowSet{Name: "balances", Version: 1, Columns: []eventstore.Column{
		{Name: "owner", Kind: eventstore.Text, Null: true, Index: true},
		{Name: "cents", Kind: eventstore.Int, Index: true},
		{Name: "moves", Kind: eventstore.Int},
		{Name: "share", Kind: eventstore.Float},
		{Name: "open", Kind: eventstore.Bool},
		{Name: "last", Kind: eventstore.UUID},
		{Name: "digest", Kind: eventstore.Bytes},
		{Name: "recent", Kind: eventstore.JSON},
		{Name: "outside", Kind: eventstore.JSON},
	}}
	keeper, _ := t.Store.Backend().(eventstore.RowKeeper)
	rows, err := keeper.LoadRows(t.Ctx, set, []string{"a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8"})
	if err != nil || len(rows) != 9 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	slices.SortFunc(rows, func(a, b eventstore.Row) int { return int(a.Key[1]) - int(b.Key[1]) })
	spoil := func(n, column int, value any) {
		rows[n].Values = slices.Clone(rows[n].Values)
		rows[n].Values[column] = value
	}
	spoil(0, 0, "mallory")
	spoil(1, 1, rows[1].Values[1].(int64)+1)
	spoil(2, 2, rows[2].Values[2].(int64)+1<<16) // which looks the same in its field
	spoil(3, 3, 0.1)
	spoil(4, 4, true)
	spoil(5, 6, []byte{1})
	spoil(6, 7, json.RawMessage(`[1,2,3]`))
	spoil(7, 8, json.RawMessage(`"no map"`)) // cannot be read
	spoil(8, 7, json.RawMessage("  "+string(rows[8].Values[7].(json.RawMessage))))
	added := eventstore.Row{Key: "nobody", Values: rows[8].Values}
	vandal(t, set, append(rows, eventstore.Row{Key: "a9"}, added)...)

	for _, parts := range []int{1, 2} {
		v, err := view.Verify(t.Ctx, t.Store, projections.Verify{Parts: parts})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range v.Differences {
			got = append(got, fmt.Sprintf("%s kept %t folded %t readable %t", d.Key, d.Kept != nil, d.Folded != nil, d.Err == nil))
			if d.Position != t.Head() {
				t.Errorf("%s was compared at %d", d.Key, d.Position)
			}
		}
		var want []string
		for n := range 7 {
			want = append(want, fmt.Sprintf("a%d kept true folded true readable true", n))
		}
		want = append(want, "a7 kept false folded true readable false", "a9 kept false folded true readable true", "nobody kept true folded false readable true")
		if diff := cmp.Diff(want, got); diff != "" || v.Differing != len(want) || v.Compared != 13 {
			t.Errorf("in %d parts, %d of %d differ (-want +got)\n%s", parts, v.Differing, v.Compared, diff)
		}
	}
	v, err := view.Verify(t.Ctx, t.Store, projections.Verify{Most: 2})
	if err != nil || len(v.Differences) != 2 || v.Differing != 10 {
		t.Errorf("of %d differences %d were told, %v", v.Differing, len(v.Differences), err)
	}
}

// verifiesUnderLoad verifies while others write, and while Spines come and go.
func verifiesUnderLoad(t *spinetest.Trial) {
	view := balances()
	view.Batch, view.Policy.Partitions = 7, 4
	script(t, rand.New(rand.NewPCG(5, 5)), 60)
	stay := t.Start(t.Spine(t.Open(t.Tap()), spine.Config{MaxSteps: -1}, view))
	t.Until("it has rows", func() bool { n, err := view.Rows(t.Store).Count(t.Ctx, nil); return err == nil && n > 0 })
	var wg sync.WaitGroup
	defer wg.Wait()
	write := func(random *rand.Rand) {
		for n := range 60 {
			stream, payload := Event(random, 30, n)
			if _, err := t.Store.Append(t.Ctx, stream, eventstore.Any, payload); err != nil {
				t.Error(err)
				return
			}
		}
	}
	compared, uneven := 0, 0
	for n := range 12 {
		if n%4 == 2 { // partitions change hands
			_ = t.Start(t.Spine(t.Open(t.Tap()), spine.Config{MaxSteps: -1}, view))
		}
		for w := range 2 {
			wg.Go(func() { write(rand.New(rand.NewPCG(uint64(n), uint64(w)))) })
		}
		v := clean(t, view, 1+n%3)
		compared += v.Compared
		if v.Position < t.Head() {
			uneven++
		}
		wg.Wait()
	}
	if compared == 0 || uneven == 0 {
		t.Errorf("%d rows were compared, %d times while there was more in the log", compared, uneven)
	}
	t.Done("balances_v1")
	if v := clean(t, view, 1); v.Position != t.Head() || v.Compared != want(t, view.Rows(t.Store)) {
		t.Errorf("at the end, at %d: %+v", t.Head(), v)
	}
	if err := stay(); err != nil {
		t.Error(err)
	}
	t.Logf("12 times, %d rows compared, %d times while there was more in the log, which has %d events", compared, uneven, t.Head())
}

// fragile is a view of sums that cannot fold a five while it is broken.
func fragile(broken *bool) projections.View[sum] {
	return projections.View[sum]{Name: "sums", On: projections.Folds[sum]{projections.On(func(s *sum, e counted) {
		if *broken && e.Number == 5 {
			panic("five")
		}
		s.Sum += e.Number
	})}}
}

type sum struct{ Sum int64 }

func count(t *spinetest.Trial, stream eventstore.Stream, numbers ...int64) {
	t.Helper()
	for _, n := range numbers {
		if _, err := t.Store.Append(t.Ctx, stream, eventstore.Any, counted{n}); err != nil {
			t.Fatal(err)
		}
	}
}

// verifiesParked has events parked, discarded, and redriven.
func verifiesParked(t *spinetest.Trial) {
	broken := true
	view := fragile(&broken)
	for _, s := range []eventstore.Stream{"count-a", "count-b", "count-c"} {
		count(t, s, 1, 2)
	}
	count(t, "count-a", 5, 3)
	count(t, "count-b", 5)
	count(t, "count-c", 4)
	sp := t.Spine(t.Store, spine.Config{MaxSteps: -1}, view)
	t.Drain(sp)
	check := func(compared int, parked ...string) {
		t.Helper()
		for _, parts := range []int{1, 2} {
			if v := clean(t, view, parts); v.Compared != compared || !slices.Equal(v.Parked, parked) {
				t.Errorf("%d were compared, and %q are parked, want %d and %q", v.Compared, v.Parked, compared, parked)
			}
		}
	}
	check(1, "a", "b")
	act := func(_ int, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Drain(sp)
	}
	act(t.Store.Discard(t.Ctx, eventstore.ParkedFilter{Consumer: "sums_v1", Key: "b"}))
	check(2, "a") // it cannot be folded still
	broken = false
	act(t.Store.Redrive(t.Ctx, eventstore.ParkedFilter{Consumer: "sums_v1"}))
	v, err := view.Verify(t.Ctx, t.Store, projections.Verify{})
	if err != nil || v.Compared != 3 || len(v.Differences) != 1 || v.Differences[0].Key != "b" || v.Differences[0].Kept.Sum != 3 || v.Differences[0].Folded.Sum != 8 {
		t.Errorf("an event was discarded that can be folded now: %+v, %v", v, err)
	}
}
