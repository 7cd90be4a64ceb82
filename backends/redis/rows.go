package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/necrostack/necrostack/eventstore"
)

// DefineRows implements eventstore.RowKeeper.
func (b *Backend) DefineRows(ctx context.Context, set eventstore.RowSet) error {
	if err := set.Validate(); err != nil {
		return err
	}
	columns := set.Columns
	if columns == nil {
		columns = []eventstore.Column{}
	}
	data, err := json.Marshal(columns)
	if err != nil {
		return err
	}
	var names []string
	for _, c := range indexed(set) {
		names = append(names, set.Columns[c].Name)
	}
	if err := b.tell(ctx); err != nil {
		return err
	}
	reply, err := b.control(ctx, defineRowsScript, set.Name, set.Version, data, strings.Join(names, ","))
	if err != nil {
		return err
	}
	var r reader
	text := r.text(r.item(reply, 0))
	if text == "" || r.err != nil {
		return r.err
	}
	var kept []eventstore.Column
	if err := json.Unmarshal([]byte(text), &kept); err != nil {
		return fmt.Errorf("columns of %s: %w", set.Table(), err)
	}
	if diff := set.Difference(kept); len(diff) > 0 {
		return &eventstore.RowsChangedError{Set: set.Table(), Differences: diff}
	}
	return nil
}

// indexed are the places of a set's indexed columns, in the order of their names: whichever order they are listed in.
func indexed(set eventstore.RowSet) (at []int) {
	for i, c := range set.Columns {
		if c.Index {
			at = append(at, i)
		}
	}
	slices.SortFunc(at, func(x, y int) int { return strings.Compare(set.Columns[x].Name, set.Columns[y].Name) })
	return at
}

// said runs a script that returns what refuses it, as a word, or nothing.
func (b *Backend) said(ctx context.Context, s *script, set eventstore.RowSet) (string, error) {
	reply, err := b.control(ctx, s, set.Name, set.Version)
	if err != nil {
		return "", err
	}
	var r reader
	word := r.text(r.item(reply, 0))
	return word, r.err
}

func noSuchRows(set eventstore.RowSet) error {
	return fmt.Errorf("rows of %s: %w", set.Table(), eventstore.ErrNoRows)
}

// ServeRows implements eventstore.RowKeeper.
func (b *Backend) ServeRows(ctx context.Context, set eventstore.RowSet) error {
	switch word, err := b.said(ctx, serveRowsScript, set); {
	case err != nil:
		return err
	case word == "gone":
		return noSuchRows(set)
	case word == "behind":
		return &eventstore.InvalidError{Field: "version", Reason: fmt.Sprintf("%d of view %s is still being folded", set.Version, set.Name)}
	default:
		return nil
	}
}

// DropRows implements eventstore.RowKeeper.
func (b *Backend) DropRows(ctx context.Context, set eventstore.RowSet) error {
	if err := set.Validate(); err != nil {
		return err
	}
	switch word, err := b.said(ctx, dropRowsScript, set); {
	case err != nil:
		return err
	case word == "serves":
		return fmt.Errorf("rows of %s: %w: they serve", set.Table(), eventstore.ErrInUse)
	case word != "":
		return fmt.Errorf("rows of %s: %w: %s processes fold them", set.Table(), eventstore.ErrInUse, word)
	default:
		return nil
	}
}

// RowVersions implements eventstore.RowKeeper.
func (b *Backend) RowVersions(ctx context.Context, view string) (all []eventstore.RowVersion, err error) {
	reply, err := b.run(ctx, rowVersionsScript, view)
	if err != nil {
		return nil, classify(err)
	}
	var r reader
	for i := 1; i+1 < len(reply); i += 2 {
		all = append(all, eventstore.RowVersion{Version: int(r.int(reply[i])), Serves: reply[i] == reply[0], Complete: reply[i+1] == "1"})
	}
	slices.SortFunc(all, func(x, y eventstore.RowVersion) int { return x.Version - y.Version })
	return all, r.err
}

// WriteRows implements eventstore.RowKeeper.
func (b *Backend) WriteRows(set eventstore.RowSet, rows []eventstore.Row) eventstore.Pending {
	return &pendingRows{b, set, rows}
}

type pendingRows struct {
	b    *Backend
	set  eventstore.RowSet
	rows []eventstore.Row
}

// joined is how many rows are written together at most: the server does nothing else meanwhile.
const joined = 5_000

// Join implements eventstore.Joiner.
func (p *pendingRows) Join(other eventstore.Pending) (eventstore.Pending, bool) {
	o, ok := other.(*pendingRows)
	if !ok || o.b != p.b || o.set.Table() != p.set.Table() || len(p.rows)+len(o.rows) > joined {
		return nil, false
	}
	return &pendingRows{p.b, p.set, slices.Concat(p.rows, o.rows)}, true
}

// Commit implements eventstore.Pending: the rows are a part of the commit's script. Of a commit that stands already they stand, too.
func (p *pendingRows) Commit(ctx context.Context, c eventstore.Commit) (r eventstore.Result, err error) {
	a, err := p.b.following(ctx, []eventstore.Commit{c})
	if err != nil {
		return r, err
	}
	a.add(1)
	if err := a.commit(&c); err != nil {
		return r, fmt.Errorf("%w: %w", eventstore.ErrRefused, err)
	}
	if err := a.rows(p.set, p.rows); err != nil {
		return r, err
	}
	a.add(".")
	reply, err := p.b.write(ctx, commitScript, a.list)
	if err != nil {
		return r, outcome(err)
	}
	said, err := p.b.outcomes([]eventstore.Commit{c}, reply, a.mark)
	if err != nil {
		return r, err
	}
	p.b.wake.Fire()
	if said[0].Err == eventstore.ErrNoRows { //nolint:errorlint // as it is, and not as another has wrapped it
		return r, p.anew(ctx, &c)
	}
	return said[0].Result, said[0].Err
}

// anew has rows begin anew that are gone, and with them their consumer: so whoever commits has lost his lease.
func (p *pendingRows) anew(ctx context.Context, c *eventstore.Commit) error {
	if len(c.Checkpoints) == 0 {
		return noSuchRows(p.set)
	}
	if err := p.b.DefineRows(ctx, p.set); err != nil {
		return fmt.Errorf("%w: begin them anew: %w", noSuchRows(p.set), err)
	}
	return &eventstore.FencedError{Consumer: c.Checkpoints[0].Consumer, Partition: c.Checkpoints[0].Partition, Reason: "the rows are gone, and begin anew"}
}

// rows adds rows to a commit's arguments.
func (a *arguments) rows(set eventstore.RowSet, rows []eventstore.Row) error {
	columns := indexed(set)
	a.add("w", len(rows), set.Table(), len(columns))
	for _, c := range columns {
		a.add(set.Columns[c].Name)
	}
	for _, row := range rows {
		text := ""
		if row.Values != nil {
			var err error
			if text, err = encodeRow(set, row.Values); err != nil {
				return err
			}
		}
		a.add(row.Key, text)
		for _, c := range columns {
			if row.Values == nil {
				a.add("")
			} else {
				a.add(orderOf(row.Values[c]))
			}
		}
	}
	return nil
}
