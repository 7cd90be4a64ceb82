package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/necrostack/necrostack/eventstore"
)

// connect makes a pool. It does no I/O but to read the files that the DSN names.
func connect(ctx context.Context, dsn string) (*pgxpool.Pool, error) {
	if strayAt(dsn) {
		return nil, &eventstore.InvalidError{Field: "the DSN", Reason: "has an @ that is not the one between password and host: write @ as %40, / as %2F, " +
			"? as %3F, # as %23 and % as %25 in names, passwords and settings"}
	}
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, &eventstore.InvalidError{Field: "the DSN", Reason: "cannot be used: " + misread(err)}
	}
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = connectTimeout
	}
	return pgxpool.NewWithConfig(ctx, cfg)
}

// strayAt reports an @ in a URL that cannot be the one before the host. Then a part of the password may stand where host,
// port or database are read, and would show up in what is said about them.
func strayAt(dsn string) bool {
	for _, scheme := range []string{"postgres://", "postgresql://"} {
		if address, is := strings.CutPrefix(dsn, scheme); is {
			end := strings.IndexAny(address+"/", "/?#")
			return strings.Count(address[:end], "@") > 1 || strings.Contains(address[end:], "@")
		}
	}
	return false
}

// misread says what is wrong with a DSN without quoting it: what cannot be taken apart may hold a password anywhere.
// The error is not to be wrapped: it holds all of it.
func misread(err error) string {
	parse, ok := errors.AsType[*pgconn.ParseConfigError](err)
	if !ok {
		return "no reason that can be told"
	}
	what := strings.TrimPrefix(parse.Error(), pgconn.NewParseConfigError(parse.ConnString, "", nil).Error())
	what, _, _ = strings.Cut(what, " (") // what comes behind may quote
	what, _, _ = strings.Cut(what, ":")
	if strings.HasPrefix(what, "failed to parse as") {
		return what + ": want postgres://user:password@host:port/database, where special characters of " +
			"the password are percent-encoded, or host=… port=… dbname=… user=… password='…'"
	}
	return what
}

// discreet returns an error of connecting, but if the server has quoted the name of a setting. That may be a part of a
// password behind a & or a space that should have been escaped.
func discreet(err error) error {
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	if pg, ok := errors.AsType[*pgconn.PgError](err); connecting && ok && pg.Code == "42704" {
		return &eventstore.InvalidError{Field: "the DSN", Reason: "has a setting that the server does not know: special characters of " +
			"a password are percent-encoded in a URL, and in quotes behind password="}
	}
	return err
}
