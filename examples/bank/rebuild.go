package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"iter"

	"github.com/necrostack/necrostack/projections"
)

// rebuild makes the read models anew from the beginning of the log, shows how far that is, and compares them with what they
// were before. A rate above 0 bounds how many events each of them folds in a second.
func (b *bank) rebuild(ctx context.Context, rate int) error {
	rows := balances.Rows(b.store)
	before, err := b.digests(ctx, rows)
	if err != nil {
		return err
	}
	cfg := projections.RebuildConfig{Rate: rate, Report: projections.Bar(b.diagnostics), Spine: b.spine}
	cfg.Spine.Observers = nil // being told of each event takes longer than folding it
	if _, err := projections.Rebuild(ctx, b.store, cfg, balances, b.statement.projection()); err != nil {
		return err
	}
	after, err := b.digests(ctx, rows)
	if err != nil {
		return err
	}
	b.page.line("")
	b.page.line("Rebuilt")
	for i, name := range []string{"balances", "statement"} {
		if before[i] != after[i] {
			return fmt.Errorf("the rebuilt %s has %d rows, and differs from the one before, which had %d", name, after[i].rows, before[i].rows)
		}
		b.page.line("  %-12s %10d rows, the same as before", name, after[i].rows)
	}
	return nil
}

// digest stands for rows: others have another one.
type digest struct {
	rows int
	sum  [sha256.Size]byte
}

func (b *bank) digests(ctx context.Context, rows projections.Rows[Balance]) (both [2]digest, err error) {
	if both[0], err = digestOf(rows.List(ctx, projections.Page[Balance]{})); err != nil {
		return both, err
	}
	both[1], err = digestOf(b.statement.lines(ctx, "", 0))
	return both, err
}

func digestOf[Row any](rows iter.Seq2[Row, error]) (d digest, err error) {
	h := sha256.New()
	out := json.NewEncoder(h)
	for row, err := range rows {
		if err == nil {
			err = out.Encode(row)
		}
		if err != nil {
			return d, err
		}
		d.rows++
	}
	copy(d.sum[:], h.Sum(nil))
	return d, nil
}
