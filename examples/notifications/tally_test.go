package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/notifications/notification"
	"github.com/necrostack/necrostack/examples/notifications/report"
)

func TestASummaryIsAboutTheInputAlone(t *testing.T) {
	t.Parallel()
	store := emptyStore(t)
	do(t, store, sample())
	j := sample()
	j.rows = j.rows[3:4]
	if c := do(t, store, j).Counts(); c != (report.Counters{
		Processed: 7, Emitted: 6, Requested: 1, Delivered: 1, Completed: 1,
	}) {
		t.Errorf("got %+v", c)
	}
}

func TestEveryRequestHasAStreamAndItsAuditAnother(t *testing.T) {
	t.Parallel()
	store := emptyStore(t)
	j := sample()
	do(t, store, j)
	got := map[eventstore.Stream][]string{}
	for _, e := range logOf(t, store) {
		got[e.Stream] = append(got[e.Stream], e.Type)
	}
	if len(got) != 2*len(j.rows) {
		t.Errorf("%d streams for %d requests", len(got), len(j.rows))
	}
	id := j.rows[3].Request.RequestID
	want := map[eventstore.Stream][]string{
		eventstore.StreamOf("notification", id): {
			"NOTIFICATION_REQUESTED", "NOTIFICATION_VALIDATED", "PUSH_SEND_REQUESTED", "PUSH_DELIVERED",
		},
		eventstore.StreamOf("delivery", id): {"DELIVERY_OPENED", "DELIVERY_CONFIRMED", "DELIVERY_COMPLETED"},
	}
	for stream, types := range want {
		if diff := cmp.Diff(types, got[stream]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", stream, diff)
		}
	}
}

func TestWhatCannotGoOutFailsInTheLogAndNowhereElse(t *testing.T) {
	t.Parallel()
	store := emptyStore(t)
	j := sample()
	j.rows = j.rows[:2]
	j.rows[0].Request.UserID = "zoe"
	j.rows[1].Request.Channels = []notification.Channel{notification.Email, "fax"}
	do(t, store, j)
	got := map[eventstore.Stream][]string{}
	for _, e := range logOf(t, store) {
		got[e.Stream] = append(got[e.Stream], e.Type)
	}
	want := map[eventstore.Stream][]string{}
	for _, r := range j.rows {
		want[eventstore.StreamOf("notification", r.ID.String())] = []string{"NOTIFICATION_REQUESTED", "NOTIFICATION_FAILED"}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestThePriorityIsCarriedToTheDelivery(t *testing.T) {
	t.Parallel()
	store := emptyStore(t)
	j := sample()
	do(t, store, j)
	carried := 0
	for _, e := range logOf(t, store) {
		if e.Stream != eventstore.StreamOf("notification", j.rows[0].Request.RequestID) {
			continue
		}
		carried++
		if !strings.Contains(string(e.Data), `"priority":"high"`) {
			t.Errorf("%s says %s", e.Type, e.Data)
		}
	}
	if carried != 8 {
		t.Errorf("%d events, want 8", carried)
	}
}
