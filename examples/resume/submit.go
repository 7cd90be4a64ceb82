package resume

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

// Usage says what the flag -store of an example takes.
const Usage = "keep the log at this `address`: memory:, which ends with the run, or, where the next run\ngoes on, postgres://user:password@host/database or redis://user:password@host/database?log=name"

// batch is how many rows are submitted in one commit.
const batch = 500

// Submit puts the rows of an input into the log, in their order, but for those that are there already: an earlier run
// got the same input, whole or in part, or another run gets it at this moment. A row is recognised by its event's id,
// which it must have. The query selects the events that rows become. Submit returns how many rows were there before.
func Submit(ctx context.Context, sp *spine.Spine, of eventstore.Query, rows []eventstore.Draft) (known int, err error) {
	rest, err := missing(ctx, sp.Store(), of, rows)
	known = len(rows) - len(rest)
	for err == nil && len(rest) > 0 {
		err = emit(ctx, sp, rest)
		if !errors.Is(err, eventstore.ErrIDReused) {
			break
		}
		// Another run has put some of them there meanwhile, in other commits than ours.
		reused, before := err, len(rest)
		if rest, err = missing(ctx, sp.Store(), of, rest); err == nil && len(rest) == before {
			err = reused // the ids are those of something else
		}
	}
	return known, err
}

func emit(ctx context.Context, sp *spine.Spine, rows []eventstore.Draft) error {
	for chunk := range slices.Chunk(rows, batch) {
		payloads := make([]eventstore.Payload, len(chunk))
		for i, row := range chunk {
			payloads[i] = row
		}
		if _, err := sp.Emit(ctx, payloads...); err != nil {
			return err
		}
	}
	return nil
}

// missing returns the rows that are not in the log. It keeps no more of the log than their ids.
func missing(ctx context.Context, store *eventstore.Store, of eventstore.Query, rows []eventstore.Draft) ([]eventstore.Draft, error) {
	there := make(map[uuid.UUID]bool, len(rows))
	for _, row := range rows {
		there[row.ID] = false
	}
	for e, err := range store.Read(ctx, of, eventstore.Range{}) {
		if err != nil {
			return nil, err
		}
		if _, ours := there[e.ID]; ours {
			there[e.ID] = true
		}
	}
	var rest []eventstore.Draft
	for _, row := range rows {
		if !there[row.ID] {
			rest = append(rest, row)
		}
	}
	return rest, nil
}
