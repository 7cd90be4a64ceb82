package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
)

// page collects text, so that there are few writes that can fail.
type page struct{ bytes.Buffer }

func (p *page) line(format string, args ...any) {
	fmt.Fprintln(&p.Buffer, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

// flush writes what is on the page, which is empty then.
func (p *page) flush(w io.Writer) error {
	if _, err := p.WriteTo(w); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// report asks the read models, and needs no Spine for that.
func (b *bank) report(ctx context.Context) error {
	head, err := b.store.Head(ctx)
	if err != nil {
		return err
	}
	if err := b.richest(ctx); err != nil {
		return err
	}
	id := number(0)
	if err := b.latest(ctx, id); err != nil {
		return err
	}
	if err := b.travel(ctx, id, head); err != nil {
		return err
	}
	return b.totals(ctx, head)
}

func (b *bank) richest(ctx context.Context) error {
	b.page.line("The richest accounts")
	top := projections.Page[Balance]{OrderBy: "cents", Desc: true, Limit: 5}
	for row, err := range balances.Rows(b.store).List(ctx, top) {
		if err != nil {
			return err
		}
		b.page.line("  %-8s %-10s %14s  %d movements", row.Key, row.Row.Owner, money(row.Row.Cents), row.Row.Movements)
	}
	b.page.line("")
	return nil
}

func (b *bank) latest(ctx context.Context, id string) error {
	b.page.line("The latest lines of the statement of %s", id)
	for l, err := range b.statement.lines(ctx, id, 5) {
		if err != nil {
			return err
		}
		b.page.line("  position %-8d %-18s %14s", l.Position, l.What, money(l.Cents))
	}
	b.page.line("")
	return nil
}

// travel shows an account at half of the log, and now: as the row that the view had or has, and as a fold of its stream.
func (b *bank) travel(ctx context.Context, id string, head eventstore.Position) error {
	half := max(1, head/2)
	var middle eventstore.Event
	for e, err := range b.store.Read(ctx, eventstore.All(), eventstore.Range{After: half - 1, UpTo: half}) {
		if err != nil {
			return err
		}
		middle = e
	}
	b.page.line("Account %s in the course of time     by the view      by its stream", id)
	for _, point := range []struct {
		name string
		at   projections.At
	}{
		{fmt.Sprintf("at position %d", half), projections.AtPosition(half)},
		{"when that was committed", projections.AtTime(middle.Time)}, // with all that was committed then
		{"now", projections.At{}},
	} {
		row, err := balances.At(ctx, b.store, id, point.at)
		if err != nil && !errors.Is(err, projections.ErrNoRow) { // it may not have been open
			return err
		}
		stream := eventstore.StreamOf(category, id)
		state, err := account.Stream(ctx, b.store, stream, point.at)
		if err != nil {
			return err
		}
		b.page.line("  %-30s %15s %18s", point.name, money(row.Cents), money(state.Value.Cents))
	}
	b.page.line("")
	return nil
}

// totals adds the read models up, and holds them to what went in and out.
func (b *bank) totals(ctx context.Context, head eventstore.Position) error {
	s, err := flow.Query(ctx, b.store, eventstore.InCategory(category), projections.AtPosition(head))
	if err != nil {
		return err
	}
	var rows, cents, movements, lines, entered int64
	for row, err := range balances.Rows(b.store).List(ctx, projections.Page[Balance]{}) {
		if err != nil {
			return err
		}
		rows++
		cents += row.Row.Cents
		movements += int64(row.Row.Movements)
	}
	for l, err := range b.statement.lines(ctx, "", 0) {
		if err != nil {
			return err
		}
		lines++
		entered += l.Cents
	}
	f := s.Value
	b.page.line("Totals of %d accounts", f.Accounts)
	b.page.line("  deposits           %18s", money(f.Deposited))
	b.page.line("  withdrawals        %18s", money(-f.Withdrawn))
	b.page.line("  balances           %18s  %d movements", money(cents), movements)
	b.page.line("  statement          %18s  %d lines", money(entered), lines)
	b.page.line("  transfers          %18s", money(f.Transferred))
	if there := f.Deposited - f.Withdrawn; rows != f.Accounts || cents != there || entered != there || lines != movements {
		return fmt.Errorf("the books do not balance: %d accounts with %s in the log, %d with %s in the balances, %s in the statement; %d movements, %d lines",
			f.Accounts, money(there), rows, money(cents), money(entered), movements, lines)
	}
	b.page.line("  The books balance.")
	return nil
}
