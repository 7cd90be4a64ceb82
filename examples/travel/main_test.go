package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/necrostack/necrostack/examples/killtest"
	"github.com/necrostack/necrostack/internal/goldentest"
	"github.com/necrostack/necrostack/internal/testenv"
)

func TestMain(m *testing.M) {
	killtest.Main(command)
	goleak.VerifyTestMain(testenv.Main(m))
}

// result is one run of the command.
type result struct {
	code     int
	out, err string
}

func runCommand(t *testing.T, args ...string) result {
	t.Helper()
	var out bytes.Buffer
	var diagnostics shared
	code := command(t.Context(), args, &out, &diagnostics)
	return result{code, out.String(), diagnostics.String()}
}

// virtually runs the command on a virtual clock: what takes its time takes none, and always the same.
func virtually(t *testing.T, args ...string) (r result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { r = runCommand(t, args...) })
	return r
}

// shared is written by several goroutines at once.
type shared struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// end reads what -json prints.
func end(t *testing.T, r result) (s summary) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.out), &s); err != nil {
		t.Fatalf("exit %d, %v: %s%s", r.code, err, r.out, r.err)
	}
	return s
}

// holdings is what a report says that the services hold.
func holdings(t *testing.T, text string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, "\nWhat the services hold\n")
	held, _, _ := strings.Cut(rest, "\n\n")
	if !found {
		t.Fatalf("the report does not say what the services hold:\n%s", text)
	}
	return held
}

// How long somebody waits before the next attempt is chance, so these are the reports without any.
func TestReportTellsWhatWentForwardAndWhatWasUndone(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"booked":         nil,
		"hotel-refused":  {"-fail", "hotel"},
		"charge-refused": {"-fail", "charge", "-trip", "summer.2", "-from", "HAM", "-to", "OPO", "-card", "1111"},
		"diagrams":       {"-fail", "hotel", "-mermaid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := virtually(t, args...)
			if r.code != fine || r.err != "" {
				t.Errorf("exit %d: %s", r.code, r.err)
			}
			goldentest.Check(t, name+".txt", r.out)
		})
	}
}

func TestRefusedHotelUndoesTheOthersAndTheCardIsNeverCharged(t *testing.T) {
	t.Parallel()
	r := virtually(t, "-fail", "hotel", "-json")
	want := `{"state":"compensated","steps":[{"id":"flight","state":"undone"},{"id":"hotel","state":"refused"},` +
		`{"id":"car","state":"undone"},{"id":"charge","state":"not begun"},{"id":"tickets","state":"not begun"},{"id":"notify","state":"not begun"}]}` + "\n"
	if r.code != fine || r.out != want {
		t.Errorf("exit %d, output %s, want %s", r.code, r.out, want)
	}
	report := virtually(t, "-fail", "hotel").out
	for _, want := range []string{"compensation", "flight undone", "car undone", "→ compensated", "car      booked as CA-t1, and cancelled", "never charged"} {
		if !strings.Contains(report, want) {
			t.Errorf("no %q in\n%s", want, report)
		}
	}
}

// states are those of the steps, in their order, with the trip's before them.
func states(s summary) string {
	all := []string{string(s.State) + ":"}
	for _, st := range s.Steps {
		all = append(all, st.State)
	}
	return strings.Join(all, " ")
}

func TestEveryFaultHasItsEnd(t *testing.T) {
	t.Parallel()
	const booked = "completed: succeeded succeeded succeeded succeeded succeeded succeeded"
	for args, want := range map[string]struct {
		code   int
		states string
	}{
		"-fail flight":          {fine, "compensated: refused undone undone not begun not begun not begun"},
		"-fail flight,car":      {fine, "compensated: refused undone refused not begun not begun not begun"},
		"-fail charge":          {fine, "compensated: undone undone undone refused not begun not begun"},
		"-fail tickets":         {failed, "forward stuck: succeeded succeeded succeeded succeeded stuck not begun"},
		"-fail notify":          {failed, "forward stuck: succeeded succeeded succeeded succeeded succeeded stuck"},
		"-timeout car":          {fine, "compensated: undone undone undone not begun not begun not begun"},
		"-timeout charge":       {fine, booked},
		"-timeout notify":       {fine, booked},
		"-outage hotel":         {fine, booked},
		"-outage charge,notify": {fine, booked},
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			r := virtually(t, append(strings.Fields(args), "-json")...)
			if got := states(end(t, r)); r.code != want.code || got != want.states {
				t.Errorf("exit %d, %s, want %d, %s", r.code, got, want.code, want.states)
			}
			if stuck := strings.HasPrefix(want.states, "forward stuck"); stuck != strings.Contains(r.err, "trip t1 is forward stuck, for ") {
				t.Errorf("diagnostics are %q", r.err)
			}
		})
	}
}

