package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/necrostack/necrostack/eventstore"
)

// Statement returns the SQL that reads what a query selects, and its arguments from $4 on.
func (b *Backend) Statement(q eventstore.Query, backward, first bool) (text string, args []any) {
	s := b.source(q, backward)
	return s.statement(first), s.args
}

// Condition returns what tries a condition, in a transaction that is set up as commit_batch is.
func (b *Backend) Condition(ctx context.Context, c eventstore.Condition) (pgx.Tx, string, []any, error) {
	batch, err := newBatch([]eventstore.Commit{{Unless: []eventstore.Condition{c}}})
	if err != nil {
		return nil, "", nil, err
	}
	tx, err := b.reserve.Begin(ctx)
	if err == nil {
		_, err = tx.Exec(ctx, "SET LOCAL search_path = "+strings.TrimSuffix(b.schema, ".")+", pg_temp; SET LOCAL plan_cache_mode = force_generic_plan; "+
			"SET LOCAL jit = off; SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_bitmapscan = off")
	}
	return tx, "SELECT * FROM broken(0, 1000000, $1::bigint[], $2::int[], $3::text[], $4::text[], $5::json[], $6::json[])",
		[]any{batch.uAfter, batch.iCondition, batch.iStream, batch.iCategory, batch.iTypes, batch.iTags}, err
}

// Channel returns the channel of a log's announcements.
func (b *Backend) Channel() string { return b.news.channel }

// Hears reports whether announcements are heard.
func (b *Backend) Hears() bool { return b.news.heard.Load() }
