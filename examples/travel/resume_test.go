package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/necrostack/necrostack/examples/killtest"
)

// patient says that nobody is asked again only because the machine is busy.
var patient = []string{"-patience", "20s"}

func onStore(dsn string, args ...string) []string {
	return append(append([]string{"-store", dsn}, patient...), args...)
}

func TestTripThatIsKilledAgainAndAgainEndsLikeOneThatIsNot(t *testing.T) {
	t.Parallel()
	undisturbed := virtually(t, "-fail", "charge")
	for server, database := range killtest.Servers() {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			dsn := database(t)
			args := []string{"-store", dsn, "-fail", "charge", "-patience", "5s"}
			for range 2 {
				r := killtest.Run(t, append(args, "-crash-at", "2")...)
				if r.Code >= 0 || !strings.Contains(r.Err, "travel: SIGKILL to process ") {
					t.Fatalf("exit %d: %s%s", r.Code, r.Out, r.Err)
				}
				t.Log(strings.TrimSpace(r.Err))
			}
			r := killtest.Run(t, args...)
			if r.Code != fine || !strings.Contains(r.Err, "known: trip t1 was in the log already\n") {
				t.Errorf("exit %d: %s", r.Code, r.Err)
			}
			if diff := cmp.Diff(holdings(t, undisturbed.out), holdings(t, r.Out)); diff != "" {
				t.Errorf("holdings (-undisturbed +killed):\n%s\n%s", diff, r.Out)
			}
		})
	}
}

func TestTripThatHasEndedIsToldOfAgain(t *testing.T) {
	t.Parallel()
	for server, database := range killtest.Servers() {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			dsn := database(t)
			first := runCommand(t, onStore(dsn)...)
			again := runCommand(t, onStore(dsn, "-fail", "hotel")...) // which is asked for nothing any more
			if diff := cmp.Diff(first.out, again.out); first.code != fine || again.code != fine || diff != "" {
				t.Errorf("exits %d and %d, report (-first +again):\n%s%s", first.code, again.code, diff, first.err)
			}
			if want := "known: trip t1 was in the log already\n"; !strings.HasPrefix(killtest.Said(again.err), want) {
				t.Errorf("diagnostics %q, want %q", again.err, want)
			}
			if other := runCommand(t, onStore(dsn, "-trip", "t2", "-json")...); states(end(t, other)) != booked["trip"] {
				t.Errorf("another trip: exit %d: %s%s", other.code, other.out, other.err)
			}
		})
	}
}

func TestTripThatIsStuckGoesOnWhenSomebodyWantsItTo(t *testing.T) {
	t.Parallel()
	for server, database := range killtest.Servers() {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			dsn := database(t)
			step := func(wantCode int, wantState, wantErr string, args ...string) string {
				t.Helper()
				r := runCommand(t, onStore(dsn, args...)...)
				if r.code != wantCode || !strings.Contains(r.out, wantState) || !strings.Contains(r.err, wantErr) {
					t.Errorf("%v: exit %d, want %d, diagnostics %q, want %q:\n%s", args, r.code, wantCode, r.err, wantErr, r.out)
				}
				return r.out
			}
			const stuck = "trip t1 is forward stuck, for tickets: the printer has no paper: once that is repaired, start it again with -retry\n"
			step(failed, "Trip t1: forward stuck.", stuck, "-fail", "tickets")
			step(failed, "Trip t1: forward stuck.", stuck) // nobody has said that it was repaired
			told := step(fine, "Trip t1: completed.", "known: ", "-retry")
			if who := regexp.MustCompile(`tickets retried +by travel: started with -retry\n`); !who.MatchString(told) {
				t.Errorf("it is not told who has had it tried again:\n%s", told)
			}
			step(failed, "", "retry t1 of saga trip: not in this state: it is completed, so no step is stuck\n", "-retry")
		})
	}
}

func TestServicesMayBeProcessesOfTheirOwn(t *testing.T) {
	t.Parallel()
	undisturbed := virtually(t, "-fail", "hotel", "-outage", "car")
	r := killtest.Run(t, append([]string{"-serve", "-fail", "hotel", "-outage", "car"}, patient...)...)
	if diff := cmp.Diff(holdings(t, undisturbed.out), holdings(t, r.Out)); r.Code != fine || diff != "" {
		t.Errorf("exit %d, holdings (-in this process +in others):\n%s%s", r.Code, diff, r.Err)
	}
	lines := regexp.MustCompile(`(?m)^\w+ listens at http://127\.0\.0\.1:\d+, process \d+$`).FindAllString(r.Err, -1)
	if len(lines) != 5 {
		t.Errorf("not told where 5 services listen: %s", r.Err)
	}
}

func TestServiceThatCannotListenSaysSo(t *testing.T) {
	t.Parallel()
	r := runCommand(t, "-service", "hotel", "-listen", "127.0.0.1:99999")
	if r.code != failed || !strings.HasPrefix(r.err, "travel: -listen: ") {
		t.Errorf("exit %d: %s", r.code, r.err)
	}
}

// Nobody knows whether such a service has done anything, so nobody takes what it was asked for as undone.
func TestServiceThatIsNeverThereIsLeftToAnOperator(t *testing.T) {
	t.Parallel()
	r := virtually(t, "-services", "hotel=http://127.0.0.1:1", "-json")
	want := "undo stuck: undone undo stuck undone not begun not begun not begun"
	if got := states(end(t, r)); r.code != failed || got != want || !strings.Contains(r.err, "connection refused") {
		t.Errorf("exit %d, %s, want %d, %s: %s", r.code, got, failed, want, r.err)
	}
}
