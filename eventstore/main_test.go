package eventstore_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// opened is a store in memory that ends with the test.
func opened(t testing.TB, cfg eventstore.Config) *eventstore.Store {
	t.Helper()
	s := memory.Open(memory.Config{Store: cfg})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// raw is an event as it stands in a commit.
func raw(typ, data string, tags ...string) eventstore.Event {
	return eventstore.Event{ID: uuid.Must(uuid.NewV7()), Type: typ, Data: []byte(data), Tags: tags}
}

// wrote commits raw events to a stream.
func wrote(t testing.TB, s *eventstore.Store, stream eventstore.Stream, events ...eventstore.Event) {
	t.Helper()
	c := eventstore.Commit{Appends: []eventstore.Append{{Stream: stream, Events: events}}}
	if _, err := s.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// all reads what a query selects.
func all(t testing.TB, s *eventstore.Store, q eventstore.Query) (list []eventstore.Event) {
	t.Helper()
	for e, err := range s.Read(t.Context(), q, eventstore.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}

// Payloads of the tests.
type (
	deposited struct{ Amount int }
	withdrawn struct{ Amount int }
	enrolled  struct{ Course, Student string }
	measured  struct{ Value float64 }
)

func (deposited) EventType() string { return "deposited" }
func (withdrawn) EventType() string { return "withdrawn" }
func (enrolled) EventType() string  { return "enrolled" }
func (measured) EventType() string  { return "measured" }

func (e enrolled) EventTags() []string {
	return []string{"course:" + e.Course, "student:" + e.Student}
}
