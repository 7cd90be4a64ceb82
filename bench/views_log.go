package main

import (
	"context"
	"fmt"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
)

const (
	each   = 10   // events of an account, in the log that views are folded from
	groups = 1000 // of accounts
)

// movement is an event of that log. Its data are as long as those of wide, or a few bytes shorter.
type movement struct {
	Account string `json:"account"`
	Group   string `json:"group"`
	Cents   int64  `json:"cents"`
	Note    string `json:"note"`
}

func (movement) EventType() string { return "money was moved" }

const note = "standing order of the first of the month: rent of the flat on the second floor with heating cellar and what " +
	"the lift costs moreover, to be booked as agreed with the owner"

// balance is a row.
type balance struct {
	Cents     int64 `view:",index"`
	Movements int
	Last      time.Time
}

func fold(b *balance, e eventstore.Recorded[movement]) {
	b.Cents += e.Payload.Cents
	b.Movements++
	b.Last = e.Time
}

// perAccount is a view with a row for each account.
func perAccount() projections.View[balance] {
	return projections.View[balance]{Name: "balances", On: projections.Folds[balance]{projections.On(fold)}}
}

// perGroup is n views with a row for each group.
func perGroup(n int) []projections.View[balance] {
	views := make([]projections.View[balance], n)
	for i := range views {
		views[i] = projections.View[balance]{Name: fmt.Sprint("groups_", i), On: projections.Folds[balance]{
			projections.OnKey(func(e eventstore.Recorded[movement]) string { return e.Payload.Group }, fold),
		}}
	}
	return views
}

// moves fills a log with movements in random order, the same one every time. A tenth of s.folded is how many accounts
// there are, also in a log that holds more.
func (s *server) moves(events int) func(context.Context, *log) error {
	return func(ctx context.Context, l *log) error {
		shuffle := fmt.Sprintf(`CREATE UNLOGGED TABLE %s.shuffled AS
			SELECT i, account, row_number() OVER (ORDER BY h, i) AS n, row_number() OVER (PARTITION BY account ORDER BY h, i) AS version
			FROM (SELECT i, i %% %d AS account, hashint8extended(i, 7) AS h FROM generate_series(0, %d::bigint) i) x`,
			l.schema, max(s.folded/each, 1), events-1)
		insert := fmt.Sprintf(`INSERT INTO %s.events (position, stream, version, id, type, data, metadata, time, first)
			SELECT n, 'account-' || account, version,
				('018f0000-' || lpad(to_hex(n >> 16), 4, '0') || '-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, '%s',
				('{"account":"' || account || '","group":"' || account %% %d || '","cents":' || i %% 1000 || ',"note":"%s"}')::json,
				'%s', clock_timestamp(), n - (n - 1) %% 1000
			FROM %[1]s.shuffled ORDER BY n`,
			l.schema, movement{}.EventType(), groups, note, metadata)
		if err := s.exec(ctx, shuffle, insert, "DROP TABLE "+l.schema+".shuffled"); err != nil {
			return err
		}
		if head, err := l.store.Head(ctx); err != nil || int(head) != events {
			return fmt.Errorf("the head is %d, not %d: %w", head, events, err)
		}
		return nil
	}
}
