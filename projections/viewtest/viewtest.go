// Package viewtest tries what views promise on a backend.
package viewtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/spine"
	"github.com/necrostack/necrostack/spine/spinetest"
)

type (
	opened struct{ Owner string }
	moved  struct {
		From, To string
		Cents    int64
	}
	counted   struct{ Number int64 }
	closed    struct{}
	forgotten struct{ Account string }
)

func (opened) EventType() string    { return "opened" }
func (moved) EventType() string     { return "moved" }
func (counted) EventType() string   { return "counted" }
func (closed) EventType() string    { return "closed" }
func (forgotten) EventType() string { return "forgotten" }

// balance is a row with a column of every kind.
type balance struct {
	Owner   *string `view:"owner,index"`
	Cents   int64   `view:",index"`
	Moves   uint16
	Share   float64
	Open    bool
	Last    uuid.UUID
	Digest  []byte
	Recent  []int64
	Outside map[string]int64
	Note    string `view:"-"`
}

// balances is about accounts: their own streams, and transfers, each of which moves two of them.
func balances() projections.View[balance] {
	return projections.View[balance]{
		Name: "balances",
		On: projections.Folds[balance]{
			projections.On(func(b *balance, e opened) { b.Owner, b.Open = &e.Owner, true }),
			projections.OnKeys(
				func(e eventstore.Recorded[moved]) []string {
					if e.Payload.From == e.Payload.To {
						return []string{e.Payload.From}
					}
					return []string{e.Payload.From, e.Payload.To}
				},
				func(b *balance, e eventstore.Recorded[moved]) {
					b.Moves++
					b.Cents = 3*b.Cents + e.Payload.Cents // so that the order counts
					b.Cents %= 1_000_003
					b.Share = float64(b.Cents) / 8
					b.Last, b.Digest = e.ID, append(b.Digest, byte(e.Payload.Cents))
					b.Recent = append(b.Recent, e.Payload.Cents)
					b.Recent = b.Recent[max(0, len(b.Recent)-5):]
					if b.Outside == nil {
						b.Outside = map[string]int64{}
					}
					b.Outside[e.Payload.To] = e.Payload.Cents
				},
			),
			projections.Delete[balance, closed](),
			projections.DeleteKey[balance](func(e forgotten) string { return e.Account }),
		},
	}
}

// Run tries every promise of views on logs that h opens.
func Run(t *testing.T, h spinetest.Harness) {
	t.Helper()
	for name, run := range map[string]func(*spinetest.Trial){
		"rows are what folding the log from its beginning comes to":                    equalsOracle,
		"events are folded together across what is read at once":                       manyTogether,
		"rows are written with a checkpoint that is accepted, or not at all":           fenced,
		"each event counts once, whatever commits are lost and processes come and go":  exactlyOnce,
		"a fold that fails parks its key alone, and redriven it is as if it never had": parksKey,
		"a read waits for what was written":                                            readYourWrites,
		"rows are listed page by page, in order, as filters say":                       lists,
		"a struct that has changed needs a new version":                                changed,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(spinetest.NewTrial(t, h))
		})
	}
}

