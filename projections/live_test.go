package projections_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/spine"
	"github.com/necrostack/necrostack/spine/spinetest"
)

type total struct{ N int64 }

func totals(every int) projections.Live[total] {
	return projections.Live[total]{
		Name: "totals", Snapshot: projections.Snapshot{Every: every},
		Fold: eventstore.Fold[total]{eventstore.On(func(s *total, e added) { s.N += e.N })},
	}
}

// add appends numbers, each as an event.
func add(t *testing.T, st *eventstore.Store, stream eventstore.Stream, ns ...int64) {
	t.Helper()
	for _, n := range ns {
		if _, err := st.Append(t.Context(), stream, eventstore.Any, added{n}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBadQuestionsAreRefusedBeforeAnyRead(t *testing.T) {
	t.Parallel()
	ctx, tap := t.Context(), spinetest.NewTap(memory.New())
	st, live, view := eventstore.New(tap, eventstore.Config{}), totals(2), sums("sums")
	stream := func(at ...projections.At) error { return fault(live.Stream(ctx, st, "count-a", at...)) }
	query := func(at ...projections.At) error { return fault(live.Query(ctx, st, eventstore.All(), at...)) }
	row := func(at projections.At) error { return fault(view.At(ctx, st, "a", at)) }
	for what, err := range map[string]error{
		"version -1 is negative":                  stream(projections.AtVersion(-1)),
		"position -2 is negative":                 stream(projections.AtPosition(-2)),
		"position -3 is negative":                 query(projections.AtPosition(-3)),
		"time is zero":                            query(projections.AtTime(time.Time{})),
		"at names 2 points":                       stream(projections.AtVersion(1), projections.AtPosition(1)),
		"version 1 is asked of what is no stream": query(projections.AtVersion(1)),
		"stream is empty":                         fault(live.Stream(ctx, st, "")),
		"query item 1: type is empty":             fault(live.Query(ctx, st, eventstore.OfType(""))),
		"key is empty":                            fault(view.At(ctx, st, "", projections.At{})),
		"version 2 is asked of what is no stream": row(projections.AtVersion(2)),
		"position -4 is negative":                 row(projections.AtPosition(-4)),
	} {
		if !errors.Is(err, eventstore.ErrInvalid) || !strings.Contains(err.Error(), what) {
			t.Errorf("error is %v, want: %s", err, what)
		}
	}
	if n := tap.Calls.Load(); n != 0 {
		t.Errorf("the log was asked %d times", n)
	}
	for _, err := range []error{stream(projections.AtVersion(math.MaxInt64)), query(projections.AtPosition(math.MaxInt64))} {
		if !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("beyond all: %v", err)
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{stream(), query(projections.AtPosition(0)), stream(projections.AtVersion(0)), row(projections.AtTime(time.Now()))} {
		if !errors.Is(err, eventstore.ErrClosed) {
			t.Errorf("of a closed store: %v", err)
		}
	}
}

func fault[T any](_ T, err error) error { return err }

func TestFaultsOfALiveFoldAreReportedTogether(t *testing.T) {
	t.Parallel()
	type lossy struct{ hidden int }
	live := projections.Live[lossy]{
		Snapshot: projections.Snapshot{Every: 1, Version: -1},
		Fold:     eventstore.Fold[lossy]{eventstore.On(func(s *lossy, _ added) { s.hidden++ }), eventstore.On[lossy, added](nil)},
	}
	err := fault(live.Stream(t.Context(), memory.Open(memory.Config{}), "count-a"))
	for _, want := range []string{"fold of added is nil", "Version is -1", "name is empty", "lossy.hidden is unexported"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	if err := (projections.Live[total]{}).Validate(); err == nil || !strings.Contains(err.Error(), "Fold is empty") {
		t.Errorf("nothing to fold: %v", err)
	}
	bare := eventstore.New(struct{ eventstore.Backend }{memory.New()}, eventstore.Config{})
	if _, err := totals(1).Stream(t.Context(), bare, "count-a"); err == nil || !strings.Contains(err.Error(), "keeps no snapshots") {
		t.Errorf("snapshots that nobody keeps: %v", err)
	}
	if _, err := totals(0).Stream(t.Context(), bare, "count-a", projections.AtTime(time.Now())); err != nil {
		t.Errorf("without snapshots any backend will do: %v", err)
	}
}

// ailing has snapshots that cannot be saved or cannot be read, or are spoilt.
type ailing struct {
	*memory.Backend

	save, load error
	spoil      func(s *eventstore.Snapshot)
}

func (a ailing) Save(ctx context.Context, s eventstore.Snapshot) error {
	if a.save != nil {
		return a.save
	}
	return a.Backend.Save(ctx, s)
}

func (a ailing) Snapshot(ctx context.Context, fold string, stream eventstore.Stream) (eventstore.Snapshot, error) {
	s, err := a.Backend.Snapshot(ctx, fold, stream)
	if a.spoil != nil && s.Version > 0 {
		a.spoil(&s)
	}
	return s, errors.Join(err, a.load)
}

func TestSnapshotThatFailsOrIsSpoiltCostsTimeAlone(t *testing.T) {
	t.Parallel()
	disk := errors.New("disk full")
	for name, a := range map[string]ailing{
		"cannot be saved":      {save: disk},
		"cannot be read":       {load: disk},
		"no envelope":          {spoil: func(s *eventstore.Snapshot) { s.Data = json.RawMessage(`[1]`) }},
		"null":                 {spoil: func(s *eventstore.Snapshot) { s.Data = json.RawMessage(`null`) }},
		"another state":        {spoil: func(s *eventstore.Snapshot) { s.Data = []byte(strings.Replace(string(s.Data), `{"N":`, `["N",`, 1)) }},
		"another version":      {spoil: func(s *eventstore.Snapshot) { s.Version-- }},
		"of nothing, and rich": {spoil: func(s *eventstore.Snapshot) { s.Data = json.RawMessage(`{"position":0,"state":{"N":1000}}`) }},
		"another event": {spoil: func(s *eventstore.Snapshot) {
			s.Data = []byte(strings.Replace(string(s.Data), `"position":`, `"position":1`, 1))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a.Backend = memory.New()
			st, live := eventstore.New(a, eventstore.Config{}), totals(1)
			add(t, st, "count-a", 1, 2, 3)
			for range 2 {
				s, err := live.Stream(t.Context(), st, "count-a")
				q, errQ := live.Query(t.Context(), st, eventstore.OfType("added"))
				if s.Value.N != 6 || s.Version != 3 || q.Value.N != 6 || err != nil || errQ != nil {
					t.Errorf("it came to %+v, %v and %+v, %v", s, err, q, errQ)
				}
			}
		})
	}
}

func TestChangedVersionOfALiveFoldLeavesOldSnapshotsUnused(t *testing.T) {
	t.Parallel()
	st, live := memory.Open(memory.Config{}), totals(1)
	add(t, st, "count-a", 1, 2)
	double := totals(1)
	double.Fold = eventstore.Fold[total]{eventstore.On(func(s *total, e added) { s.N += 2 * e.N })}
	for _, c := range []struct {
		version int
		live    projections.Live[total]
		want    int64
	}{{1, live, 3}, {1, double, 3}, {2, double, 6}} {
		c.live.Snapshot.Version = c.version
		if s, err := c.live.Stream(t.Context(), st, "count-a"); s.Value.N != c.want || err != nil {
			t.Errorf("in version %d it came to %+v, %v, want %d", c.version, s, err, c.want)
		}
	}
}

// Two queries that say the same share a snapshot, and no others do.
func TestSnapshotIsOfOneQuery(t *testing.T) {
	t.Parallel()
	st, live := memory.Open(memory.Config{}), totals(1)
	add(t, st, "count-a", 1)
	add(t, st, "count-b", 10)
	add(t, st, "tally-a", 100)
	for range 2 {
		for _, c := range []struct {
			want int64
			q    eventstore.Query
		}{
			{11, eventstore.InCategory("count")},
			{1, eventstore.InStream("count-a")},
			{101, eventstore.InStream("count-a").Or(eventstore.InCategory("tally"))},
			{101, eventstore.InCategory("tally").Or(eventstore.InStream("count-a"), eventstore.InCategory("tally"))},
			{110, eventstore.InStream("count-b").Or(eventstore.InStream("tally-a"))},
			{0, eventstore.WithTags("count-a")},
			{111, eventstore.OfType("added", "other")},
			{111, eventstore.OfType("other", "added")},
			{0, eventstore.OfType("other added")},
			{0, eventstore.Query{}},
		} {
			if s, err := live.Query(t.Context(), st, c.q); s.Value.N != c.want || s.Position != 3 || s.Version != 0 || err != nil {
				t.Errorf("%+v came to %+v, %v, want %d", c.q.Items(), s, err, c.want)
			}
		}
	}
}

func TestQueriesThatSayTheSameShareASnapshotHoweverTheyAreSpelt(t *testing.T) {
	t.Parallel()
	tap := spinetest.NewTap(memory.New())
	st, live := eventstore.New(tap, eventstore.Config{}), totals(1)
	for _, tags := range [][]string{{"a", "b"}, {"a", "b", "a b"}} {
		if _, err := st.Append(t.Context(), "count-a", eventstore.Any, eventstore.Draft{Payload: added{1}, Tags: tags}); err != nil {
			t.Fatal(err)
		}
	}
	a, b := eventstore.WithTags("a", "b"), eventstore.InCategory("none")
	for i, c := range []struct {
		q    eventstore.Query
		want int64
	}{
		{a.Or(b), 2},
		{b.Or(eventstore.WithTags("b", "a"), a), 2},
		{eventstore.WithTags("a b").Or(b), 1},
	} {
		calls := tap.Calls.Load()
		if s, err := live.Query(t.Context(), st, c.q); s.Value.N != c.want || err != nil {
			t.Errorf("%+v came to %+v, %v, want %d", c.q.Items(), s, err, c.want)
		}
		if n := tap.Calls.Load() - calls; (n == 2) != (i == 1) { // to load, to read, and to save what is new
			t.Errorf("%+v took %d calls", c.q.Items(), n)
		}
	}
}

// An upcaster drops events, and makes two of others.
func TestVersionsAndTimesCountStoredEvents(t *testing.T) {
	t.Parallel()
	st := memory.Open(memory.Config{Store: eventstore.Config{Upcasters: []eventstore.Upcaster{
		{Type: "noise", Into: []string{"noise"}, From: 1, Up: func(eventstore.Raw) ([]eventstore.Raw, error) { return nil, nil }},
		{Type: "pair", Into: []string{"added"}, Up: func(old eventstore.Raw) ([]eventstore.Raw, error) {
			return []eventstore.Raw{{Type: "added", Data: old.Data}, {Type: "added", Data: old.Data}}, nil
		}},
	}}})
	var times []time.Time
	want := []int64{0, 0, 2, 2, 2, 12, 112, 112}
	for _, e := range []struct {
		typ string
		n   int64
	}{{"noise", 0}, {"pair", 1}, {"noise", 0}, {"noise", 0}, {"pair", 5}, {"added", 100}, {"noise", 0}} {
		ev := spinetest.Event("count-a", e.typ, int(e.n))
		if _, err := st.Commit(t.Context(), spinetest.Out(ev).Commit); err != nil {
			t.Fatal(err)
		}
	}
	raw := eventstore.New(st.Backend(), eventstore.Config{})
	for ev, err := range raw.Read(t.Context(), eventstore.All(), eventstore.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, ev.Time)
	}
	live := totals(1)
	for range 2 { // from nothing, and from the snapshot
		for v := range want {
			s, err := live.Stream(t.Context(), st, "count-a", projections.AtVersion(eventstore.Version(v)))
			if s.Value.N != want[v] || s.Version != eventstore.Version(v) || s.Position != eventstore.Position(v) || err != nil {
				t.Errorf("at version %d it came to %+v, %v, want %d", v, s, err, want[v])
			}
			if q, err := live.Query(t.Context(), st, eventstore.All(), projections.AtPosition(eventstore.Position(v))); q.Value.N != want[v] || err != nil {
				t.Errorf("at position %d it came to %+v, %v, want %d", v, q, err, want[v])
			}
		}
		for i, when := range times {
			last := i
			for last+1 < len(times) && !times[last+1].After(when) {
				last++
			}
			if s, err := live.Stream(t.Context(), st, "count-a", projections.AtTime(when)); s.Value.N != want[last+1] || err != nil {
				t.Errorf("at the time of position %d it came to %+v, %v, want %d", i+1, s, err, want[last+1])
			}
		}
		if _, err := live.Stream(t.Context(), st, "count-a", projections.AtVersion(8)); err == nil || !strings.Contains(err.Error(), "stands at version 7") {
			t.Errorf("beyond the end: %v", err)
		}
		for _, ask := range []func() error{
			func() error { return fault(live.Stream(t.Context(), st, "count-a")) },
			func() error { return fault(live.Query(t.Context(), st, eventstore.All())) },
		} {
			if err := ask(); err != nil {
				t.Error(err)
			}
		}
	}
}

// A row at a point is as the view itself would have kept it.
func TestRowOfThePastIsFoldedByTheRulesOfTheView(t *testing.T) {
	t.Parallel()
	view := projections.View[sum]{Name: "sums", On: projections.Folds[sum]{
		projections.OnKeys(func(e added) []string {
			switch e.N {
			case 1:
				panic("no key")
			case 2:
				return []string{"a", ""}
			}
			return []string{"a", "b"}
		}, func(s *sum, e added) { s.Total += e.N }),
		projections.On(func(s *sum, e added) {
			if s.Text += "x"; e.N == 40 {
				panic("forty")
			}
		}),
	}, Policy: spine.Policy{Retry: spine.Retry{Attempts: 1}}}
	st := memory.Open(memory.Config{})
	add(t, st, "count-a", 1, 2, 10, 20)
	add(t, st, "count-b", 30)
	sp, err := spine.New(st, spine.Config{Logger: slog.New(slog.DiscardHandler)}, view)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sp.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "b"} {
		want, err := view.Rows(st).Get(t.Context(), key)
		got, errAt := view.At(t.Context(), st, key, projections.At{})
		if got != want || want.Total != 60 || err != nil || errAt != nil {
			t.Errorf("row %s is %+v, %v, and kept as %+v, %v", key, got, errAt, want, err)
		}
	}
	add(t, st, "count-a", 40)
	if _, err := view.At(t.Context(), st, "a", projections.At{}); err == nil || !strings.Contains(err.Error(), `view sums: added at position 6: row "a": `) {
		t.Errorf("a fold that fails: %v", err)
	}
	if b, err := view.At(t.Context(), st, "b", projections.At{}); b.Total != 100 || err != nil {
		t.Errorf("another row: %+v, %v", b, err)
	}
}

// diary keeps what its events refer to.
type diary struct{ Pages []json.RawMessage }

func TestWhatARowKeepsOfItsEventsIsItsOwn(t *testing.T) {
	t.Parallel()
	store := memory.Open(memory.Config{})
	view := func(name string) projections.View[diary] {
		return projections.View[diary]{Name: name, On: projections.Folds[diary]{
			projections.On(func(d *diary, e eventstore.Recorded[added]) {
				d.Pages = append(d.Pages, e.Data)
				d.Pages[len(d.Pages)-1][2]++
			}),
		}}
	}
	sp, err := spine.New(store, spine.Config{}, view("mine"), view("yours"))
	if err != nil {
		t.Fatal(err)
	}
	want := diary{}
	for n := range int64(20) {
		if _, err := store.Append(t.Context(), "diary-1", eventstore.Any, added{n}); err != nil {
			t.Fatal(err)
		}
		want.Pages = append(want.Pages, json.RawMessage(fmt.Sprintf(`{"O":%d}`, n)))
	}
	if _, err := sp.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mine", "yours"} {
		got, err := view(name).Rows(store).Get(t.Context(), "1")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v; the row (-want +got):\n%s", name, err, diff)
		}
	}
}
