package postgres_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/internal/goldentest"
	"github.com/necrostack/necrostack/internal/testenv"
	"github.com/necrostack/necrostack/migrations"
)

// releases has what each released version of the schema leaves in a database, as NUMBER.sql, and as NUMBER.golden what
// reading it yields.
const releases = "releases"

// Whoever upgrades finds everything as it was, and goes on from there.
func TestWhatAReleaseLeftIsMigratedReadAndGoesOn(t *testing.T) {
	t.Parallel()
	if goldentest.Updating() {
		dumpRelease(t)
	}
	dumps, err := filepath.Glob(filepath.Join("testdata", releases, "*.sql"))
	if err != nil {
		t.Fatal(err)
	}
	if len(dumps) == 0 {
		t.Fatal("there is no dump of any release: write one with -update")
	}
	for _, dump := range dumps {
		name := strings.TrimSuffix(filepath.Base(dump), ".sql")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			number, err := strconv.ParseUint(name, 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			r := restoreRelease(t, dump, uint(number))
			goldentest.Check(t, filepath.Join(releases, name+".golden"), r.show())
			r.goesOn()
		})
	}
}

// restoreRelease restores a dump, migrates it, and opens it as one that needs no migration any more.
func restoreRelease(t *testing.T, dump string, number uint) *release {
	t.Helper()
	text, err := os.ReadFile(dump)
	if err != nil {
		t.Fatal(err)
	}
	dsn := testenv.Postgres(t).Database(t)
	conn := connection(t, dsn)
	if _, err := conn.PgConn().Exec(t.Context(), string(text)).ReadAll(); err != nil {
		t.Fatalf("restoring %s: %v", dump, err)
	}
	cfg := conn.Config()
	stands := func(want uint) {
		t.Helper()
		if at, dirty, err := migrations.Status(t.Context(), cfg, "necrostack"); at != want || dirty || err != nil {
			t.Fatalf("the schema is of version %d, dirty %t, %v; want version %d", at, dirty, err, want)
		}
	}
	stands(number)
	if err := migrations.Up(t.Context(), cfg, "necrostack"); err != nil {
		t.Fatal(err)
	}
	stands(migrations.Latest())
	b, err := postgres.New(t.Context(), pool(t, dsn), postgres.Config{ManualMigration: true})
	if err != nil {
		t.Fatal(err)
	}
	return newRelease(t, b)
}

// dumpRelease writes the dump of the present version, unless there is one already: what was released stays as it is.
func dumpRelease(t *testing.T) {
	t.Helper()
	path := filepath.Join("testdata", releases, fmt.Sprintf("%04d.sql", migrations.Latest()))
	if _, err := os.Stat(path); err == nil {
		return
	}
	server := testenv.OwnPostgres(t)
	dsn := server.Database(t)
	b, err := postgres.New(t.Context(), pool(t, dsn), postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	newRelease(t, b).fill()
	dump := server.Dump(t, dsn, "--inserts", "--no-owner", "--no-privileges", "--schema=necrostack")
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, portable(dump), 0o600); err != nil {
		t.Fatal(err)
	}
}

// portable returns a dump without what is psql's alone, what only the newest servers know, and what is different in
// every dump.
func portable(dump []byte) []byte {
	special := regexp.MustCompile(`(?m)^(\\.*|SET transaction_timeout.*|--.*)\n`)
	dump = special.ReplaceAll(dump, nil)
	return append(bytes.TrimSpace(regexp.MustCompile(`\n{3,}`).ReplaceAll(dump, []byte("\n\n"))), '\n')
}
