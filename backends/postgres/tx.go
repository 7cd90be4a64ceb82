package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/necrostack/necrostack/eventstore"
)

// AppendTx has a transaction of the caller's own append events to a stream when it commits, so that they and whatever
// else it writes stand together or not at all. The transaction is one on the database of the store's log. See CommitTx.
func AppendTx(ctx context.Context, tx pgx.Tx, st *eventstore.Store, to eventstore.Stream, expect eventstore.Expected, payloads ...eventstore.Payload) error {
	a, err := st.NewAppend(to, expect, payloads...)
	if err != nil {
		return err
	}
	return CommitTx(ctx, tx, st, eventstore.Commit{Appends: []eventstore.Append{a}})
}

// CommitTx has a transaction of the caller's own write c when it commits.
//
// Until then nothing is decided: c has no position yet, and the log's lock is free, so that it holds nobody up and no
// lock of the caller's can meet it in a deadlock. Whether c may be written shows at the commit: if the log refuses it,
// tx.Commit fails, nothing of the transaction stays, and Refusal tells what the error of tx.Commit means. Several
// commits of one transaction are decided one after the other, and each sees those before it.
//
// At the isolation levels REPEATABLE READ and SERIALIZABLE the transaction's snapshot must be as new as the log: if
// anything was appended since, tx.Commit fails with an error that eventstore.IsRetryable, and the transaction has to be
// run again. SET CONSTRAINTS ALL IMMEDIATE takes the log's lock at once, which then has to be let go within a second.
//
// A CommitTx that fails, with ErrInvalid for what breaks a limit, leaves tx as a failed statement does. Readers in
// this process learn of the events when they look again, within a tenth of a second.
func CommitTx(ctx context.Context, tx pgx.Tx, st *eventstore.Store, c eventstore.Commit) error {
	b, ok := st.Backend().(*Backend)
	if !ok {
		return fmt.Errorf("commit in a transaction: the store is kept by %T, not in PostgreSQL", st.Backend())
	}
	c, err := st.Prepare(ctx, c)
	if err != nil {
		return err
	}
	if err := b.stage(ctx, tx, c); err != nil {
		return fmt.Errorf("commit in a transaction: %w", err)
	}
	return nil
}

// Refusal returns what the error of a transaction means in which CommitTx or AppendTx was used: an
// *eventstore.ConflictError, ConditionError or FencedError, ErrIDReused, or an error that eventstore.IsRetryable. Any
// other error is returned as it is. The errors' Expected and Index are not known any more.
func Refusal(err error) error {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || pg.Code != "NS001" {
		return classify(err)
	}
	var refused struct {
		Code  string
		About struct {
			reason
			Stream eventstore.Stream
			After  eventstore.Position
		}
	}
	if fault := json.Unmarshal([]byte(pg.Detail), &refused); fault != nil {
		return errors.Join(err, fault)
	}
	switch about := &refused.About; refused.Code {
	case "conflict":
		return &eventstore.ConflictError{Stream: about.Stream, Actual: about.Version}
	case "condition":
		return &eventstore.ConditionError{After: about.After, Position: *about.Position}
	default:
		return about.error(refused.Code)
	}
}
