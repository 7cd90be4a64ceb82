package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/necrostack/necrostack/eventstore"
)

// definition is a consumer as its row holds it.
type definition struct {
	Partitions int                 `json:"partitions"`
	Keys       int                 `json:"keys"`
	Hash       string              `json:"hash"`
	Listens    []string            `json:"listens"`
	Competing  bool                `json:"competing"`
	Until      eventstore.Position `json:"until"`
	Next       string              `json:"next"`
	Former     []string            `json:"former"`
}

func encodeDefinition(c eventstore.Consumer) (string, error) {
	data, err := json.Marshal(definition{c.Partitions, c.Keys, c.Hash, c.Listens, c.Competing, c.Until, c.Next, c.Former})
	return string(data), err
}

func decodeDefinition(name string, generation int64, data []byte) (eventstore.Consumer, error) {
	var d definition
	err := json.Unmarshal(data, &d)
	return eventstore.Consumer{
		Name: name, Partitions: d.Partitions, Keys: d.Keys, Hash: d.Hash, Listens: d.Listens, Competing: d.Competing,
		Until: d.Until, Next: d.Next, Generation: generation, Former: d.Former,
	}, err
}

// tx runs a function in a transaction, which ends with it.
func (b *Backend) tx(ctx context.Context, act func(tx pgx.Tx) error) error {
	err := pgx.BeginFunc(ctx, b.pool, act)
	if err == nil {
		b.wake.Fire()
	}
	return classify(err)
}

// Define implements eventstore.Leaser.
func (b *Backend) Define(ctx context.Context, c eventstore.Consumer) (known eventstore.Consumer, err error) {
	if err := c.Validate(); err != nil {
		return c, err
	}
	text, err := encodeDefinition(c)
	if err != nil {
		return c, err
	}
	err = b.tx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, b.sql(`INSERT INTO @consumers (name, definition, generation, competing) VALUES ($1, $2::text::json, 1, $3)
			ON CONFLICT DO NOTHING`), c.Name, text, c.Competing)
		if err == nil && tag.RowsAffected() > 0 {
			_, err = tx.Exec(ctx, b.sql(`INSERT INTO @partitions (consumer, partition) SELECT $1, n FROM generate_series(0, $2::int - 1) n`), c.Name, c.Partitions)
		}
		if err != nil {
			return err
		}
		known, err = b.consumer(ctx, tx, c.Name, "")
		return err
	})
	return known, err
}

// consumer reads a definition.
func (b *Backend) consumer(ctx context.Context, tx pgx.Tx, name, lock string) (eventstore.Consumer, error) {
	var generation int64
	var data []byte
	err := tx.QueryRow(ctx, b.sql(`SELECT generation, definition FROM @consumers WHERE name = $1 `+lock), name).Scan(&generation, &data)
	if errors.Is(err, pgx.ErrNoRows) {
		return eventstore.Consumer{}, unheard(name)
	}
	if err != nil {
		return eventstore.Consumer{}, err
	}
	return decodeDefinition(name, generation, data)
}

func unheard(consumer string) error {
	return &eventstore.InvalidError{Field: "consumer", Reason: fmt.Sprintf("%q is not known to the log", consumer)}
}

// Redefine implements eventstore.Leaser.
func (b *Backend) Redefine(ctx context.Context, c eventstore.Consumer) (known eventstore.Consumer, err error) {
	if err := c.Validate(); err != nil {
		return c, err
	}
	text, err := encodeDefinition(c)
	if err != nil {
		return c, err
	}
	err = b.tx(ctx, func(tx pgx.Tx) error {
		before, err := b.consumer(ctx, tx, c.Name, "FOR UPDATE")
		if invalid, ok := errors.AsType[*eventstore.InvalidError](err); ok {
			return fmt.Errorf("redefine %s: %w: %w", c.Name, eventstore.ErrConflict, invalid)
		}
		if err != nil {
			return err
		}
		if before.Generation != c.Generation {
			return fmt.Errorf("redefine %s: %w: generation %d is not the present one", c.Name, eventstore.ErrConflict, c.Generation)
		}
		if err := b.fenceAll(ctx, tx, c.Name, "position"); err != nil {
			return err
		}
		if before.Partitions != c.Partitions {
			if err := b.repartition(ctx, tx, c); err != nil {
				return err
			}
		}
		batch := &pgx.Batch{}
		batch.Queue(b.sql(`UPDATE @consumers SET definition = $2::text::json, generation = generation + 1, competing = $3 WHERE name = $1`), c.Name, text, c.Competing)
		batch.Queue(b.sql(`UPDATE @members SET consumers = array_remove(consumers, $1) WHERE $1 = ANY (consumers)`), c.Name)
		batch.Queue(b.sql(`UPDATE @pulse SET roster = roster + 1`))
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		known, err = b.consumer(ctx, tx, c.Name, "")
		return err
	})
	return known, err
}