// What a service was asked for before the crash is asked for again, and is the same order.
func TestCrashAtAnyEventEndsLikeARunWithoutOne(t *testing.T) {
	t.Parallel()
	for stride, args := range [][]string{nil, {"-fail", "hotel"}, {"-timeout", "flight"}} { // the last one has many events
		undisturbed := virtually(t, args...)
		crashes := 0
		for n := 1; ; n += 1 + stride {
			r := virtually(t, append([]string{"-crash-at", fmt.Sprint(n)}, args...)...)
			if diff := cmp.Diff(holdings(t, undisturbed.out), holdings(t, r.out)); r.code != fine || diff != "" {
				t.Errorf("%v, crash at %d: exit %d, holdings (-undisturbed +crashed):\n%s%s", args, n, r.code, diff, r.err)
			}
			if strings.Contains(r.err, "it did not crash") {
				break
			}
			if want := fmt.Sprintf("travel: crashed after %d events, and another run goes on\n", n); r.err != want {
				t.Errorf("%v: diagnostics %q, want %q", args, r.err, want)
			}
			crashes++
		}
		t.Logf("%v: crashed at %d events", args, crashes)
		if crashes < 8 {
			t.Errorf("%v: only %d crashes", args, crashes)
		}
	}
}

func TestWrongUsageIsExit2(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args string
		want string
	}{
		"unknown flag":         {"-nope", "flag provided but not defined: -nope"},
		"argument":             {"hotel", `travel: unexpected argument "hotel"`},
		"unknown step":         {"-fail hotell", `travel: -fail is "hotell", not one of flight hotel car charge tickets notify`},
		"empty step":           {"-fail hotel,", `travel: -fail is "", not one of flight`},
		"no service":           {"-timeout tickets", `travel: -timeout is "tickets", not one of flight hotel car charge notify`},
		"unknown outage":       {"-outage x", `travel: -outage is "x", not one of flight hotel`},
		"negative crash":       {"-crash-at -1", "travel: -crash-at is -1, not 1 or more"},
		"crash at nothing":     {"-crash-at 0", "travel: -crash-at is 0, not 1 or more"},
		"crash at no number":   {"-crash-at charge", `invalid value "charge" for flag -crash-at`},
		"no patience":          {"-patience 0s", "travel: -patience is 0s, not more than nothing"},
		"trip":                 {"-trip a/b", `travel: -trip is "a/b", not 1 … 60 letters`},
		"nowhere":              {"-to=", "travel: -to is empty"},
		"two formats":          {"-json -mermaid", "travel: -json and -mermaid do not go together"},
		"two kinds of service": {"-serve -services hotel=http://h", "travel: -serve and -services do not go together"},
		"unknown service":      {"-services inn=http://h:1", `travel: -services names "inn", not one of flight`},
		"no address":           {"-services hotel", `travel: -services has "hotel" at "", not at http://host:port`},
		"no host":              {"-services hotel=localhost:80", `travel: -services has "hotel" at "localhost:80"`},
		"twice":                {"-services hotel=http://h,hotel=http://i", `travel: -services names "hotel" twice`},
		"fault elsewhere":      {"-services hotel=http://h -fail hotel", "travel: hotel runs elsewhere: start it there with -fail"},
		"which service":        {"-service inn", `travel: -service is "inn", not one of flight`},
		"service with a trip":  {"-service hotel -trip t2", "travel: -trip and -service do not go together"},
		"listener alone":       {"-listen 127.0.0.1:0", "travel: -listen needs -service"},
		"attached alone":       {"-attached", "travel: -attached needs -service"},
		"no store":             {"-store=", "travel: -store: open store: DSN is empty"},
		"unknown store":        {"-store mysql://localhost", `travel: -store: open store: DSN has scheme "mysql"`},
		"faulty store":         {"-store redis://user:hunter2@localhost:port", `travel: -store: open store: DSN of scheme "redis" `},
		"store without an @":   {"-store postgres://user:hunter2/db", "travel: -store: open store: DSN "},
		"Redis is not there":   {"-store redis://user:hunter2@127.0.0.1:1", "travel: -store: open redis: "},
		"no answer":            {"-store postgres://user:hunter2@127.0.0.1:1/db", "travel: -store: open postgres: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := runCommand(t, strings.Fields(c.args)...)
			if r.code != usage || !strings.HasPrefix(r.err, c.want) || strings.Contains(r.err, "hunter2") || r.out != "" {
				t.Errorf("exit %d, output %q, diagnostics %q: want 2 and %q", r.code, r.out, r.err, c.want)
			}
		})
	}
	if r := runCommand(t, "-fail", "inn", "-crash-at", "-3", "-trip", "", "x"); strings.Count(r.err, "travel: ") != 4 {
		t.Errorf("not all faults at once: %q", r.err)
	}
}

func TestHelpNamesEveryFlag(t *testing.T) {
	t.Parallel()
	r := runCommand(t, "-h")
	for _, want := range []string{
		"-store", "postgres://", "redis://", "-fail", "-timeout", "-outage", "-crash-at", "-json", "-mermaid", "-serve", "-services", "-service", "-listen", "-retry",
		"Exit codes",
	} {
		if r.code != fine || !strings.Contains(r.err, want) {
			t.Errorf("exit %d, no %q in\n%s", r.code, want, r.err)
		}
	}
}
