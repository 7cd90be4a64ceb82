package migrations_test

import (
	_ "embed"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/necrostack/necrostack/internal/goldentest"
	"github.com/necrostack/necrostack/migrations"
)

//go:embed testdata/catalogue.sql
var catalogueSQL string

// The golden file is the same on every server's version. Write it anew with
//
//	go test ./migrations -run TestTheSchemaIsTheGoldenOne -update
func TestTheSchemaIsTheGoldenOne(t *testing.T) {
	t.Parallel()
	cfg := database(t)
	up(t, cfg, schema)
	goldentest.Check(t, "schema.golden", catalogue(t, connect(t, cfg), schema))
}

func TestDownLeavesAnEmptySchemaAndUpMakesTheSameAgain(t *testing.T) {
	t.Parallel()
	cfg := database(t)
	conn := connect(t, cfg)
	up(t, cfg, schema)
	first := catalogue(t, conn, schema)
	if err := migrations.Down(t.Context(), cfg, schema); err != nil {
		t.Fatal(err)
	}
	if left := catalogue(t, conn, schema); left != "" {
		t.Errorf("left is:\n%s", left)
	}
	stands(t, cfg, schema, 0)
	if err := migrations.Down(t.Context(), cfg, schema); err != nil {
		t.Errorf("down once more: %v", err)
	}
	up(t, cfg, schema)
	if diff := cmp.Diff(first, catalogue(t, conn, schema)); diff != "" {
		t.Errorf("up again (-first +now):\n%s", diff)
	}
}

func TestTheSchemaDoesNotDependOnItsName(t *testing.T) {
	t.Parallel()
	cfg := database(t)
	conn := connect(t, cfg)
	up(t, cfg, schema)
	const odd = `My "Log" ß.`
	up(t, cfg, odd)
	if diff := cmp.Diff(catalogue(t, conn, schema), catalogue(t, conn, odd)); diff != "" {
		t.Errorf("(-plain +odd):\n%s", diff)
	}
}

// catalogue lists what is in a schema.
func catalogue(t *testing.T, conn *pgx.Conn, name string) string {
	t.Helper()
	rows, err := conn.Query(t.Context(), catalogueSQL, name)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}
