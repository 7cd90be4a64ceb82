package migrations

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

// table keeps the version, in the schema itself, as golang-migrate lays it out.
const table = "schema_migrations"

// position is where a schema stands.
type position struct {
	version uint // 0: nothing was migrated
	dirty   bool
}

// fit returns why this program cannot go on from there, if so.
func (p position) fit() error {
	switch {
	case p.dirty:
		return fmt.Errorf("migration %d %w", p.version, ErrDirty)
	case p.version > Latest():
		return fmt.Errorf("version %d, and this program knows %d: %w", p.version, Latest(), ErrNewer)
	default:
		return nil
	}
}

// read returns where a schema stands.
func read(ctx context.Context, conn *pgx.Conn, schema string) (at position, err error) {
	name := pgx.Identifier{schema, table}.Sanitize()
	var known bool
	if err := conn.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", name).Scan(&known); err != nil || !known {
		return at, err
	}
	err = conn.QueryRow(ctx, "SELECT greatest(version, 0), dirty FROM "+name).Scan(&at.version, &at.dirty)
	if errors.Is(err, pgx.ErrNoRows) {
		return at, nil // all was taken down
	}
	return at, err
}

// checkSchema refuses what PostgreSQL would take for another name, or for none.
func checkSchema(schema string) error {
	switch {
	case schema == "":
		return errors.New("the schema has no name")
	case len(schema) > 63:
		return errors.New("the schema's name is longer than 63 bytes")
	case strings.ContainsRune(schema, 0) || !utf8.ValidString(schema):
		return errors.New("the schema's name is no text: it has a NUL, or is not UTF-8")
	case schema == "$user":
		return errors.New("the schema cannot be called $user: in a search path that is the user's name, even in quotes")
	case strings.HasPrefix(schema, "pg_"):
		return errors.New("the schema's name begins with pg_: PostgreSQL keeps such names to itself")
	default:
		return nil
	}
}
