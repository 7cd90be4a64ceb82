package migrations

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// exists reports whether somebody else has created the schema at the same moment.
func exists(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "42P06" || pg.Code == "23505")
}
