package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/necrostack/necrostack/eventstore"
)

// Consumers implements eventstore.Controller.
func (b *Backend) Consumers(ctx context.Context) (all []eventstore.Consumer, err error) {
	rows, err := b.reserve.Query(ctx, b.sql(`SELECT name, generation, definition FROM @consumers ORDER BY name`))
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var generation int64
		var data []byte
		if err := rows.Scan(&name, &generation, &data); err != nil {
			return nil, err
		}
		c, err := decodeDefinition(name, generation, data)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, classify(rows.Err())
}

// Pause implements eventstore.Controller.
func (b *Backend) Pause(ctx context.Context, consumer string, paused bool) error {
	return b.tx(ctx, func(tx pgx.Tx) error {
		if _, err := b.consumer(ctx, tx, consumer, "FOR UPDATE"); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, b.sql(`UPDATE @consumers SET paused = $2 WHERE name = $1 AND paused <> $2`), consumer, paused)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		if err := b.fenceAll(ctx, tx, consumer); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, b.sql(`SELECT @beat('roster'), @beat('window')`))
		return err
	})
}

// Reset implements eventstore.Controller.
func (b *Backend) Reset(ctx context.Context, consumer string, to eventstore.Position) error {
	return b.tx(ctx, func(tx pgx.Tx) error {
		if err := b.emptyRows(ctx, tx, consumer, to); err != nil {
			return err
		}
		if _, err := b.consumer(ctx, tx, consumer, "FOR UPDATE"); err != nil {
			return err
		}
		return b.reset(ctx, tx, consumer, to)
	})
}

// reset moves a consumer that is locked, after whatever else the transaction locks.
func (b *Backend) reset(ctx context.Context, tx pgx.Tx, consumer string, to eventstore.Position) error {
	if err := b.fenceAll(ctx, tx, consumer); err != nil {
		return err
	}
	batch := &pgx.Batch{}
	batch.Queue(b.sql(`UPDATE @checkpoints k SET moved = moved + 1, position = $2 WHERE consumer = $1
			AND moved = (SELECT max(m.moved) FROM @checkpoints m WHERE m.consumer = $1 AND m.partition = k.partition)`), consumer, int64(to))
	batch.Queue(b.sql(`DELETE FROM @parked WHERE consumer = $1 AND position > $2`), consumer, int64(to))
	batch.Queue(b.sql(`DELETE FROM @deliveries WHERE consumer = $1 AND position > $2`), consumer, int64(to))
	batch.Queue(b.sql(`UPDATE @consumers SET redrives = redrives + 1, history = (SELECT coalesce(max(position), 0) FROM @events) WHERE name = $1`), consumer)
	batch.Queue(b.sql(`SELECT @beat('roster')`))
	return tx.SendBatch(ctx, batch).Close()
}
