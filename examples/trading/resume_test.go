package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/necrostack/necrostack/backends"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/killtest"
	"github.com/necrostack/necrostack/examples/trading/report"
)

// counters reads the totals of a report in JSON.
func counters(t *testing.T, text string) (c report.Counters) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t *testing.T, dsn string) *eventstore.Store {
	t.Helper()
	store, err := backends.Open(t.Context(), dsn, eventstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func TestARunThatIsKilledAgainAndAgainEndsWithTheReportOfOneThatIsNot(t *testing.T) {
	t.Parallel()
	const kills = 5
	input := []string{"-stress", "600", "-seed", "7", "-json"}
	undisturbed := command(t, input...)
	if undisturbed.code != fine {
		t.Fatalf("exit %d: %s", undisturbed.code, undisturbed.err)
	}
	for server, database := range killtest.Servers() {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			dsn := database(t)
			store, onStore := open(t, dsn), slices.Concat(input, []string{"-store", dsn})
			killtest.KillOften(t, store, kills, eventstore.Position(counters(t, undisturbed.out).Processed), onStore...)
			r := killtest.Run(t, onStore...)
			if r.Code != fine || killtest.Said(r.Err) != "known: 600 of 600 orders were in the log already\n" {
				t.Errorf("exit %d: %s", r.Code, r.Err)
			}
			if diff := cmp.Diff(undisturbed.out, r.Out); diff != "" {
				t.Errorf("report (-undisturbed +killed):\n%s", diff)
			}
		})
	}
}

// sorted is the lines of a report but the speed. The lists of rejections have validation's and the book's in the order in which they
// came about, which differs from run to run.
func sorted(text string) []string {
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool { return strings.HasSuffix(l, " events/s") })
	slices.Sort(lines)
	return lines
}

func TestOnADatabaseTheReportIsTheSameAndOnceMoreNothingHappensAgain(t *testing.T) {
	t.Parallel()
	for name, input := range map[string][]string{
		"the built-in day": nil,
		"a replay": {
			"-format", "lobster", "-orders", filepath.Join("input", "testdata", "lobster-messages.csv"),
			"-book", filepath.Join("input", "testdata", "lobster-book.csv"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inMemory := command(t, input...)
			for server, database := range killtest.Servers() {
				t.Run(server, func(t *testing.T) {
					t.Parallel()
					dsn := database(t)
					onStore := slices.Concat(input, []string{"-store", dsn})
					first := command(t, onStore...)
					if first.code != inMemory.code || killtest.Said(first.err) != inMemory.err {
						t.Errorf("exit %d, diagnostics %q, want %d, %q", first.code, first.err, inMemory.code, inMemory.err)
					}
					if diff := cmp.Diff(sorted(inMemory.out), sorted(first.out)); diff != "" {
						t.Errorf("report (-memory +database):\n%s", diff)
					}
					store := open(t, dsn)
					head, err := store.Head(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					again := command(t, onStore...)
					if again.code != fine || !strings.HasPrefix(killtest.Said(again.err), "known: ") || strings.Contains(again.out, "events/s") {
						t.Errorf("exit %d, diagnostics %q, output:\n%s", again.code, again.err, again.out)
					}
					if diff := cmp.Diff(sorted(first.out), sorted(again.out)); diff != "" {
						t.Errorf("report (-first +again):\n%s", diff)
					}
					if now, err := store.Head(t.Context()); now != head || err != nil {
						t.Errorf("the log ends at %d, %v, and ended at %d before", now, err, head)
					}
				})
			}
		})
	}
}

func TestAnotherFileMeetsTheBooksThatTheLastOneHasLeft(t *testing.T) {
	t.Parallel()
	for server, database := range killtest.Servers() {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			dsn := database(t)
			step := func(name, rows, wantKnown string, want report.Counters) {
				t.Helper()
				r := command(t, "-json", "-store", dsn, "-orders", file(t, name, "trader_id,symbol,side,order_type,quantity,price\n"+rows))
				got := counters(t, r.out)
				got = report.Counters{Validated: got.Validated, Rejected: got.Rejected, Queued: got.Queued, Filled: got.Filled, Trades: got.Trades}
				if diff := cmp.Diff(want, got); diff != "" || r.code != fine || killtest.Said(r.err) != wantKnown {
					t.Errorf("%s: exit %d, diagnostics %q, want %q, totals (-want +got):\n%s", name, r.code, r.err, wantKnown, diff)
				}
			}
			const sale = "ann,AAPL,SELL,LIMIT,100,185.50\n"
			const purchase = "bob,AAPL,BUY,LIMIT,60,186\n"
			step("monday.csv", sale, "", report.Counters{Validated: 1, Queued: 1})
			step("monday.csv", sale, "known: 1 of 1 orders were in the log already\n", report.Counters{Validated: 1, Queued: 1})
			// Both files have a line 2, and the rows say the same: they are another's orders all the same.
			step("tuesday.csv", sale+purchase, "", report.Counters{Validated: 3, Queued: 2, Filled: 1, Trades: 1})
			// The file was changed at its beginning and has grown.
			step("tuesday.csv", "\n"+sale+purchase+"bob,AAPL,BUY,LIMIT,40,186\n", "known: 2 of 3 orders were in the log already\n",
				report.Counters{Validated: 4, Queued: 2, Filled: 3, Trades: 2})
		})
	}
}

func TestAStoreThatCannotBeOneIsWrongUsage(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		"", "memory", "memory://x", "mysql://localhost", "postgres://user:hunter2/db", "postgres://user:hun/ter2@host/db",
		"redis:localhost", "redis://user:hun/ter2@host", "rediss://user:hunter2@host:port",
	} {
		r := command(t, "-store", dsn)
		if r.code != usage || !strings.HasPrefix(r.err, "trading: -store: open store: DSN ") || strings.Contains(r.err, "ter2") || r.out != "" {
			t.Errorf("-store %q: exit %d, output %q, diagnostics %q", dsn, r.code, r.out, r.err)
		}
	}
}

func TestAStoreThatDoesNotAnswerIsExit1(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"postgres", "redis"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			r := command(t, "-store", scheme+"://user:hunter2@127.0.0.1:1/0")
			if r.code != refused || !strings.HasPrefix(r.err, "trading: -store: open "+scheme+": ") || strings.Contains(r.err, "hunter2") || r.out != "" {
				t.Errorf("exit %d, output %q, diagnostics %q", r.code, r.out, r.err)
			}
		})
	}
}
