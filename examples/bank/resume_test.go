package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/necrostack/necrostack/backends"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/killtest"
	"github.com/necrostack/necrostack/internal/testenv"
)

func TestARunThatIsKilledAgainAndAgainEndsWithTheReportOfOneThatIsNot(t *testing.T) {
	t.Parallel()
	const events = 2500
	input := []string{"-generate", fmt.Sprint(events)}
	undisturbed := runCommand(t, input...)
	if undisturbed.code != fine {
		t.Fatalf("exit %d: %s", undisturbed.code, undisturbed.err)
	}
	for server, database := range killtest.Servers() {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			dsn := database(t)
			store, err := backends.Open(t.Context(), dsn, eventstore.Config{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { store.Close() })
			onStore := slices.Concat(input, []string{"-store", dsn})
			killtest.KillOften(t, store, 4, events, onStore...)
			r := killtest.Run(t, onStore...)
			if r.Code != fine || !strings.HasPrefix(killtest.Said(r.Err), "known: ") {
				t.Errorf("exit %d: %s", r.Code, r.Err)
			}
			if diff := cmp.Diff(undisturbed.out, r.Out); diff != "" {
				t.Errorf("report (-undisturbed +killed):\n%s", diff)
			}
		})
	}
}

func TestOnADatabaseTheReportIsTheSameAndOnceMoreNothingHappensAgain(t *testing.T) {
	t.Parallel()
	for server, database := range killtest.Servers() {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			dsn := database(t)
			inMemory, first := runCommand(t, "-rebuild"), runCommand(t, "-rebuild", "-store", dsn)
			if diff := cmp.Diff(inMemory.out, first.out); first.code != fine || diff != "" {
				t.Errorf("exit %d, report (-memory +database):\n%s%s", first.code, diff, first.err)
			}
			again := runCommand(t, "-rebuild", "-store", dsn)
			if diff := cmp.Diff(first.out, again.out); again.code != fine || diff != "" || !strings.HasPrefix(killtest.Said(again.err), "known: 1000 of 1000 events ") {
				t.Errorf("exit %d, report (-first +again):\n%s%s", again.code, diff, again.err)
			}
			if more := runCommand(t, "-generate", "1500", "-store", dsn); more.code != fine || !strings.HasPrefix(killtest.Said(more.err), "known: 1000 of 1500 events ") {
				t.Errorf("exit %d: %s", more.code, more.err)
			}
		})
	}
}

func TestTheStatementHasALineForEachMovement(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t).Database(t)
	if r := runCommand(t, "-store", dsn); r.code != fine {
		t.Fatalf("exit %d: %s", r.code, r.err)
	}
	differ := query(t, dsn, `SELECT count(*) FROM necrostack.view_balances_v1 b FULL JOIN
		(SELECT account, count(*) AS lines, sum(cents) AS cents FROM bank_statement GROUP BY account) s ON s.account = b.key
		WHERE (b.movements, b.cents) IS DISTINCT FROM (coalesce(s.lines, 0), coalesce(s.cents, 0))`)
	if lines := query(t, dsn, "SELECT count(*) FROM bank_statement"); differ != 0 || lines != 994 {
		t.Errorf("%d accounts have another statement than balance; there are %d lines", differ, lines)
	}
}

func TestWhatWasTamperedWithIsToldAndARebuildPutsItRight(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t).Database(t)
	sound := runCommand(t, "-store", dsn)
	const tamper = `WITH done AS (UPDATE bank_statement SET cents = cents + CASE position WHEN $1 THEN 1 ELSE -1 END
		WHERE position = $1 OR position = $2 RETURNING 1) SELECT count(*) FROM done`
	at := query(t, dsn, "SELECT min(position) FROM bank_statement WHERE what = 'money deposited'")
	other := query(t, dsn, "SELECT max(position) FROM bank_statement WHERE what = 'money deposited'")
	if n := query(t, dsn, tamper, at, int64(0)); n != 1 {
		t.Fatalf("%d lines were tampered with", n)
	}
	r := runCommand(t, "-store", dsn)
	if r.code != failed || !strings.Contains(r.err, "bank: the books do not balance: ") {
		t.Errorf("exit %d: %s", r.code, r.err)
	}
	if n := query(t, dsn, tamper, int64(0), other); n != 1 { // so that the sum is right
		t.Fatalf("%d lines were tampered with", n)
	}
	r = runCommand(t, "-store", dsn, "-rebuild")
	if r.code != failed || !strings.Contains(r.err, "bank: the rebuilt statement has 994 rows, and differs from the one before, which had 994\n") {
		t.Errorf("exit %d: %s", r.code, r.err)
	}
	r = runCommand(t, "-store", dsn, "-rebuild")
	if r.code != fine || !strings.HasPrefix(r.out, sound.out) {
		t.Errorf("exit %d: %s%s", r.code, r.out, r.err)
	}
}

func TestTheNextRunFinishesARebuildThatWasInterrupted(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t).Database(t)
	whole := runCommand(t, "-store", dsn)
	lines := query(t, dsn, "SELECT count(*) FROM bank_statement")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	diagnostics := interrupt{stop: stop}
	code := command(ctx, []string{"-store", dsn, "-rebuild", "-rate", "50"}, &bytes.Buffer{}, &diagnostics)
	if code != failed || !strings.Contains(diagnostics.text.String(), "bank: rebuild: ") {
		t.Errorf("exit %d: %s", code, diagnostics.text.String())
	}
	if now := query(t, dsn, "SELECT count(*) FROM bank_statement"); now >= lines {
		t.Errorf("nothing was interrupted: there are %d lines, and %d were there before", now, lines)
	}
	next := runCommand(t, "-store", dsn)
	if diff := cmp.Diff(whole.out, next.out); next.code != fine || diff != "" {
		t.Errorf("exit %d, %s, report (-whole +next):\n%s", next.code, next.err, diff)
	}
}

// interrupt stops a program that tells of a rebuild.
type interrupt struct {
	text shared
	stop func()
}

func (i *interrupt) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("statement_v1: ")) {
		i.stop()
	}
	return i.text.Write(p)
}

// query returns the one number that a query returns.
func query(t *testing.T, dsn, sql string, args ...any) (n int64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
