package main

import (
	"bytes"
	"strings"
	"sync"
	"testing"

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

func TestTheReportShowsWhatTheReadModelsTellAndThatTheBooksBalance(t *testing.T) {
	t.Parallel()
	r := killtest.Run(t)
	if r.Code != fine || r.Err != "" {
		t.Errorf("exit %d: %s", r.Code, r.Err)
	}
	goldentest.Check(t, "bank.txt", r.Out)
}

func TestARebuildShowsHowFarItIsAndEndsWithTheSameRows(t *testing.T) {
	t.Parallel()
	r, plain := runCommand(t, "-rebuild", "-rate", "100000"), runCommand(t)
	const rebuilt = "\nRebuilt\n  balances             12 rows, the same as before\n  statement           994 rows, the same as before\n"
	if diff := cmp.Diff(plain.out+rebuilt, r.out); r.code != fine || diff != "" {
		t.Errorf("exit %d, output (-want +got):\n%s", r.code, diff)
	}
	for _, want := range []string{"balances_v1: 100%, 1014 of 1014", "statement_v1: 100%, 1014 of 1014", "caught up after"} {
		if !strings.Contains(r.err, want) {
			t.Errorf("no %q in\n%s", want, r.err)
		}
	}
}

func TestABankThatIsAlmostEmptyHasAReportToo(t *testing.T) {
	t.Parallel()
	r := runCommand(t, "-generate", "1", "-rebuild")
	if r.code != fine || !strings.Contains(r.out, "  The books balance.\n") {
		t.Errorf("exit %d: %s%s", r.code, r.out, r.err)
	}
}

func TestWrongUsageIsExit2(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"unknown flag":       {[]string{"-nope"}, "flag provided but not defined: -nope"},
		"argument":           {[]string{"1000"}, `bank: unexpected argument "1000"`},
		"no number":          {[]string{"-generate", "many"}, `invalid value "many" for flag -generate`},
		"nothing":            {[]string{"-generate", "0"}, "bank: -generate is 0, not 1 … 1000000"},
		"too many":           {[]string{"-generate", "1000001"}, "bank: -generate is 1000001, not 1 … 1000000"},
		"no rate":            {[]string{"-rebuild", "-rate", "0"}, "bank: -rate is 0, not 1 or more"},
		"rate of nothing":    {[]string{"-rate", "10"}, "bank: -rate needs -rebuild"},
		"no store":           {[]string{"-store", ""}, "bank: -store: open store: DSN is empty"},
		"unknown store":      {[]string{"-store", "mysql://localhost"}, `bank: -store: open store: DSN has scheme "mysql"`},
		"faulty store":       {[]string{"-store", "redis://user:hunter2@localhost:port"}, `bank: -store: open store: DSN of scheme "redis" `},
		"store without an @": {[]string{"-store", "postgres://user:hunter2/db"}, "bank: -store: open store: DSN "},
		"Redis is not there": {[]string{"-store", "redis://user:hunter2@127.0.0.1:1"}, "bank: -store: open redis: "},
		"no answer":          {[]string{"-store", "postgres://user:hunter2@127.0.0.1:1/db"}, "bank: -store: open postgres: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := runCommand(t, c.args...)
			if r.code != usage || !strings.HasPrefix(r.err, c.want) || strings.Contains(r.err, "hunter2") || r.out != "" {
				t.Errorf("exit %d, output %q, diagnostics %q: want 2 and %q", r.code, r.out, r.err, c.want)
			}
		})
	}
	if r := runCommand(t, "-generate", "0", "-rate", "0", "x"); strings.Count(r.err, "bank: ") != 4 {
		t.Errorf("not all faults at once: %q", r.err)
	}
}

func TestHelpNamesEveryFlag(t *testing.T) {
	t.Parallel()
	r := runCommand(t, "-h")
	for _, want := range []string{"-store", "postgres://", "redis://", "there is no SQL", "-generate", "-rebuild", "-rate", "Exit codes"} {
		if r.code != fine || !strings.Contains(r.err, want) {
			t.Errorf("exit %d, no %q in\n%s", r.code, want, r.err)
		}
	}
}
