package sagas_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/necrostack/necrostack/internal/goldentest"
	"github.com/necrostack/necrostack/sagas"
)

// at is a moment of a timeline.
func at(d time.Duration) time.Time { return time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC).Add(d) }

// told is a timeline of moves, each with when it happened.
func told(saga string, state sagas.State, reason string, entries ...sagas.Entry) sagas.Timeline {
	return sagas.Timeline{Saga: saga, Instance: "t1", Version: 2, State: state, Reason: reason, Entries: entries}
}

func entry(d time.Duration, m sagas.Move) sagas.Entry { return sagas.Entry{Time: at(d), Move: m} }

// timelines are what can be told of instances.
func timelines() map[string]sagas.Timeline {
	ms, id := time.Millisecond, uuid.New()
	sent := func(step string, cycle, attempt int) sagas.Move {
		return sagas.Move{What: sagas.Sent, Step: step, Cycle: cycle, Attempt: attempt, ID: id, Until: at(time.Minute)}
	}
	undo := func(m sagas.Move) sagas.Move { m.Undo = true; return m }
	done := func(step string) sagas.Move {
		return sagas.Move{What: sagas.Succeeded, Step: step, Cycle: 1, Attempt: 1}
	}
	const no = "no room in \"Lisbon\";\n <none> #1 at 100%"
	return map[string]sagas.Timeline{
		"empty": told("trip", sagas.Running, ""),
		"completed": told("trip", sagas.Completed, "",
			entry(0, sent("flight", 1, 1)), entry(0, sent("hotel", 1, 1)),
			entry(12*ms, done("flight")), entry(15*ms, done("hotel")), entry(15*ms, sent("charge", 1, 1)),
			entry(30*ms, done("charge")), entry(30*ms, sagas.Move{What: sagas.Turned, To: sagas.ForwardOnly}),
			entry(30*ms, sagas.Move{What: sagas.Turned, To: sagas.Completed})),
		"compensated": told("trip", sagas.Compensated, "hotel: "+no,
			entry(0, sent("flight", 1, 1)), entry(0, sent("hotel", 1, 1)), entry(12*ms, done("flight")),
			entry(15*ms, sagas.Move{What: sagas.Refused, Step: "hotel", Cycle: 1, Attempt: 1, Why: no}),
			entry(15*ms, sagas.Move{What: sagas.Turned, To: sagas.Compensating, Why: "hotel: " + no}),
			entry(15*ms, undo(sent("flight", 1, 1))),
			entry(1015*ms, undo(sagas.Move{
				What: sagas.Waiting, Step: "flight", Cycle: 1, Attempt: 1, Until: at(3 * time.Second), Why: "connection refused",
			})),
			entry(3*time.Second, undo(sent("flight", 1, 2))), entry(3100*ms, undo(done("flight"))),
			entry(3100*ms, sagas.Move{What: sagas.Turned, To: sagas.Compensated})),
		"undo-stuck": told("trip", sagas.Cancelled, "the traveller is ill",
			entry(0, sent("flight", 1, 1)), entry(8*ms, sagas.Move{What: sagas.Unknown, Step: "flight", Cycle: 1, Attempt: 3, Why: "no outcome within 1m0s"}),
			entry(8*ms, sagas.Move{What: sagas.Turned, To: sagas.Compensating, By: "ann", Why: "the traveller is ill"}),
			entry(9*ms, undo(sent("flight", 1, 10))),
			entry(12*ms, undo(sagas.Move{What: sagas.Stuck, Step: "flight", Cycle: 1, Attempt: 10, Why: "503"})),
			entry(12*ms, sagas.Move{What: sagas.Turned, To: sagas.UndoStuck, Why: "flight: 503"}),
			entry(49*time.Hour, undo(sagas.Move{What: sagas.Retried, Step: "flight", By: "bob", Why: "the airline is back"})),
			entry(49*time.Hour, sagas.Move{What: sagas.Turned, To: sagas.Compensating, By: "bob", Why: "the airline is back"}),
			entry(49*time.Hour, undo(sent("flight", 2, 1))),
			entry(49*time.Hour+ms, undo(sagas.Move{What: sagas.Skipped, Step: "flight", By: "bob", Why: "by telephone"})),
			entry(49*time.Hour+ms, sagas.Move{What: sagas.Turned, To: sagas.Cancelled})),
		"savepoint": told("trip", sagas.Running, "",
			entry(0, sent("flight", 1, 1)), entry(0, sagas.Move{What: sagas.Turned, To: sagas.Compensating, Back: 1, Why: "flight: full"}),
			entry(ms, sagas.Move{What: sagas.Turned, To: sagas.Running, Back: 1}),
			entry(ms, sagas.Move{What: sagas.Waiting, Step: "flight", Anew: true, Until: at(time.Second)}),
			entry(time.Second, sent("flight", 2, 1))),
		"process": told("review", sagas.Completed, "",
			entry(0, sagas.Move{What: sagas.Took, Step: "traveller told", ID: id}),
			entry(0, sagas.Move{What: sagas.Set, Step: "ask", Until: at(7 * 24 * time.Hour)}),
			entry(7*24*time.Hour, sagas.Move{What: sagas.Fired, Step: "ask"}),
			entry(7*24*time.Hour, sagas.Move{What: sagas.Sent, Step: "request review", ID: id}),
			entry(7*24*time.Hour, sagas.Move{What: sagas.Turned, To: sagas.Completed})),
	}
}