// fenceAll gives all partitions a new epoch and no owner, and moves them to a position.
func (b *Backend) fenceAll(ctx context.Context, tx pgx.Tx, consumer, to string, args ...any) error {
	_, err := tx.Exec(ctx, b.sql(`SELECT 1 FROM @partitions WHERE consumer = $1 ORDER BY partition FOR UPDATE`), consumer)
	if err == nil {
		_, err = tx.Exec(ctx, b.sql(`UPDATE @partitions SET epoch = epoch + 1, owner = NULL, lost = 0, position = `+to+` WHERE consumer = $1`),
			append([]any{consumer}, args...)...)
	}
	return err
}

// repartition replaces partitions that all stand at one position. No epoch comes twice.
func (b *Backend) repartition(ctx context.Context, tx pgx.Tx, c eventstore.Consumer) error {
	var least, most, epoch int64
	if err := tx.QueryRow(ctx, b.sql(`SELECT min(position), max(position), max(epoch) FROM @partitions WHERE consumer = $1`), c.Name).
		Scan(&least, &most, &epoch); err != nil {
		return err
	}
	if least != most {
		return fmt.Errorf("redefine %s: %w: its partitions stand at different positions", c.Name, eventstore.ErrConflict)
	}
	batch := &pgx.Batch{}
	batch.Queue(b.sql(`DELETE FROM @partitions WHERE consumer = $1`), c.Name)
	batch.Queue(b.sql(`INSERT INTO @partitions (consumer, partition, epoch, position)
		SELECT $1, n, $3, $4 FROM generate_series(0, $2::int - 1) n`), c.Name, c.Partitions, epoch+1, least)
	return tx.SendBatch(ctx, batch).Close()
}

