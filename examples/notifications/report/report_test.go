package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/necrostack/necrostack/examples/notifications/notification"
	"github.com/necrostack/necrostack/examples/notifications/report"
	"github.com/necrostack/necrostack/internal/goldentest"
)

// summary is of three requests: one that is done, one with a parked e-mail, one that failed.
func summary() report.Summary {
	to := func(channels ...notification.Channel) notification.Validated {
		var v notification.Validated
		for _, c := range channels {
			v.Recipients = append(v.Recipients, notification.Recipient{Channel: c, Address: "a"})
		}
		return v
	}
	done := &report.Request{Place: "line 2", User: "ann"}
	done.Asked(notification.Requested{})
	done.Validated(to(notification.Push, notification.SMS, notification.Email))
	done.Pushed(notification.PushDelivered{Receipt: notification.Receipt{To: "device-1"}}) // faster than the others
	done.Texted(notification.SMSDelivered{Receipt: notification.Receipt{To: "+12025550101"}})
	done.Emailed(notification.EmailDelivered{Receipt: notification.Receipt{To: "ann@example.com"}})
	done.Done(notification.DeliveryCompleted{})

	open := &report.Request{Place: "line 3", User: "bob"}
	open.Asked(notification.Requested{})
	open.Validated(to(notification.Email, notification.Push, notification.SMS))
	open.Texted(notification.SMSDelivered{Receipt: notification.Receipt{To: "+12025550102"}})
	open.Parked = []report.Parked{{Organ: "email", Event: "EMAIL_SEND_REQUESTED", Reason: "server is busy"}}

	failed := &report.Request{Place: "line 10", User: "zoe"}
	failed.Asked(notification.Requested{})
	failed.Refused(notification.Failed{Reasons: []string{`user_id "zoe" is unknown`, "message is empty"}})

	return report.Summary{
		Source: "requests.csv", Requests: []*report.Request{done, open, failed},
		Rejected: []string{"requests.csv: line 4: the row is odd"}, Processed: 1_234_567, Emitted: 30,
	}
}

func TestTheReportAsText(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := report.Text(&b, summary()); err != nil {
		t.Fatal(err)
	}
	goldentest.Check(t, "report.txt", b.String())
}

func TestJSONHasThePromisedKeysInTheirOrder(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := report.JSON(&b, summary()); err != nil {
		t.Fatal(err)
	}
	want := `{"processed":1234567,"emitted":30,"requested":3,"delivered":4,"failed":1,"parked":1,"completed":1,"rejected":1}` + "\n"
	if b.String() != want || !json.Valid(b.Bytes()) {
		t.Errorf("got %s, want %s", b.String(), want)
	}
}

func TestWhatIsNotInTheLogCountsAsNothing(t *testing.T) {
	t.Parallel()
	s := report.Summary{Requests: []*report.Request{{Place: "line 2", User: "ann"}}}
	if c := s.Counts(); c != (report.Counters{}) {
		t.Errorf("got %+v", c)
	}
	var b bytes.Buffer
	if err := report.Text(&b, s); err != nil || !strings.HasPrefix(b.String(), "Totals\n") {
		t.Errorf("got %v, %q", err, b.String())
	}
}

func TestProblemsAreWhatTheInputHasToAnswerFor(t *testing.T) {
	t.Parallel()
	want := []string{
		"rejected: requests.csv: line 4: the row is odd",
		`failed: requests.csv: line 10: user_id "zoe" is unknown; message is empty`,
	}
	if diff := cmp.Diff(want, summary().Problems()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTextFromOutsideCannotSteerTheTerminal(t *testing.T) {
	t.Parallel()
	told := func(s report.Summary) string {
		var b bytes.Buffer
		if err := report.Text(&b, s); err != nil {
			t.Fatal(err)
		}
		return b.String() + strings.Join(s.Problems(), "\n")
	}
	evil := "\x1b[2J\r\n\t\u202e" + strings.Repeat("long", 1_000)
	s := summary()
	s.Source, s.Rejected = evil, []string{evil}
	for _, r := range s.Requests {
		r.User = evil
		for i := range r.Failed {
			r.Failed[i] = evil
		}
		for i := range r.Delivered {
			r.Delivered[i].To = evil
		}
		for i := range r.Parked {
			r.Parked[i] = report.Parked{Organ: evil, Event: evil, Reason: evil}
		}
	}
	all := told(s)
	if strings.ContainsAny(all, "\x1b\r\t\u202e") || strings.Count(all, "\n") != strings.Count(told(summary()), "\n") {
		t.Errorf("got %q", all)
	}
	for line := range strings.Lines(all) {
		if len(line) > 8_000 {
			t.Errorf("a line of %d bytes", len(line))
		}
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