// script appends random events about a few accounts.
func script(t *spinetest.Trial, random *rand.Rand, n int) {
	account := func() string { return fmt.Sprint("a", random.IntN(12)) }
	for i := range n {
		var err error
		own := eventstore.StreamOf("account", account())
		switch random.IntN(12) {
		case 0:
			_, err = t.Store.Append(t.Ctx, own, eventstore.Any, opened{account()})
		case 1:
			_, err = t.Store.Append(t.Ctx, own, eventstore.Any, closed{})
		case 2:
			_, err = t.Store.Append(t.Ctx, "audit-1", eventstore.Any, forgotten{account()})
		default:
			_, err = t.Store.Append(t.Ctx, eventstore.StreamOf("transfer", fmt.Sprint(random.IntN(5))), eventstore.Any, moved{account(), account(), int64(i + 1)})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// oracle folds the log by plain means.
func oracle(t *spinetest.Trial) map[string]balance {
	t.Helper()
	rows := map[string]*balance{}
	at := func(key string) *balance {
		if rows[key] == nil {
			rows[key] = &balance{}
		}
		return rows[key]
	}
	decode := func(e eventstore.Event, into any) {
		if err := json.Unmarshal(e.Data, into); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range t.Events(eventstore.All()) {
		switch e.Type {
		case "opened":
			var o opened
			decode(e, &o)
			b := at(e.Stream.ID())
			b.Owner, b.Open = &o.Owner, true
		case "closed":
			delete(rows, e.Stream.ID())
		case "forgotten":
			var f forgotten
			decode(e, &f)
			delete(rows, f.Account)
		case "moved":
			var m moved
			decode(e, &m)
			for _, key := range slices.Compact([]string{m.From, m.To}) {
				b := at(key)
				b.Moves++
				b.Cents = (3*b.Cents + m.Cents) % 1_000_003
				b.Share = float64(b.Cents) / 8
				b.Last, b.Digest = e.ID, append(b.Digest, byte(m.Cents))
				b.Recent = append(b.Recent, m.Cents)
				b.Recent = b.Recent[max(0, len(b.Recent)-5):]
				if b.Outside == nil {
					b.Outside = map[string]int64{}
				}
				b.Outside[m.To] = m.Cents
			}
		}
	}
	all := map[string]balance{}
	for key, b := range rows {
		all[key] = *b
	}
	return all
}

// want compares a view with the oracle, and returns how many rows there are.
func want(t *spinetest.Trial, rows projections.Rows[balance]) int {
	t.Helper()
	got := map[string]balance{}
	for k, err := range rows.List(t.Ctx, projections.Page[balance]{}) {
		if err != nil {
			t.Fatal(err)
		}
		got[k.Key] = k.Row
	}
	diff := cmp.Diff(oracle(t), got, cmp.Transformer("empty", func(b []byte) string { return string(b) }))
	if diff != "" {
		t.Errorf("rows (-folded by hand +kept):\n%s", diff)
	}
	return len(got)
}

func equalsOracle(t *spinetest.Trial) {
	random := rand.New(rand.NewPCG(1, 1))
	view := balances()
	sp := t.Spine(t.Store, spine.Config{MaxSteps: -1}, view)
	for range 4 {
		script(t, random, 150)
		t.Drain(sp)
		if want(t, view.Rows(t.Store)) == 0 {
			t.Error("there are no rows")
		}
	}
}

// manyTogether has batches of more events than the Spine reads at once.
func manyTogether(t *spinetest.Trial) {
	view := balances()
	view.Batch, view.Policy.Partitions = 600, 1
	random := rand.New(rand.NewPCG(5, 5))
	for range 2 {
		payloads := make([]eventstore.Payload, 900)
		for i := range payloads {
			payloads[i] = moved{fmt.Sprint("a", random.IntN(50)), fmt.Sprint("a", random.IntN(50)), int64(i)}
		}
		if _, err := t.Store.Append(t.Ctx, "transfer-1", eventstore.Any, payloads...); err != nil {
			t.Fatal(err)
		}
	}
	tap := t.Tap()
	t.Drain(t.Spine(t.Open(tap), spine.Config{MaxSteps: -1}, view))
	want(t, view.Rows(t.Store))
	if n := tap.Writes.Load(); n > 6 {
		t.Errorf("1,800 events took %d commits", n)
	}
}

// fenced writes rows as an owner that has lost its partition, from elsewhere than where it stands, and again.
func fenced(t *spinetest.Trial) {
	set := eventstore.RowSet{Name: "sums", Version: 1, Columns: []eventstore.Column{{Name: "n", Kind: eventstore.Int}}}
	tap := t.Tap()
	store := t.Open(tap)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(tap.DefineRows(t.Ctx, set))
	must(tap.DefineRows(t.Ctx, set)) // once more
	for n := range 3 {
		t.Put(spinetest.Event("s-1", "in", n))
	}
	known, err := tap.Define(t.Ctx, eventstore.Consumer{Name: "sums_v1", Partitions: 1, Hash: "fnv1a", Listens: []string{"type in"}})
	must(err)
	lease := func(member string) eventstore.Lease {
		t.Helper()
		_, err := tap.Renew(t.Ctx, eventstore.Member{ID: member, Consumers: []string{"sums_v1"}}, time.Minute)
		must(err)
		leases, err := tap.Claim(t.Ctx, member, "sums_v1", known.Generation, []int{0})
		must(err)
		return leases[0]
	}
	write := func(epoch int64, from, to eventstore.Position, rows ...eventstore.Row) error {
		c := eventstore.Commit{Checkpoints: []eventstore.Checkpoint{{Consumer: "sums_v1", Epoch: epoch, From: from, To: to}}}
		_, err := store.CommitWith(t.Ctx, tap.WriteRows(set, rows), c)
		return err
	}
	check := func(want ...int64) {
		t.Helper()
		rows, err := tap.LoadRows(t.Ctx, set, []string{"a", "b"})
		must(err)
		slices.SortFunc(rows, func(x, y eventstore.Row) int { return strings.Compare(x.Key, y.Key) })
		var got []int64
		for _, r := range rows {
			got = append(got, r.Values[0].(int64))
		}
		if !slices.Equal(got, want) {
			t.Errorf("rows are %v, want %v", got, want)
		}
	}
	row := func(key string, n int64) eventstore.Row { return eventstore.Row{Key: key, Values: []any{n}} }
	old := lease("one").Epoch
	must(write(old, 0, 1, row("a", 1), row("b", 1)))
	check(1, 1)
	must(write(old, 0, 1, row("a", 1), row("b", 1))) // sent again
	check(1, 1)
	if err := write(old, 2, 3, row("a", 9)); !errors.Is(err, eventstore.ErrFenced) {
		t.Errorf("from elsewhere than where the partition stands: %v", err)
	}
	must(tap.Leave(t.Ctx, "one"))
	now := lease("two").Epoch
	if err := write(old, 1, 2, row("a", 9), eventstore.Row{Key: "b"}); !errors.Is(err, eventstore.ErrFenced) {
		t.Errorf("of a former owner: %v", err)
	}
	check(1, 1)
	must(write(now, 1, 2, row("a", 2), eventstore.Row{Key: "b"}))
	check(2)
}

// exactlyOnce loses answers at random, before and after the commit, and replaces Spines that have lost their connection.
func exactlyOnce(t *spinetest.Trial) {
	random := rand.New(rand.NewPCG(2, 2))
	view := balances()
	view.Batch = 7
	for range 12 {
		script(t, random, 40)
		tap := t.Tap()
		cut, late := int64(1+random.IntN(8)), random.IntN(2) == 0
		tap.OnCommit = func(_ []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
			if tap.Writes.Load() < cut {
				return write()
			}
			if late {
				_, _ = write() // nobody learns of it
			}
			tap.Cut()
			return nil, eventstore.ErrOutcomeUnknown
		}
		ctx, cancel := context.WithCancel(t.Ctx)
		sp := t.Spine(t.Open(tap), spine.Config{MaxSteps: -1, Lease: 100 * time.Millisecond, Grace: 10 * time.Millisecond}, view)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = sp.Drain(ctx) // it ends when it is told to, or has nothing to do
		}()
		t.Until("its connection is lost, or it is done", func() bool {
			select {
			case <-ended:
				return true
			default:
				return tap.Writes.Load() > cut
			}
		})
		cancel()
		<-ended
	}
	sp := t.Spine(t.Store, spine.Config{MaxSteps: -1, Lease: 100 * time.Millisecond}, view)
	t.Drain(sp)
	for n := 0; len(t.ParkedKeys("balances_v1")) > 0; n++ { // what was under way when three processes ended counts as poison
		if n == 100 {
			t.Fatalf("still parked: %q", t.ParkedKeys("balances_v1"))
		}
		if _, err := t.Store.Redrive(t.Ctx, eventstore.ParkedFilter{}); err != nil {
			t.Fatal(err)
		}
		t.Drain(sp)
	}
	want(t, view.Rows(t.Store))
}

// parksKey has a fold that fails for one row.
func parksKey(t *spinetest.Trial) {
	type row struct{ Sum int64 }
	broken := true
	view := projections.View[row]{
		Name: "sums",
		On: projections.Folds[row]{
			projections.On(func(r *row, e counted) {
				r.Sum += e.Number
				if broken && e.Number == 5 {
					panic("five")
				}
			}),
		},
	}
	for n := range int64(10) {
		for _, s := range []eventstore.Stream{"count-a", "count-b"} {
			number := n
			if s == "count-b" && n == 5 {
				number = 50
			}
			if _, err := t.Store.Append(t.Ctx, s, eventstore.Any, counted{number}); err != nil {
				t.Fatal(err)
			}
		}
	}
	sp := t.Spine(t.Store, spine.Config{MaxSteps: -1}, view)
	t.Drain(sp)
	rows := view.Rows(t.Store)
	check := func(key string, want int64) {
		t.Helper()
		if r, err := rows.Get(t.Ctx, key); err != nil || r.Sum != want {
			t.Errorf("row %s is %+v, %v, want the sum %d", key, r, err, want)
		}
	}
	check("a", 0+1+2+3+4)
	check("b", 45-5+50)
	if keys := t.ParkedKeys("sums_v1"); len(keys) == 0 || slices.ContainsFunc(keys, func(k string) bool { return !strings.HasPrefix(k, "a@") }) {
		t.Errorf("parked for the keys %q, want a alone", keys)
	}
	broken = false
	if _, err := t.Store.Redrive(t.Ctx, eventstore.ParkedFilter{Consumer: "sums_v1"}); err != nil {
		t.Fatal(err)
	}
	t.Drain(sp)
	check("a", 45)
	if left := t.ParkedKeys("sums_v1"); len(left) > 0 {
		t.Errorf("still parked: %q", left)
	}
}

func readYourWrites(t *spinetest.Trial) {
	view := balances()
	if _, err := view.Rows(t.Store).Get(t.Ctx, "a"); !errors.Is(err, eventstore.ErrNoRows) {
		t.Errorf("a view that never ran: %v", err)
	}
	t.Start(t.Spine(t.Open(t.Tap()), spine.Config{}, view)) // as another process
	t.Until("it is known", func() bool { return len(t.Roster("balances_v1").Partitions) > 0 })
	rows := view.Rows(t.Store)
	for n := range int64(20) {
		r, err := t.Store.Append(t.Ctx, "transfer-1", eventstore.Any, moved{"a", "b", n})
		if err != nil {
			t.Fatal(err)
		}
		b, err := rows.Get(t.Ctx, "b", projections.AtLeast(r.Position))
		if err != nil || int64(b.Moves) != n+1 {
			t.Fatalf("after %d moves: %+v, %v", n+1, b, err)
		}
	}
	if _, err := rows.Get(t.Ctx, "nobody"); !errors.Is(err, projections.ErrNoRow) {
		t.Errorf("a key without a row: %v", err)
	}
}

func lists(t *spinetest.Trial) {
	view := balances()
	script(t, rand.New(rand.NewPCG(3, 3)), 400)
	for _, b := range []string{"ann", "Zoë", "bob", "ann"} {
		if _, err := t.Store.Append(t.Ctx, eventstore.StreamOf("account", b+"-"+uuid.NewString()), eventstore.Any, opened{b}); err != nil {
			t.Fatal(err)
		}
	}
	t.Drain(t.Spine(t.Store, spine.Config{MaxSteps: -1}, view))
	rows, all := view.Rows(t.Store), oracle(t)
	for _, by := range []string{"", "key", "cents", "owner"} {
		for _, desc := range []bool{false, true} {
			ordered := slices.Sorted(maps.Keys(all))
			slices.SortStableFunc(ordered, func(x, y string) int { return order(by, all[x], all[y]) })
			if desc {
				slices.Reverse(ordered)
			}
			var got []string
			page := projections.Page[balance]{OrderBy: by, Desc: desc, Limit: 3}
			for more := true; more; {
				more = false
				for k, err := range rows.List(t.Ctx, page) {
					if err != nil {
						t.Fatal(err)
					}
					got, page.After, more = append(got, k.Key), &k, true
				}
			}
			if !slices.Equal(got, ordered) {
				t.Errorf("by %q, desc %t:\n%q, want\n%q", by, desc, got, ordered)
			}
		}
	}
	filter := []projections.Filter{projections.More("cents", 1000), projections.AtMost("cents", int32(500_000))}
	n, err := rows.Count(t.Ctx, filter)
	in := 0
	for _, b := range all {
		if b.Cents > 1000 && b.Cents <= 500_000 {
			in++
		}
	}
	if err != nil || int(n) != in || in == 0 {
		t.Errorf("%d rows meet the filter, %v, want %d", n, err, in)
	}
	for _, k := range slices.Collect(maps.Keys(map[string]projections.Filter{"moves": projections.Is("moves", 1), "nothing": projections.Is("nothing", 1)})) {
		if _, err := rows.Count(t.Ctx, []projections.Filter{projections.Is(k, 1)}); !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("a filter of column %s: %v", k, err)
		}
	}
	if n, err := rows.Count(t.Ctx, []projections.Filter{projections.Is("owner", nil)}); err != nil || n == 0 || int(n) == len(all) {
		t.Errorf("%d of %d rows have no owner, %v", n, len(all), err)
	}
}

// order compares rows by a column. None is greater than any owner.
func order(by string, x, y balance) int {
	switch {
	case by == "cents":
		return int(x.Cents - y.Cents)
	case by != "owner" || x.Owner == nil && y.Owner == nil:
		return 0
	case x.Owner == nil:
		return 1
	case y.Owner == nil:
		return -1
	case *x.Owner < *y.Owner:
		return -1
	case *x.Owner > *y.Owner:
		return 1
	}
	return 0
}

func changed(t *spinetest.Trial) {
	type before struct{ Sum int64 }
	type after struct {
		Sum  string
		More bool
	}
	fold := func(*before, counted) {}
	t.Put(spinetest.Event("count-1", "counted", 1))
	t.Drain(t.Spine(t.Store, spine.Config{}, projections.View[before]{Name: "sums", On: projections.Folds[before]{projections.On(fold)}}))
	t.Put(spinetest.Event("count-1", "counted", 2))
	other := projections.View[after]{Name: "sums", On: projections.Folds[after]{projections.On(func(*after, counted) {})}}
	t.Drain(t.Spine(t.Store, spine.Config{}, other))
	parked := t.Parked("sums_v1")
	if len(parked) == 0 {
		t.Fatal("rows of another shape were taken for the view's own")
	}
	for _, part := range []string{"sum is int, not text", "more is new", "needs a new version"} {
		if why := parked[0].Failures[0].Error; !strings.Contains(why, part) {
			t.Errorf("the failure says %q, without %q", why, part)
		}
	}
	other.Version = 2
	t.Drain(t.Spine(t.Store, spine.Config{}, other))
	if n, err := other.Rows(t.Store).Count(t.Ctx, nil); err != nil || n != 1 {
		t.Errorf("version 2 has %d rows, %v", n, err)
	}
}
