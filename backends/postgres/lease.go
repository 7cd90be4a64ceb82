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
	err := pgx.BeginTxFunc(ctx, b.reserve, pgx.TxOptions{BeginQuery: beginQuery}, act)
	if err == nil {
		b.moved()
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
		tag, err := tx.Exec(ctx, b.sql(`INSERT INTO @consumers (name, definition, generation, competing, history)
			VALUES ($1, $2::text::json, 1, $3, (SELECT coalesce(max(position), 0) FROM @events)) ON CONFLICT DO NOTHING`), c.Name, text, c.Competing)
		if err == nil && tag.RowsAffected() > 0 {
			err = b.partition(ctx, tx, c, 0, 0)
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
		if err := b.fenceAll(ctx, tx, c.Name); err != nil {
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
		batch.Queue(b.sql(`SELECT @beat('roster')`))
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		known, err = b.consumer(ctx, tx, c.Name, "")
		return err
	})
	return known, err
}

// fenceAll gives all partitions a new epoch and no owner.
func (b *Backend) fenceAll(ctx context.Context, tx pgx.Tx, consumer string) error {
	_, err := tx.Exec(ctx, b.sql(`SELECT @fence_all($1)`), consumer)
	return err
}

// partition makes the partitions of a consumer, all at one position.
func (b *Backend) partition(ctx context.Context, tx pgx.Tx, c eventstore.Consumer, epoch, position int64) error {
	batch := &pgx.Batch{}
	batch.Queue(b.sql(`INSERT INTO @partitions (consumer, partition, epoch)
		SELECT $1, n, $3 FROM generate_series(0, $2::int - 1) n`), c.Name, c.Partitions, epoch)
	batch.Queue(b.sql(`INSERT INTO @checkpoints (consumer, partition, moved, position)
		SELECT $1, n, 0, $3 FROM generate_series(0, $2::int - 1) n`), c.Name, c.Partitions, position)
	return tx.SendBatch(ctx, batch).Close()
}

// repartition replaces partitions that all stand at one position. No epoch comes twice.
func (b *Backend) repartition(ctx context.Context, tx pgx.Tx, c eventstore.Consumer) error {
	var least, most, epoch int64
	if err := tx.QueryRow(ctx, b.sql(`SELECT (SELECT min(position) FROM @checkpoints WHERE consumer = $1),
		(SELECT max(position) FROM @checkpoints WHERE consumer = $1), (SELECT max(epoch) FROM @partitions WHERE consumer = $1)`), c.Name).Scan(&least, &most, &epoch); err != nil {
		return err
	}
	if least != most {
		return fmt.Errorf("redefine %s: %w: its partitions stand at different positions", c.Name, eventstore.ErrConflict)
	}
	batch := &pgx.Batch{}
	batch.Queue(b.sql(`DELETE FROM @partitions WHERE consumer = $1`), c.Name)
	batch.Queue(b.sql(`DELETE FROM @checkpoints WHERE consumer = $1`), c.Name)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	return b.partition(ctx, tx, c, epoch+1, least)
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
	if _, err = b.reserve.Exec(ctx, b.sql(`SELECT @renew($1, $2, $3)`), m.ID, consumers, ttl); err != nil {
		return nil, classify(err)
	}
	b.moved()
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
	rows, err := b.reserve.Query(ctx, b.sql(`SELECT c.name, c.generation, c.competing, c.paused, c.redrives, c.history,
			(SELECT array_agg(m.id ORDER BY m.id) FROM @members m WHERE c.name = ANY (m.consumers) AND m.expires > clock_timestamp()),
			(SELECT array_agg(coalesce(o.id, '') ORDER BY p.partition) FROM @partitions p
				LEFT JOIN @members o ON o.id = p.owner AND o.expires > clock_timestamp() WHERE p.consumer = c.name),
			(SELECT array_agg(p.epoch ORDER BY p.partition) FROM @partitions p WHERE p.consumer = c.name),
			(SELECT array_agg(k.position ORDER BY p.partition) FROM @partitions p CROSS JOIN LATERAL (SELECT k.position FROM @checkpoints k
				WHERE k.consumer = p.consumer AND k.partition = p.partition ORDER BY k.moved DESC LIMIT 1) k WHERE p.consumer = c.name)
		FROM @consumers c WHERE c.name = ANY ($1)`), consumers)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		var r eventstore.Roster
		var owners []string
		var epochs, positions []int64
		if err := rows.Scan(&r.Consumer, &r.Generation, &r.Competing, &r.Paused, &r.Redrives, &r.History, &r.Members, &owners, &epochs, &positions); err != nil {
			return nil, err
		}
		if len(owners) != len(positions) {
			return nil, fmt.Errorf("consumer %s: %d partitions have %d checkpoints: the log is damaged", r.Consumer, len(owners), len(positions))
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
	rows, err := b.reserve.Query(ctx, b.sql(`SELECT code, partition, epoch, position, lost FROM @claim($1, $2, $3, $4)`), member, consumer, generation, partitions)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		l := eventstore.Lease{Consumer: consumer}
		var code *string
		if err := rows.Scan(&code, &l.Partition, &l.Epoch, &l.Position, &l.Lost); err != nil {
			return nil, err
		}
		if code != nil {
			return nil, fmt.Errorf("claim %s: %w", consumer, unclaimed(*code, member, consumer, generation, l.Partition))
		}
		leases = append(leases, l)
	}
	if err := rows.Err(); err != nil {
		return nil, classify(err)
	}
	b.moved()
	return leases, nil
}

// unclaimed is why a member may not claim.
func unclaimed(code, member, consumer string, generation int64, count int) error {
	switch code {
	case "unknown":
		return unheard(consumer)
	case "dead":
		return fmt.Errorf("%w: member %s is not alive", eventstore.ErrFenced, member)
	case "refused":
		return fmt.Errorf("%w: it is paused, or not of generation %d", eventstore.ErrFenced, generation)
	default:
		return &eventstore.InvalidError{Field: "partition", Reason: fmt.Sprintf("is not 0 … %d", count-1)}
	}
}

// Release implements eventstore.Leaser.
func (b *Backend) Release(ctx context.Context, member string, leases []eventstore.Lease) error {
	consumers, partitions, epochs := make([]string, len(leases)), make([]int32, len(leases)), make([]int64, len(leases))
	for i, l := range leases {
		consumers[i], partitions[i], epochs[i] = l.Consumer, int32(l.Partition), l.Epoch
	}
	return b.release(ctx, member, consumers, partitions, epochs)
}

// Leave implements eventstore.Leaser.
func (b *Backend) Leave(ctx context.Context, member string) error {
	return b.release(ctx, member, nil, nil, nil)
}

func (b *Backend) release(ctx context.Context, member string, consumers []string, partitions []int32, epochs []int64) error {
	_, err := b.reserve.Exec(ctx, b.sql(`SELECT @release($1, $2, $3, $4)`), member, consumers, partitions, epochs)
	if err == nil {
		b.moved()
	}
	return classify(err)
}
