package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/notifications/gateway"
	"github.com/necrostack/necrostack/examples/notifications/input"
	"github.com/necrostack/necrostack/examples/notifications/notification"
	"github.com/necrostack/necrostack/examples/notifications/report"
)

// sample is the job of a run without flags.
func sample() job {
	return job{source: "sample", rows: input.Sample(), contacts: input.Contacts(), outside: inMemory(), logger: slog.New(slog.DiscardHandler), diagnostics: io.Discard}
}

func emptyStore(t *testing.T) *eventstore.Store {
	t.Helper()
	store := memory.Open(memory.Config{})
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func do(t *testing.T, store *eventstore.Store, j job) report.Summary {
	t.Helper()
	sum, err := notify(t.Context(), store, j)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func logOf(t *testing.T, store *eventstore.Store) (all []eventstore.Event) {
	t.Helper()
	for e, err := range store.Read(t.Context(), eventstore.All(), eventstore.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func parkedIn(t *testing.T, store *eventstore.Store) (all []eventstore.Parked) {
	t.Helper()
	for p, err := range store.Parked(t.Context(), eventstore.ParkedFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func TestABusyMailServerIsTriedAgainAndDeliversOnce(t *testing.T) {
	t.Parallel()
	j, mailer := sample(), &gateway.Mailer{}
	j.outside.email = mailer
	var log bytes.Buffer
	j.logger = slog.New(slog.NewTextHandler(&log, nil)) // warnings tell of failed attempts
	sum := do(t, emptyStore(t), j)
	if failures := strings.Count(log.String(), gateway.ErrBusy.Error()); failures != 3 {
		t.Errorf("%d attempts failed, want the first of each of 3 e-mails", failures)
	}
	var to []string
	for _, m := range mailer.Sent() {
		to = append(to, m.To)
	}
	slices.Sort(to)
	if diff := cmp.Diff([]string{"ada@example.com", "ben@example.com", "cleo@example.com"}, to); diff != "" {
		t.Errorf("e-mails (-want +got):\n%s", diff)
	}
	if c := sum.Counts(); c.Delivered != 8 || c.Parked != 1 || c.Completed != 4 {
		t.Errorf("got %+v", c)
	}
}

func TestABlockedNumberIsParkedAtOnce(t *testing.T) {
	t.Parallel()
	store := emptyStore(t)
	do(t, store, sample())
	parked := parkedIn(t, store)
	if len(parked) != 1 {
		t.Fatalf("parked: %+v", parked)
	}
	p := parked[0]
	if p.Consumer != "sms" || p.Attempts != 1 || len(p.Failures) != 1 || !strings.Contains(p.Failures[0].Error, "blocklist") {
		t.Errorf("got %+v", p)
	}
}

func TestATextThatIsTooLongIsParkedByItsSenderAtOnce(t *testing.T) {
	t.Parallel()
	store := emptyStore(t)
	j := sample()
	j.rows = nil
	long := notification.Message{RequestID: "r1", UserID: "ann", To: "+1", Text: strings.Repeat("x", 257)}
	if _, err := store.Emit(t.Context(),
		eventstore.In("notification-1", notification.SMSSendRequested{Message: long}),
		eventstore.In("notification-1", notification.PushSendRequested{Message: long})); err != nil {
		t.Fatal(err)
	}
	do(t, store, j)
	parked := parkedIn(t, store)
	if len(parked) != 2 || parked[0].Attempts != 1 || parked[1].Attempts != 1 {
		t.Errorf("got %+v", parked)
	}
}

func TestAGatewayThatStaysBusyGetsItsMessagesParkedAndHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	j, busy := sample(), &counting{}
	j.outside.email = busy
	store := emptyStore(t)
	sum := do(t, store, j)
	if c := sum.Counts(); c.Delivered != 5 || c.Parked != 4 || c.Completed != 2 || c.Failed != 0 {
		t.Errorf("got %+v", c)
	}
	if want := int64(3 * sending.Retry.Attempts); busy.asked.Load() != want {
		t.Errorf("asked %d times, want %d", busy.asked.Load(), want)
	}
	var b bytes.Buffer
	if err := report.Text(&b, sum); err != nil {
		t.Fatal(err)
	}
	want := "request 1  user_001  EMAIL_SEND_REQUESTED  by email  email to ada@example.com: server is busy, try again\n"
	if !strings.Contains(b.String(), want) {
		t.Errorf("no %q in\n%s", want, b.String())
	}
}

func TestOnceMoreOnTheSameStoreNothingGoesOutAgain(t *testing.T) {
	t.Parallel()
	store := emptyStore(t)
	j := sample()
	first := do(t, store, j)
	before := logOf(t, store)
	j = sample() // with gateways that have forgotten everything
	mailer, pushed := &gateway.Mailer{}, &gateway.Push{}
	j.outside.email, j.outside.push = mailer, pushed
	again := do(t, store, j)
	if again.Known != len(j.rows) {
		t.Errorf("%d requests were known, want %d", again.Known, len(j.rows))
	}
	again.Known = 0
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("summary (-first +again):\n%s", diff)
	}
	if after := logOf(t, store); len(after) != len(before) {
		t.Errorf("%d events after %d", len(after), len(before))
	}
	if len(mailer.Sent())+len(pushed.Sent()) > 0 {
		t.Errorf("sent again: %v %v", mailer.Sent(), pushed.Sent())
	}
}

func TestARunThatIsInterruptedSaysSo(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	j := sample()
	j.rejected = []string{"row"}
	j.outside.push = interrupting{cancel}
	sum, err := notify(ctx, emptyStore(t), j)
	if !errors.Is(err, context.Canceled) || len(sum.Problems()) != 1 {
		t.Errorf("got %v, with the problems %q", err, sum.Problems())
	}
}

// counting is a Gateway that is always busy, and counts how often it is asked.
type counting struct{ asked atomic.Int64 }

func (c *counting) Send(context.Context, uuid.UUID, notification.Message) error {
	c.asked.Add(1)
	return gateway.ErrBusy
}

// interrupting is a Gateway that ends the run.
type interrupting struct{ cancel context.CancelFunc }

func (i interrupting) Send(ctx context.Context, _ uuid.UUID, _ notification.Message) error {
	i.cancel()
	return ctx.Err()
}