func TestTimelineIsToldInTwoLanes(t *testing.T) {
	t.Parallel()
	for name, timeline := range timelines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			goldentest.Check(t, "timeline-"+name+".txt", timeline.String())
		})
	}
}

func TestTimelineIsDrawn(t *testing.T) {
	t.Parallel()
	for name, timeline := range timelines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			goldentest.Check(t, "timeline-"+name+".mmd", timeline.Mermaid())
		})
	}
}

func TestSagaIsDrawn(t *testing.T) {
	t.Parallel()
	do := sagas.Command(func(t trip) bookFlight { return bookFlight{t.ID} })
	undo := sagas.Command(func(t trip) cancelFlight { return cancelFlight{t.ID} })
	for name, s := range map[string]sagas.Saga[trip]{
		"trip": world{}.saga(),
		"savepoints": {
			Start: sagas.StartOn(func(flightBooked) (string, trip) { return "", trip{} }),
			Steps: sagas.Sequence[trip]{
				sagas.Step[trip]{ID: "a.1", Do: do, Undo: undo},
				sagas.Savepoint[trip]{Retry: sagas.Retry{Attempts: 3}},
				sagas.Step[trip]{ID: "b-2", Do: do},
				sagas.Savepoint[trip]{Retry: sagas.Retry{Attempts: 1}},
				sagas.Parallel[trip]{{ID: "c", Do: do, Undo: undo}, {ID: "end", Do: sagas.Nested(func(t trip) bookTrip { return bookTrip{t.ID} })}},
			},
		},
		"forward-only": {Steps: sagas.Sequence[trip]{nil, sagas.Pivot[trip]{ID: "p", Do: do}, sagas.Step[trip]{ID: "q", Do: do}}},
		"faulty":       {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			goldentest.Check(t, "saga-"+name+".mmd", s.Mermaid())
		})
	}
}

// What instances remember and what operators write comes from outside, and a line break in it must not become a line.
func TestNoTextBreaksALine(t *testing.T) {
	t.Parallel()
	for name, timeline := range timelines() {
		text := "a\nb"
		if err := json.Unmarshal([]byte(`"x\r\n\u2028y"`), &text); err != nil {
			t.Fatal(err)
		}
		plain, drawn := strings.Count(timeline.String(), "\n"), strings.Count(timeline.Mermaid(), "\n")
		timeline.Reason += text
		for i := range timeline.Entries {
			timeline.Entries[i].Why += text
		}
		if n := strings.Count(timeline.String(), "\n"); n != plain {
			t.Errorf("%s: %d lines, want %d", name, n, plain)
		}
		if n := strings.Count(timeline.Mermaid(), "\n"); n != drawn {
			t.Errorf("%s: %d lines in the diagram, want %d", name, n, drawn)
		}
	}
}
