package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/necrostack/necrostack/backends"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/killtest"
)

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
	const requests = 120
	var rows strings.Builder
	for n := range requests { // a third of them have an SMS parked
		fmt.Fprintf(&rows, "user_00%d,email|sms|push,message %d,normal\n", n%3+1, n)
	}
	input := []string{"-file", file(t, "requests.csv", header+rows.String())}
	undisturbed := runCommand(t, input...)
	if undisturbed.code != fine {
		t.Fatalf("exit %d: %s", undisturbed.code, undisturbed.err)
	}
	for server, database := range killtest.Servers() {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			dsn := database(t)
			store, onStore := open(t, dsn), slices.Concat(input, []string{"-store", dsn})
			// A request is asked for, validated, routed to three, opened, delivered and confirmed by two at least.
			killtest.KillOften(t, store, 4, requests*10, onStore...)
			r := killtest.Run(t, onStore...)
			if want := fmt.Sprintf("known: %d of %d requests were in the log already\n", requests, requests); r.Code != fine || killtest.Said(r.Err) != want {
				t.Errorf("exit %d: %s", r.Code, r.Err)
			}
			if diff := cmp.Diff(undisturbed.out, r.Out); diff != "" {
				t.Errorf("report (-undisturbed +killed):\n%s", diff)
			}
		})
	}
}

func TestOnADatabaseNothingGoesOutAgain(t *testing.T) {
	t.Parallel()
	inMemory := runCommand(t)
	for server, database := range killtest.Servers() {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			dsn := database(t)
			first := runCommand(t, "-store", dsn)
			first.err = killtest.Said(first.err)
			if diff := cmp.Diff(inMemory, first, cmp.AllowUnexported(result{})); diff != "" {
				t.Errorf("run (-memory +database):\n%s", diff)
			}
			store := open(t, dsn)
			before := logOf(t, store)
			again := runCommand(t, "-store", dsn)
			if again.code != fine || killtest.Said(again.err) != "known: 5 of 5 requests were in the log already\n" || again.out != first.out {
				t.Errorf("exit %d, diagnostics %q, report (-first +again):\n%s", again.code, again.err, cmp.Diff(first.out, again.out))
			}
			if after := logOf(t, store); len(after) != len(before) {
				t.Errorf("%d events after %d", len(after), len(before))
			}
		})
	}
}

func TestTheReportIsAboutThisInputOnADatabaseToo(t *testing.T) {
	t.Parallel()
	for server, database := range killtest.Servers() {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			dsn := database(t)
			runCommand(t, "-store", dsn)
			r := runCommand(t, "-json", "-store", dsn, "-file", file(t, "more.csv", header+"user_002,push,hi,low\n"))
			want := `{"processed":7,"emitted":6,"requested":1,"delivered":1,"failed":0,"parked":0,"completed":1,"rejected":0}` + "\n"
			if r.code != fine || killtest.Said(r.err) != "" || r.out != want {
				t.Errorf("exit %d, diagnostics %q, got %s, want %s", r.code, r.err, r.out, want)
			}
		})
	}
}

func TestAStoreThatCannotBeOneIsWrongUsage(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		"", "memory", "memory://x", "mysql://localhost", "postgres://user:hunter2/db", "postgres://user:hun/ter2@host/db",
		"redis:localhost", "redis://user:hun/ter2@host", "rediss://user:hunter2@host:port",
	} {
		r := runCommand(t, "-store", dsn)
		if r.code != usage || !strings.HasPrefix(r.err, "notifications: -store: open store: DSN ") || strings.Contains(r.err, "ter2") || r.out != "" {
			t.Errorf("-store %q: exit %d, output %q, diagnostics %q", dsn, r.code, r.out, r.err)
		}
	}
}

func TestAStoreThatDoesNotAnswerIsExit1(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"postgres", "redis"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			r := runCommand(t, "-store", scheme+"://user:hunter2@127.0.0.1:1/0")
			if r.code != failed || !strings.HasPrefix(r.err, "notifications: -store: open "+scheme+": ") || strings.Contains(r.err, "hunter2") || r.out != "" {
				t.Errorf("exit %d, output %q, diagnostics %q", r.code, r.out, r.err)
			}
		})
	}
}
