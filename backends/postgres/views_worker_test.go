package postgres_test

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/projections/viewtest"
	"github.com/necrostack/necrostack/spine"
)

// What viewtest.Event makes, as far as handlers listen to it.
type (
	accountOpened struct{ Owner string }
	centsMoved    struct{ Cents int64 }
)

func (accountOpened) EventType() string { return "opened" }
func (centsMoved) EventType() string    { return "moved" }

// killTables have no key where a line that counts twice would show.
const killTables = `
	CREATE TABLE lines (stream text, version bigint, cents bigint);
	CREATE TABLE sums (stream text PRIMARY KEY, sum bigint, lines bigint);
	CREATE TABLE openings (account text PRIMARY KEY, owner text, times bigint)`

const killPartitions = 4

// viewOrgans are what a worker runs that keeps views: those of viewtest, and handlers.
func viewOrgans() []spine.Organ { return append(viewtest.Views(killPartitions), movements()) }

// viewConsumers are their names.
func viewConsumers() []string {
	return []string{"transfers_v1", "senders_v1", "balances_v1", "owners_v1", "movements_v1"}
}

// movements has a line for each movement, and sums that depend on the order.
func movements() projections.Handlers {
	return projections.Handlers{
		Name: "movements", Key: eventstore.ByStream, Policy: spine.Policy{Partitions: killPartitions}, Batch: 20,
		To: postgres.Handlers{
			postgres.On(func(ctx context.Context, tx postgres.Tx, e eventstore.Recorded[accountOpened]) error {
				_, err := tx.Exec(ctx, `INSERT INTO openings VALUES ($1, $2, 1)
					ON CONFLICT (account) DO UPDATE SET owner = excluded.owner, times = openings.times + 1`, e.Stream.ID(), e.Payload.Owner)
				return err
			}),
			postgres.OnBatch(func(ctx context.Context, tx postgres.Tx, es []eventstore.Recorded[centsMoved]) error {
				_, err := tx.CopyFrom(ctx, pgx.Identifier{"lines"}, []string{"stream", "version", "cents"},
					pgx.CopyFromSlice(len(es), func(i int) ([]any, error) {
						return []any{string(es[i].Stream), es[i].Version, es[i].Payload.Cents}, nil
					}))
				if err != nil {
					return err
				}
				var sums pgx.Batch
				for _, e := range es {
					sums.Queue(`INSERT INTO sums VALUES ($1, $2, 1)
						ON CONFLICT (stream) DO UPDATE SET sum = (3 * sums.sum + excluded.sum) % 1000003, lines = sums.lines + 1`, string(e.Stream), e.Payload.Cents)
				}
				return tx.SendBatch(ctx, &sums).Close()
			}),
		},
	}
}

type (
	movement struct {
		Sum, Lines int64
		Listed     []int64
	}
	opening struct {
		Owner string
		Times int64
	}
)

// compareViews compares the rows of all views with what folding the log by plain means comes to.
func (b *bank) compareViews() viewtest.Compared {
	b.Helper()
	c := viewtest.Compare(b.ctx, b.T, b.store)
	moved, opened := b.movementsByHand()
	kept := map[string]movement{}
	var stream string
	var m movement
	b.each(`SELECT stream, coalesce(sum, 0), coalesce(lines, 0), coalesce(listed, '{}') FROM sums
		FULL JOIN (SELECT stream, array_agg(cents ORDER BY version) AS listed FROM lines GROUP BY 1) AS l USING (stream)`,
		[]any{&stream, &m.Sum, &m.Lines, &m.Listed}, func() { kept[stream], m.Listed = m, nil })
	viewtest.Add(b.T, &c, "movements", moved, kept)
	names := map[string]opening{}
	var account string
	var o opening
	b.each("SELECT account, owner, times FROM openings", []any{&account, &o.Owner, &o.Times}, func() { names[account] = o })
	viewtest.Add(b.T, &c, "openings", opened, names)
	return c
}

// each reads rows.
func (b *bank) each(sql string, into []any, do func()) {
	b.Helper()
	rows, err := b.pool.Query(b.ctx, sql)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := pgx.ForEachRow(rows, into, func() error {
		do()
		return nil
	}); err != nil {
		b.Fatal(err)
	}
}

// movementsByHand is what the handlers' tables ought to have.
func (b *bank) movementsByHand() (moved map[string]movement, opened map[string]opening) {
	b.Helper()
	moved, opened = map[string]movement{}, map[string]opening{}
	for e, err := range b.store.Read(b.ctx, eventstore.All(), eventstore.Range{}) {
		if err != nil {
			b.Fatal(err)
		}
		var data struct {
			Owner string
			Cents int64
		}
		if err := json.Unmarshal(e.Data, &data); err != nil {
			b.Fatal(err)
		}
		switch e.Type {
		case "opened":
			opened[e.Stream.ID()] = opening{data.Owner, opened[e.Stream.ID()].Times + 1}
		case "moved":
			m := moved[string(e.Stream)]
			m.Sum, m.Lines = (3*m.Sum+data.Cents)%1_000_003, m.Lines+1
			m.Listed = append(slices.Clip(m.Listed), data.Cents)
			moved[string(e.Stream)] = m
		}
	}
	return moved, opened
}
