package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// Bounds of what one statement reads, so that no connection is held while events are handled, and memory is bounded.
const (
	leastRows = 32
	mostRows  = 1000
	mostBytes = 4 << 20
)

// Read implements eventstore.Backend. The first statement finds the head in its own snapshot; the log up to there never
// changes, so the statements that follow see the same.
func (b *Backend) Read(ctx context.Context, q eventstore.Query, r eventstore.Range) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		through, err := b.read(ctx, q, r, yield)
		if err != nil {
			yield(eventstore.Event{}, err)
		} else if r.Through != nil && through >= 0 {
			*r.Through = through
		}
	}
}

// read returns the head, or -1 if yield has ended it.
func (b *Backend) read(ctx context.Context, q eventstore.Query, r eventstore.Range, yield func(eventstore.Event, error) bool) (eventstore.Position, error) {
	s := b.statement(q, r.Backward)
	after, upTo, head, left, rows := r.After, r.UpTo, eventstore.Position(-1), r.Limit, leastRows
	for {
		n := rows
		if r.Limit > 0 {
			n = min(n, left)
		}
		chunk, size, at, err := b.chunk(ctx, s, after, upTo, n)
		if err != nil {
			return 0, classify(err)
		}
		if head < 0 {
			if head = at; upTo == 0 || upTo > head {
				upTo = head
			}
		}
		for _, e := range chunk {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			if !yield(e, nil) {
				return -1, nil
			}
			if r.Backward {
				upTo = e.Position - 1
			} else {
				after = e.Position
			}
		}
		left -= len(chunk)
		if len(chunk) < n || r.Limit > 0 && left == 0 || upTo <= after {
			return head, nil
		}
		rows = max(leastRows, min(rows*2, mostRows, mostBytes/max(1, size/len(chunk))))
	}
}

// statement is a query as SQL, with its arguments from $4 on.
type statement struct {
	text string
	args []any
}

func (b *Backend) statement(q eventstore.Query, backward bool) statement {
	var s statement
	arg := func(v any) string {
		s.args = append(s.args, v)
		return fmt.Sprintf("$%d", len(s.args)+3)
	}
	order := "ASC"
	if backward {
		order = "DESC"
	}
	s.text = b.sql(`SELECT h.head, e.position, e.stream, e.version, e.id, e.type, e.tags, e.data, e.metadata, e.time
		FROM (SELECT coalesce(max(position), 0) AS head FROM @events) h
		LEFT JOIN LATERAL (SELECT * FROM @events e WHERE e.position > $1 AND e.position <= h.head AND ($2::bigint = 0 OR e.position <= $2)
			AND (`) + b.where(q, arg) + `) ORDER BY e.position ` + order + ` LIMIT $3) e ON true ORDER BY e.position ` + order
	return s
}

// where is the condition of a query on events e.
func (b *Backend) where(q eventstore.Query, arg func(any) string) string {
	var alternatives []string
	var types []string
	for _, it := range q.Items() {
		if it.Stream == "" && it.Category == "" && len(it.Tags) == 0 && len(it.Types) > 0 {
			types = append(types, it.Types...)
			continue
		}
		all := []string{"true"}
		if it.Stream != "" {
			all = append(all, "e.stream = "+arg(string(it.Stream)))
		}
		if it.Category != "" {
			all = append(all, "split_part(e.stream, '-', 1) = "+arg(it.Category))
		}
		if len(it.Types) > 0 {
			all = append(all, "e.type = ANY ("+arg(it.Types)+")")
		}
		for _, tag := range it.Tags {
			all = append(all, b.sql("e.position IN (SELECT t.position FROM @event_tags t WHERE t.tag = ")+arg(tag)+" AND t.position > $1 AND t.position <= h.head)")
		}
		alternatives = append(alternatives, strings.Join(all, " AND "))
	}
	if len(types) > 0 {
		alternatives = append(alternatives, "e.type = ANY ("+arg(types)+")")
	}
	if len(alternatives) == 0 {
		return "false"
	}
	return strings.Join(alternatives, " OR ")
}

// chunk runs the statement once.
func (b *Backend) chunk(ctx context.Context, s statement, after, upTo eventstore.Position, n int) (
	chunk []eventstore.Event, size int, head eventstore.Position, err error,
) {
	rows, err := b.pool.Query(ctx, s.text, append([]any{int64(after), int64(upTo), n}, s.args...)...)
	if err != nil {
		return nil, 0, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var position, version *int64
		var stream, typ *string
		var id *uuid.UUID
		var tags, data, meta []byte
		var at *time.Time
		if err := rows.Scan(&head, &position, &stream, &version, &id, &typ, &tags, &data, &meta, &at); err != nil {
			return nil, 0, 0, err
		}
		if position == nil {
			continue // nothing but the head
		}
		e := eventstore.Event{
			ID: *id, Type: *typ, Stream: eventstore.Stream(*stream), Version: eventstore.Version(*version),
			Position: eventstore.Position(*position), Data: data, Time: at.UTC(),
		}
		if e.Metadata, err = decodeMetadata(meta); err != nil {
			return nil, 0, 0, err
		}
		if len(tags) > 0 {
			if err := json.Unmarshal(tags, &e.Tags); err != nil {
				return nil, 0, 0, err
			}
		}
		chunk, size = append(chunk, e), size+len(data)+len(meta)
	}
	return chunk, size, head, rows.Err()
}
