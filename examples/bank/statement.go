package main

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
)

// Line is one movement of one account.
type Line struct {
	Account  string `view:",index"`
	Position int64  // of its event
	What     string // the event's type
	Cents    int64
	Time     time.Time
}

// statement keeps a line for each movement.
type statement interface {
	projection() projections.Projection
	// lines yields an account's latest lines, or those of all accounts, which are "", in an order that is always the same. A
	// limit of 0 is none.
	lines(ctx context.Context, account string, limit int) iter.Seq2[Line, error]
	close()
}

// openStatement is in a table of its own if the log is in PostgreSQL. In memory and in Redis a view takes its place.
func openStatement(ctx context.Context, st *eventstore.Store, dsn string) (statement, error) {
	if _, ok := st.Backend().(*postgres.Backend); ok {
		return openTable(ctx, dsn)
	}
	return &keptLines{lineView.Rows(st)}, nil
}

// line is what an event means for an account.
func line(account string, e eventstore.Event, cents int64) Line {
	return Line{Account: account, Position: int64(e.Position), What: e.Type, Cents: cents, Time: e.Time}
}

// lineKey sorts an account's lines by their positions.
func lineKey(account string, p eventstore.Position) string {
	return fmt.Sprintf("%s/%012d", account, p)
}

// lineView keeps the lines as rows.
var lineView = projections.View[Line]{
	Name: "statement",
	On: projections.Folds[Line]{
		cash(func(e Deposited) int64 { return e.Cents }),
		cash(func(e Withdrawn) int64 { return -e.Cents }),
		side(func(e Transferred) (string, int64) { return e.From, -e.Cents }),
		side(func(e Transferred) (string, int64) { return e.To, e.Cents }),
	},
}

// cash is a line for the account in whose stream the event is.
func cash[E eventstore.Payload](cents func(E) int64) projections.Folder[Line] {
	return projections.OnKey(
		func(e eventstore.Recorded[E]) string { return lineKey(e.Stream.ID(), e.Position) },
		func(l *Line, e eventstore.Recorded[E]) { *l = line(e.Stream.ID(), e.Event, cents(e.Payload)) },
	)
}

// side is a line for one of two accounts.
func side[E eventstore.Payload](of func(E) (account string, cents int64)) projections.Folder[Line] {
	return projections.OnKey(
		func(e eventstore.Recorded[E]) string {
			account, _ := of(e.Payload)
			return lineKey(account, e.Position)
		},
		func(l *Line, e eventstore.Recorded[E]) {
			account, cents := of(e.Payload)
			*l = line(account, e.Event, cents)
		},
	)
}

// keptLines are those of lineView.
type keptLines struct{ rows projections.Rows[Line] }

func (*keptLines) projection() projections.Projection { return lineView }
func (*keptLines) close()                             {}

func (k *keptLines) lines(ctx context.Context, account string, limit int) iter.Seq2[Line, error] {
	page := projections.Page[Line]{Desc: true, Limit: limit}
	if account != "" {
		page.Where = []projections.Filter{projections.Is("account", account)}
	}
	return func(yield func(Line, error) bool) {
		for row, err := range k.rows.List(ctx, page) {
			if !yield(row.Row, err) {
				return
			}
		}
	}
}
