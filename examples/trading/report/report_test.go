package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/necrostack/necrostack/examples/trading/input"
	"github.com/necrostack/necrostack/examples/trading/market"
	"github.com/necrostack/necrostack/examples/trading/report"
	"github.com/necrostack/necrostack/internal/goldentest"
)

// summarise plays orders through the market without a framework.
func summarise(orders []market.OrderSubmitted) report.Summary {
	s := report.Summary{Books: map[string]report.Book{}}
	books, traders := map[string]*market.Book{}, map[string]*market.Exposure{}
	blocked := market.Block(input.BlockedTraders()...)
	settle := func(p market.Payload) {
		s.Count(p)
		trade, ok := p.(market.TradeExecuted)
		if !ok {
			return
		}
		switch e := blocked.Settle(trade).(type) {
		case market.SettlementFailed:
			s.Park(report.Parked{Organ: "settlement", Event: e.EventType(), Subject: e.TradeID, Reason: e.Reason})
		case market.SettlementComplete:
			s.Count(e)
			if traders[e.TraderID] == nil {
				traders[e.TraderID] = &market.Exposure{}
			}
			for _, alert := range traders[e.TraderID].Assess(e, market.DefaultLimits()) {
				s.Count(alert)
			}
			traders[e.TraderID].Settled(e)
		}
	}
	for _, o := range orders {
		s.Counts.Processed++
		checked := market.Check(o)
		s.Count(checked)
		v, ok := checked.(market.OrderValidated)
		if !ok {
			continue
		}
		if books[o.Symbol] == nil {
			books[o.Symbol] = &market.Book{}
		}
		for _, p := range books[o.Symbol].Decide(v) {
			books[o.Symbol].Apply(p)
			settle(p)
		}
	}
	for symbol, b := range books {
		s.Books[symbol] = report.BookOf(b)
	}
	return s
}

func TestTheDayAsText(t *testing.T) {
	t.Parallel()
	s := summarise(input.Day())
	s.Refused = []string{`line 7: quantity "ten" is not a decimal number`}
	s.Added, s.Elapsed = s.Counts.Processed, 5*time.Millisecond
	var b bytes.Buffer
	if err := report.Text(&b, s); err != nil {
		t.Fatal(err)
	}
	goldentest.Check(t, "day.txt", b.String())
}

func TestTheDayAsJSON(t *testing.T) {
	t.Parallel()
	var b, indented bytes.Buffer
	if err := report.JSON(&b, summarise(input.Day())); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(b.String(), "\n"); lines != 1 {
		t.Errorf("%d lines, want one", lines)
	}
	if err := json.Indent(&indented, b.Bytes(), "", "  "); err != nil {
		t.Fatal(err)
	}
	goldentest.Check(t, "day.json", indented.String())
}

func TestAReplayTellsItsExecutions(t *testing.T) {
	t.Parallel()
	s := report.Summary{Executions: &report.Executions{Matched: 59, Unmatched: 14}}
	for n := range 14 {
		s.Executions.Lines = append(s.Executions.Lines, 440+n)
	}
	var text, object bytes.Buffer
	if err := errors.Join(report.Totals(&text, s), report.JSON(&object, s)); err != nil {
		t.Fatal(err)
	}
	want := "executions: 59 matched, 14 unmatched (lines 440, 441, 442, 443, 444, 445, 446, 447, 448, 449, 450, 451, and 2 more)"
	if !strings.Contains(text.String(), want) {
		t.Errorf("got %s", text.String())
	}
	if want := `"books":{},"executions":{"matched":59,"unmatched":14}}`; !strings.HasSuffix(strings.TrimSpace(object.String()), want) {
		t.Errorf("got %s", object.String())
	}
}

func TestJSONHasExactlyThePromisedKeys(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := report.JSON(&b, report.Summary{Books: map[string]report.Book{"AAPL": {}}}); err != nil {
		t.Fatal(err)
	}
	want := `{"processed":0,"emitted":0,"validated":0,"rejected":0,"filled":0,"partial":0,"queued":0,"cancelled":0,"trades":0,` +
		`"settlements":0,"alerts":0,"parked":0,"books":{"AAPL":{"bids":[],"asks":[]}}}` + "\n"
	if b.String() != want {
		t.Errorf("got %s, want %s", b.String(), want)
	}
}

