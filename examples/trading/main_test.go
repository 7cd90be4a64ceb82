package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/necrostack/necrostack/examples/killtest"
	"github.com/necrostack/necrostack/internal/goldentest"
	"github.com/necrostack/necrostack/internal/testenv"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	killtest.Main(trade)
	goleak.VerifyTestMain(testenv.Main(m))
}

// result is one run of the command.
type result struct {
	code     int
	out, err string
}

func command(t *testing.T, args ...string) result {
	t.Helper()
	var out, diagnostics bytes.Buffer
	code := trade(t.Context(), args, &out, &diagnostics)
	return result{code, out.String(), diagnostics.String()}
}

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBuiltInDayShowsEveryOutcome(t *testing.T) {
	t.Parallel()
	r := command(t, "-json")
	if r.code != fine || r.err != "" {
		t.Fatalf("exit %d: %s", r.code, r.err)
	}
	goldentest.Check(t, "day.json", r.out)
	var counts map[string]any
	if err := json.Unmarshal([]byte(r.out), &counts); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"processed", "emitted", "validated", "rejected", "filled", "partial", "queued", "cancelled", "trades",
		"settlements", "alerts", "parked",
	} {
		if n, ok := counts[name].(float64); !ok || n == 0 {
			t.Errorf("%s is %v: the built-in day should show it", name, counts[name])
		}
	}
}

func TestReportIsReadable(t *testing.T) {
	t.Parallel()
	r := command(t)
	if r.code != fine {
		t.Fatalf("exit %d: %s", r.code, r.err)
	}
	for _, want := range []string{"AAPL", "blocklist", "events/s"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("the report does not mention %q:\n%s", want, r.out)
		}
	}
	if quiet := command(t, "-quiet"); len(quiet.out) >= len(r.out) {
		t.Errorf("-quiet prints as much as the report:\n%s", quiet.out)
	}
}

func TestSameInputSameResult(t *testing.T) {
	t.Parallel()
	first := command(t, "-stress", "3000", "-seed", "7", "-json")
	if again := command(t, "-stress", "3000", "-seed", "7", "-json"); again.out != first.out {
		t.Errorf("two runs differ:\n%s\n%s", first.out, again.out)
	}
	if other := command(t, "-stress", "3000", "-seed", "8", "-json"); other.out == first.out {
		t.Error("-seed changes nothing")
	}
}

func TestReplayFillsTheOrdersThatTheExchangeFilled(t *testing.T) {
	t.Parallel()
	r := command(t, "-format", "lobster", "-json",
		"-orders", filepath.Join("input", "testdata", "lobster-messages.csv"),
		"-book", filepath.Join("input", "testdata", "lobster-book.csv"))
	goldentest.Check(t, "replay.json", r.out)
	if r.code != fine {
		t.Errorf("exit %d: %s", r.code, r.err)
	}
}

const header = "trader_id,symbol,side,order_type,quantity,price,order_id,action\n"

func TestOrdersFromFile(t *testing.T) {
	t.Parallel()
	r := command(t, "-json", "-orders", file(t, "orders.csv", header+
		"ann,AAPL,BUY,LIMIT,100,185.50,o1,new\n"+
		"bob,AAPL,SELL,MARKET,40,,o2,new\n"+
		"ann,AAPL,BUY,LIMIT,10,185.50,o1,reduce\n"+
		"ann,AAPL,BUY,LIMIT,10,185.50,o1,cancel\n"))
	if r.code != fine {
		t.Fatalf("exit %d: %s", r.code, r.err)
	}
	for _, want := range []string{`"trades":1`, `"cancelled":1`, `"settlements":2`} {
		if !strings.Contains(r.out, want) {
			t.Errorf("want %s in %s", want, r.out)
		}
	}
}

func TestMalformedRowsAreReportedAndTheRestRuns(t *testing.T) {
	t.Parallel()
	r := command(t, "-json", "-orders", file(t, "orders.csv", header+
		"ann,AAPL,BUY,LIMIT,ten,185.50,o1,new\n"+
		"bob,AAPL,SELL,LIMIT,40,186,o2,new\n"))
	if r.code != refused || !strings.Contains(r.err, "line 2") || !strings.Contains(r.err, "ten") {
		t.Errorf("exit %d, diagnostics %q: want 1, and line 2 with its reason", r.code, r.err)
	}
	if !strings.Contains(r.out, `"queued":1`) {
		t.Errorf("the other row did not run: %s", r.out)
	}
}

func TestWrongUsageIsExit2(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"unknown flag":          {"-nope"},
		"argument":              {"orders.csv"},
		"unknown format":        {"-orders", "x", "-format", "xml"},
		"format without orders": {"-format", "csv"},
		"book without lobster":  {"-book", "x"},
		"unknown symbol":        {"-orders", "x", "-format", "lobster", "-symbol", "IBM"},
		"no such file":          {"-orders", "does-not-exist.csv"},
		"stress with orders":    {"-stress", "5", "-orders", "x"},
		"stress of nothing":     {"-stress", "0"},
		"seed without stress":   {"-seed", "3"},
		"json and quiet":        {"-json", "-quiet"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if r := command(t, args...); r.code != usage || r.err == "" || r.out != "" {
				t.Errorf("exit %d, output %q, diagnostics %q: want 2 and why", r.code, r.out, r.err)
			}
		})
	}
}

func TestUnusableFileIsExit1(t *testing.T) {
	t.Parallel()
	r := command(t, "-orders", file(t, "orders.csv", "who,what\nann,AAPL\n"))
	if r.code != refused || !strings.Contains(r.err, "who") {
		t.Errorf("exit %d, diagnostics %q: want 1, and the unknown column", r.code, r.err)
	}
}

func TestHelpIsFine(t *testing.T) {
	t.Parallel()
	if r := command(t, "-h"); r.code != fine || !strings.Contains(r.err, "-orders") || !strings.Contains(r.err, "postgres://") || !strings.Contains(r.err, "redis://") {
		t.Errorf("exit %d: %s", r.code, r.err)
	}
}
