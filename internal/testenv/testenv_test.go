package testenv_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/necrostack/necrostack/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(testenv.Main(m)) }

// Without a server a test fails. The test of this process that needs one is run again where nothing offers any.
func TestATestWithoutAServerFailsAndSaysWhatWasTried(t *testing.T) {
	t.Parallel()
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAFreshDatabaseIsEmptyAndGoneAfterwards$", "-test.v")
	again.Env = append(os.Environ(),
		"NECROSTACK_POSTGRES=", "NECROSTACK_TESTENV=docker", "NECROSTACK_POSTGRES_IMAGE=localhost/no/such:image")
	said, err := again.CombinedOutput()
	for _, want := range []string{"--- FAIL: TestAFresh", "tried:\n", "docker: ", "localhost/no/such:image", "set NECROSTACK_POSTGRES"} {
		if err == nil || !strings.Contains(string(said), want) {
			t.Errorf("it ended with %v and does not say %q:\n%s", err, want, said)
		}
	}
}

func TestAFreshDatabaseIsEmptyAndGoneAfterwards(t *testing.T) {
	t.Parallel()
	server := testenv.Postgres(t)
	var name string
	outer := t
	t.Run(`a name's "hard" Ways`, func(t *testing.T) {
		conn := connect(outer, server.Database(t)) // still open when the database goes
		const about = `SELECT current_database(), pg_encoding_to_char(encoding) || ' ' || datcollate || ' ' || datctype,
			(SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace)
			FROM pg_database WHERE datname = current_database()`
		var locale string
		var tables int
		if err := conn.QueryRow(t.Context(), about).Scan(&name, &locale, &tables); err != nil {
			t.Fatal(err)
		}
		if locale != "UTF8 C.UTF-8 C.UTF-8" || tables != 0 {
			t.Errorf("%s with %d tables", locale, tables)
		}
		if !strings.HasPrefix(name, "testafreshdatabase") {
			t.Errorf("%s does not show which test it belongs to", name)
		}
	})
	var left int
	conn := connect(t, server.DSN())
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_database WHERE datname = $1", name).Scan(&left); err != nil || left != 0 {
		t.Errorf("%s is still there: %v", name, err)
	}
}

func TestDatabasesOfOneTestAreDistinct(t *testing.T) {
	t.Parallel()
	server := testenv.Postgres(t)
	dsns := make([]string, 4)
	var all sync.WaitGroup
	for i := range dsns {
		all.Go(func() { dsns[i] = server.Database(t) })
	}
	all.Wait()
	slices.Sort(dsns)
	if len(slices.Compact(dsns)) != 4 {
		t.Error("two are the same")
	}
}

func TestTheTestsOfAProcessShareAServer(t *testing.T) {
	t.Parallel()
	if a, b := testenv.Postgres(t), testenv.Postgres(t); a.Addr() != b.Addr() {
		t.Errorf("two servers: %s and %s", a.Addr(), b.Addr())
	}
}

func TestAnOwnServerIsBrokenAndRepaired(t *testing.T) {
	t.Parallel()
	said := &listener{TB: t}
	server := testenv.OwnPostgres(said)
	if server.Addr() == testenv.Postgres(t).Addr() {
		t.Fatal("it is the shared one")
	}
	database := server.Database(t)
	if _, err := connect(t, database).Exec(t.Context(), "CREATE TABLE kept ()"); err != nil {
		t.Fatal(err)
	}
	pid := server.Pids(t)[0]
	server.Kill(said)
	if want := fmt.Sprintf("process %d", pid); !strings.Contains(said.log.String(), want) {
		t.Errorf("the log does not have %q: %s", want, said.log.String())
	}
	server.Start(t)
	server.Stop(t)
	server.Start(t)
	server.Pause(t)
	server.Resume(t)
	if _, err := connect(t, database).Exec(t.Context(), "DROP TABLE kept"); err != nil {
		t.Error(err)
	}
	password := connect(t, database).Config().Password
	if strings.Contains(said.log.String(), password) {
		t.Error("the log has the password")
	}
}

func TestADumpIsRestoredIntoANewDatabase(t *testing.T) {
	t.Parallel()
	server := testenv.OwnPostgres(t)
	database := server.Database(t)
	const fill = "CREATE SCHEMA s; CREATE TABLE s.kept AS SELECT n, repeat('ä', n) AS text FROM generate_series(1, 1000) n"
	if _, err := connect(t, database).Exec(t.Context(), fill); err != nil {
		t.Fatal(err)
	}
	dump := server.Dump(t, database)
	restored := server.Restore(t, dump)
	if restored == database {
		t.Fatal("it is the same database")
	}
	var rows, bytes int
	if err := connect(t, restored).QueryRow(t.Context(), "SELECT count(*), sum(octet_length(text)) FROM s.kept").Scan(&rows, &bytes); err != nil {
		t.Fatal(err)
	}
	if rows != 1000 || bytes != 1001*1000 {
		t.Errorf("restored %d rows with %d bytes", rows, bytes)
	}
}

// A listener keeps what a test logs.
type listener struct {
	testing.TB
	log strings.Builder
}

func (l *listener) Logf(format string, args ...any) {
	l.Helper()
	fmt.Fprintf(&l.log, format+"\n", args...)
	l.TB.Logf(format, args...)
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}
