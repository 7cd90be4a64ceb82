package viewtest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
)

// Compared is what a comparison has come to.
type Compared struct {
	Events    int // in the log
	Rows      int // that there ought to be
	Differing int // keys: of these rows, and of rows that ought not to be there
}

func (c Compared) String() string {
	return fmt.Sprintf("%d events, %d rows compared, %d keys differ", c.Events, c.Rows, c.Differing)
}

// Compare compares the rows of Views with what folding the log by plain means comes to, and reports to tb what differs.
func Compare(ctx context.Context, tb testing.TB, st *eventstore.Store) (c Compared) {
	tb.Helper()
	log := events(ctx, tb, st)
	c.Events = len(log)
	moves, sent, owned := byHand(tb, log)
	Add(tb, &c, "transfers", moves, list(ctx, tb, transfers().Rows(st)))
	Add(tb, &c, "senders", sent, list(ctx, tb, senders().Rows(st)))
	Add(tb, &c, "owners", owned, list(ctx, tb, owners().Rows(st)))
	Add(tb, &c, "balances", balancesByHand(tb, log), list(ctx, tb, balances().Rows(st)))
	return c
}

// Add compares the rows of one more read model, by their keys.
func Add[Row any](tb testing.TB, c *Compared, what string, want, got map[string]Row) {
	tb.Helper()
	var keys []string
	for key := range want {
		if row, there := got[key]; !there || !cmp.Equal(want[key], row, noBytes) {
			keys = append(keys, key)
		}
	}
	for key := range got {
		if _, there := want[key]; !there {
			keys = append(keys, key)
		}
	}
	c.Rows, c.Differing = c.Rows+len(want), c.Differing+len(keys)
	if len(keys) == 0 {
		return
	}
	show := func(rows map[string]Row, key string) *Row {
		if row, there := rows[key]; there {
			return &row
		}
		return nil
	}
	tb.Errorf("%s: of %d rows, %d differ; %s is one (-folded by hand +kept):\n%s",
		what, len(want), len(keys), keys[0], cmp.Diff(show(want, keys[0]), show(got, keys[0]), noBytes))
}

// noBytes has no bytes be equal to nil.
var noBytes = cmp.Transformer("text", func(b []byte) string { return string(b) })

// events reads the log.
func events(ctx context.Context, tb testing.TB, st *eventstore.Store) (all []eventstore.Event) {
	tb.Helper()
	for e, err := range st.Read(ctx, eventstore.All(), eventstore.Range{}) {
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// list reads a view.
func list[Row any](ctx context.Context, tb testing.TB, rows projections.Rows[Row]) map[string]Row {
	tb.Helper()
	all := map[string]Row{}
	for k, err := range rows.List(ctx, projections.Page[Row]{}) {
		if err != nil {
			tb.Fatal(err)
		}
		all[k.Key] = k.Row
	}
	return all
}

func decode(tb testing.TB, e eventstore.Event, into any) {
	tb.Helper()
	if err := json.Unmarshal(e.Data, into); err != nil {
		tb.Fatal(err)
	}
}

// byHand folds the log for the simpler views.
func byHand(tb testing.TB, log []eventstore.Event) (moves map[string]transfer, sent map[string]sender, owned map[string]owner) {
	tb.Helper()
	moves, sent, owned = map[string]transfer{}, map[string]sender{}, map[string]owner{}
	for _, e := range log {
		id := e.Stream.ID()
		switch e.Type {
		case "opened":
			var o opened
			decode(tb, e, &o)
			owned[id] = owner{o.Owner, owned[id].Times + 1}
		case "closed":
			delete(owned, id)
		case "moved":
			var m moved
			decode(tb, e, &m)
			moves[id] = transfer{moves[id].Moves + 1, (3*moves[id].Sum + m.Cents) % 1_000_003}
			s := sent[m.From]
			s.Moves, s.Sum, s.Recent = s.Moves+1, (3*s.Sum+m.Cents)%1_000_003, append(slices.Clone(s.Recent), m.Cents)
			s.Recent = s.Recent[max(0, len(s.Recent)-5):]
			sent[m.From] = s
		}
	}
	return moves, sent, owned
}

// balancesByHand folds the log for the view of balances.
func balancesByHand(tb testing.TB, log []eventstore.Event) map[string]balance {
	tb.Helper()
	rows := map[string]*balance{}
	at := func(key string) *balance {
		if rows[key] == nil {
			rows[key] = &balance{}
		}
		return rows[key]
	}
	for _, e := range log {
		switch e.Type {
		case "opened":
			var o opened
			decode(tb, e, &o)
			b := at(e.Stream.ID())
			b.Owner, b.Open = &o.Owner, true
		case "closed":
			delete(rows, e.Stream.ID())
		case "forgotten":
			var f forgotten
			decode(tb, e, &f)
			delete(rows, f.Account)
		case "moved":
			var m moved
			decode(tb, e, &m)
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
