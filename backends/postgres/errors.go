package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/necrostack/necrostack/eventstore"
)

// What a failed call means is one of four:
//
//   - retryable: nothing was written, and the same call may succeed in a moment;
//   - refused: nothing was written, because of what is in it;
//   - unknown: it was on its way, and the answer is lost;
//   - permanent, which is whatever is none of these: someone has to do something about it first.

// retryable is an error after which the same call may succeed.
type retryable struct{ error }

func (e retryable) Unwrap() error { return e.error }

// Retryable is what eventstore.IsRetryable asks.
func (retryable) Retryable() bool { return true }

// lost is an outcome that nobody knows.
type lost struct{ error }

func (e lost) Unwrap() error { return e.error }

func (e lost) Error() string { return "the answer is lost: " + e.error.Error() }

// Is makes it an eventstore.ErrOutcomeUnknown.
func (lost) Is(target error) bool { return target == eventstore.ErrOutcomeUnknown }

// unknown says that nobody can tell what became of a call.
func unknown(err error) error { return lost{err} }

// refused says that it is for what is in the call that it has failed.
func refused(err error) error { return fmt.Errorf("%w: %w", eventstore.ErrRefused, err) }

// classify says what a failed call means that changes nothing, or that has no harm in being made twice.
func classify(err error) error {
	if err == nil {
		return nil
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return answered(pg, err)
	}
	if passing(err) {
		return retryable{err}
	}
	return err
}

// outcome is classify for a call that writes: without an answer of the server, nobody knows what became of it.
func outcome(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok || pgconn.SafeToRetry(err) {
		return classify(err) // it was never sent
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || gone(pg) {
		return unknown(err)
	}
	return answered(pg, err)
}

// gone reports whether a server has ended the connection, rather than the call.
func gone(pg *pgconn.PgError) bool {
	return pg.Severity == "FATAL" || pg.Severity == "PANIC" || pg.SeverityUnlocalized == "FATAL" || pg.SeverityUnlocalized == "PANIC" ||
		strings.HasPrefix(pg.Code, "08") || strings.HasPrefix(pg.Code, "57P") || pg.Code == "40003"
}

// answered says what an answer of the server means.
func answered(pg *pgconn.PgError, err error) error {
	switch pg.Code[:min(2, len(pg.Code))] {
	case "08", "40", "53", "58": // connection, rollback of the transaction, resources, its system
		return hinted(pg, retryable{err})
	case "57": // an operator, or a timeout; but a database that was dropped stays away
		if pg.Code != "57P04" {
			return retryable{err}
		}
	case "22", "23", "54": // data, constraints, limits
		return refused(err)
	}
	switch {
	case pg.Code == "55P03", pg.Code == "55006", // somebody has it locked, or in use
		pg.Code == "25006",                     // a standby, or read-only: until it is promoted
		pg.Code == "25P03", pg.Code == "25P04", // idle for too long, or at it
		pg.Code == "0A000" && strings.Contains(pg.Message, "cached plan"): // the table was altered meanwhile; pgx has noticed
		return hinted(pg, retryable{err})
	default:
		return hinted(pg, err)
	}
}

// hinted adds what to do about a failure that does not say so itself.
func hinted(pg *pgconn.PgError, err error) error {
	hint, ok := map[string]string{
		"25006": "the server is a standby, or default_transaction_read_only is on",
		"42501": "the role lacks a right that docs/postgres-operations.md lists",
		"42P01": "is the schema migrated?",
		"42883": "is the schema migrated?",
		"3F000": "is the schema migrated?",
		"26000": "behind PgBouncer, add default_query_exec_mode=cache_describe to the DSN",
		"42P05": "behind PgBouncer, add default_query_exec_mode=cache_describe to the DSN",
	}[pg.Code]
	if !ok {
		return err
	}
	return fmt.Errorf("%w (%s)", err, hint)
}

// passing reports whether an error that no server has answered with will pass: the network's, or a pool's. A context's
// own is as it is.
func passing(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return pgconn.SafeToRetry(err) && !errors.Is(err, context.Canceled)
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return !dns.IsNotFound
	}
	network, ok := errors.AsType[net.Error](err)
	return pgconn.SafeToRetry(err) || ok && network != nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, pgconn.ErrConnClosed)
}

// errFormat is what a row in text format is.
var errFormat = errors.New("text format: default_query_exec_mode=simple_protocol is not supported")