// Renew implements eventstore.Leaser.
func (b *Backend) Renew(ctx context.Context, m eventstore.Member, ttl time.Duration) (rosters []eventstore.Roster, err error) {
	if err := eventstore.CheckName("member", m.ID); err != nil {
		return nil, err
	}
	consumers := m.Consumers
	if consumers == nil {
		consumers = []string{}
	}
	err = b.tx(ctx, func(tx pgx.Tx) error {
		var changed bool
		err := tx.QueryRow(ctx, b.sql(`WITH gone AS (DELETE FROM @members WHERE expires < clock_timestamp() AND id <> $1 RETURNING 1),
			before AS (SELECT consumers FROM @members WHERE id = $1),
			now AS (INSERT INTO @members (id, consumers, expires) VALUES ($1, $2, clock_timestamp() + $3)
				ON CONFLICT (id) DO UPDATE SET consumers = excluded.consumers, expires = excluded.expires RETURNING 1)
			SELECT EXISTS (SELECT 1 FROM gone) OR (SELECT consumers FROM before) IS DISTINCT FROM $2::text[] OR NOT EXISTS (SELECT 1 FROM now)`),
			m.ID, consumers, ttl).Scan(&changed)
		if err == nil && changed {
			_, err = tx.Exec(ctx, b.sql(`UPDATE @pulse SET roster = roster + 1`))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return b.rosters(ctx, consumers)
}

// rosters reads the rosters of consumers, in one snapshot.
func (b *Backend) rosters(ctx context.Context, consumers []string) ([]eventstore.Roster, error) {
	all := make([]eventstore.Roster, len(consumers))
	at := map[string]*eventstore.Roster{}
	for i, name := range consumers {
		all[i].Consumer = name
		at[name] = &all[i]
	}
	rows, err := b.pool.Query(ctx, b.sql(`SELECT c.name, c.generation, c.competing, c.paused, c.redrives,
			(SELECT array_agg(m.id ORDER BY m.id) FROM @members m WHERE c.name = ANY (m.consumers) AND m.expires > clock_timestamp()),
			(SELECT array_agg(coalesce(o.id, '') ORDER BY p.partition) FROM @partitions p
				LEFT JOIN @members o ON o.id = p.owner AND o.expires > clock_timestamp() WHERE p.consumer = c.name),
			(SELECT array_agg(p.epoch ORDER BY p.partition) FROM @partitions p WHERE p.consumer = c.name),
			(SELECT array_agg(p.position ORDER BY p.partition) FROM @partitions p WHERE p.consumer = c.name)
		FROM @consumers c WHERE c.name = ANY ($1)`), consumers)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		var r eventstore.Roster
		var owners []string
		var epochs, positions []int64
		if err := rows.Scan(&r.Consumer, &r.Generation, &r.Competing, &r.Paused, &r.Redrives, &r.Members, &owners, &epochs, &positions); err != nil {
			return nil, err
		}
		for i := range owners {
			r.Partitions = append(r.Partitions, eventstore.Partition{Owner: owners[i], Epoch: epochs[i], Position: eventstore.Position(positions[i])})
		}
		*at[r.Consumer] = r
	}
	return all, classify(rows.Err())
}

// Roster implements eventstore.Leaser.
func (b *Backend) Roster(ctx context.Context, consumer string) (eventstore.Roster, error) {
	all, err := b.rosters(ctx, []string{consumer})
	if err != nil {
		return eventstore.Roster{}, err
	}
	return all[0], nil
}

// Claim implements eventstore.Leaser.
func (b *Backend) Claim(ctx context.Context, member, consumer string, generation int64, partitions []int) (leases []eventstore.Lease, err error) {
	err = b.tx(ctx, func(tx pgx.Tx) error {
		var alive, paused bool
		var now int64
		err := tx.QueryRow(ctx, b.sql(`SELECT c.generation, c.paused, EXISTS (SELECT 1 FROM @members WHERE id = $2 AND expires > clock_timestamp())
			FROM @consumers c WHERE c.name = $1 FOR SHARE OF c`), consumer, member).Scan(&now, &paused, &alive)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return fmt.Errorf("claim %s: %w", consumer, unheard(consumer))
		case err != nil:
			return err
		case !alive:
			return fmt.Errorf("claim %s: %w: member %s is not alive", consumer, eventstore.ErrFenced, member)
		case paused || now != generation:
			return fmt.Errorf("claim %s: %w: it is paused, or not of generation %d", consumer, eventstore.ErrFenced, generation)
		}
		var count int
		if err := tx.QueryRow(ctx, b.sql(`SELECT count(*) FROM @partitions WHERE consumer = $1`), consumer).Scan(&count); err != nil {
			return err
		}
		for _, n := range partitions {
			if n < 0 || n >= count {
				return fmt.Errorf("claim %s: %w", consumer, &eventstore.InvalidError{Field: "partition", Reason: fmt.Sprintf("%d is not 0 … %d", n, count-1)})
			}
		}
		leases, err = b.claim(ctx, tx, member, consumer, partitions)
		return err
	})
	return leases, err
}

func (b *Backend) claim(ctx context.Context, tx pgx.Tx, member, consumer string, partitions []int) (leases []eventstore.Lease, err error) {
	if _, err := tx.Exec(ctx, b.sql(`SELECT 1 FROM @partitions WHERE consumer = $1 AND partition = ANY ($2) ORDER BY partition FOR UPDATE`), consumer, partitions); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, b.sql(`UPDATE @partitions p SET epoch = epoch + 1, owner = $2,
			lost = lost + CASE WHEN owner IS NOT NULL AND owner <> $2 THEN 1 ELSE 0 END
		WHERE consumer = $1 AND partition = ANY ($3)
			AND (owner = $2 OR NOT EXISTS (SELECT 1 FROM @members m WHERE m.id = p.owner AND m.expires > clock_timestamp()))
		RETURNING partition, epoch, position, lost`), consumer, member, partitions)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		l := eventstore.Lease{Consumer: consumer}
		if err := rows.Scan(&l.Partition, &l.Epoch, &l.Position, &l.Lost); err != nil {
			return nil, err
		}
		leases = append(leases, l)
	}
	return leases, rows.Err()
}

// Release implements eventstore.Leaser.
func (b *Backend) Release(ctx context.Context, member string, leases []eventstore.Lease) error {
	return b.tx(ctx, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		for _, l := range leases {
			batch.Queue(b.sql(`UPDATE @partitions SET owner = NULL, lost = 0 WHERE consumer = $1 AND partition = $2 AND owner = $3 AND epoch = $4`),
				l.Consumer, l.Partition, member, l.Epoch)
		}
		batch.Queue(b.sql(`UPDATE @pulse SET roster = roster + 1`))
		return tx.SendBatch(ctx, batch).Close()
	})
}

// Leave implements eventstore.Leaser.
func (b *Backend) Leave(ctx context.Context, member string) error {
	return b.tx(ctx, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue(b.sql(`UPDATE @partitions SET owner = NULL, lost = 0 WHERE owner = $1`), member)
		batch.Queue(b.sql(`DELETE FROM @members WHERE id = $1`), member)
		batch.Queue(b.sql(`UPDATE @pulse SET roster = roster + 1`))
		return tx.SendBatch(ctx, batch).Close()
	})
}