func TestLongListsShowTheLatestAndCountTheRest(t *testing.T) {
	t.Parallel()
	s := summarise(input.Stress(3_000, 1))
	if len(s.Trades) != report.Listed || s.Counts.Trades < 1_000 {
		t.Fatalf("%d trades kept of %d", len(s.Trades), s.Counts.Trades)
	}
	var b bytes.Buffer
	if err := report.Text(&b, s); err != nil {
		t.Fatal(err)
	}
	last := s.Trades[report.Listed-1].TradeID
	for _, want := range []string{" earlier\n", last, " more levels\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if lines := strings.Count(b.String(), "\n"); lines > 300 {
		t.Errorf("%d lines are no report", lines)
	}
}

func TestTextFromOutsideCannotSteerTheTerminal(t *testing.T) {
	t.Parallel()
	evil := "\x1b[2J\r\n\u202e" + strings.Repeat("long", 1_000)
	var s report.Summary
	s.Count(market.OrderRejected{OrderID: evil, TraderID: evil, Reasons: []string{evil}})
	s.Count(market.TradeExecuted{OrderID: evil, CounterOrderID: evil, Price: decimal.New(1, 0), Quantity: 1})
	s.Count(market.RiskAlert{TraderID: evil})
	s.Park(report.Parked{Organ: evil, Event: evil, Subject: evil, Reason: evil})
	s.Refused = []string{evil}
	s.Books = map[string]report.Book{evil: {}}
	var b bytes.Buffer
	if err := report.Text(&b, s); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(b.String(), "\x1b\r\u202e") {
		t.Errorf("got %q", b.String())
	}
	for line := range strings.Lines(b.String()) {
		if len(line) > 2_000 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
}

func TestAnEmptyRunIsReported(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := report.Text(&b, report.Summary{}); err != nil || !strings.HasPrefix(b.String(), "Totals\n") {
		t.Errorf("got %v, %q", err, b.String())
	}
}

func TestAFailingWriterIsReported(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	for name, write := range map[string]func() error{
		"text":   func() error { return report.Text(broken{full}, report.Summary{}) },
		"totals": func() error { return report.Totals(broken{full}, report.Summary{}) },
		"json":   func() error { return report.JSON(broken{full}, report.Summary{}) },
	} {
		if err := write(); !errors.Is(err, full) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

type broken struct{ err error }

func (b broken) Write([]byte) (int, error) { return 0, b.err }

func ExampleText() {
	s := report.Summary{Books: map[string]report.Book{"AAPL": {
		Asks: []market.Level{{Price: decimal.New(15050, -2), Quantity: 300}, {Price: decimal.New(151, 0), Quantity: 1_500}},
		Bids: []market.Level{{Price: decimal.New(150, 0), Quantity: 1_000}},
	}}}
	s.Counts.Processed, s.Added, s.Elapsed = 2_500_000, 2_500_000, 5*time.Second
	if err := report.Text(os.Stdout, s); err != nil {
		fmt.Println(err)
	}
	// Output:
	// AAPL  spread 0.50
	//   ask       151.00     1,500  ██████████████████████████████
	//   ask       150.50       300  ██████
	//   bid       150.00     1,000  ████████████████████
	//
	// Totals
	//   processed    2,500,000  emitted              0  parked               0
	//   validated            0  rejected             0  cancelled            0
	//   queued               0  partial              0  filled               0
	//   trades               0  settlements          0  alerts               0
	//   500,000 events/s
}

func TestBooksComeInTheOrderOfTheSymbols(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	s := report.Summary{Books: map[string]report.Book{"META": {}, "MSFT": {}, "AAPL": {}, "GOOGL": {}}}
	if err := report.Text(&b, s); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(b.String()) {
		if symbol, _, ok := strings.Cut(line, "  nothing rests"); ok {
			got = append(got, symbol)
		}
	}
	if want := []string{"AAPL", "GOOGL", "MSFT", "META"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
