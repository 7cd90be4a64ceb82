package postgres

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/necrostack/necrostack/eventstore"
)

// retryable is an error after which the same call may succeed.
type retryable struct{ error }

func (e retryable) Unwrap() error { return e.error }

// Retryable is what eventstore.IsRetryable asks.
func (retryable) Retryable() bool { return true }

// classify says what a failed call means: nothing was written, and whether it may be made again; or nobody knows.
func classify(err error) error {
	if err == nil {
		return nil
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		if pgconn.SafeToRetry(err) {
			return retryable{err}
		}
		return err
	}
	switch {
	case pg.Code == "40001", pg.Code == "40P01", pg.Code == "55P03", // serialisation, deadlock, lock timeout
		strings.HasPrefix(pg.Code, "53"), strings.HasPrefix(pg.Code, "57"), pg.Code == "25006": // resources, operators, read-only
		return retryable{err}
	case strings.HasPrefix(pg.Code, "22"), strings.HasPrefix(pg.Code, "23"), pg.Code == "54000": // data, constraints, limits
		return errors.Join(eventstore.ErrRefused, err)
	default:
		return err
	}
}

// outcome is classify for a call that writes: without an answer of the server, nobody knows what became of it.
func outcome(err error) error {
	if err == nil {
		return nil
	}
	if _, answered := errors.AsType[*pgconn.PgError](err); !answered && !pgconn.SafeToRetry(err) {
		return unknown(err)
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && (strings.HasPrefix(pg.Code, "57P") || strings.HasPrefix(pg.Code, "08")) {
		return unknown(err) // the server went away
	}
	return classify(err)
}

var errFormat = errors.New("text format: the connections are of default_query_exec_mode=simple_protocol, which is not supported")
