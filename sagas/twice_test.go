package sagas_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

type rang struct{ Bell string }

func (rang) EventType() string { return "rang" }

// Whoever sets a process's consumer back has everything delivered again.
func TestAnEventThatComesTwiceIsTakenUpOnce(t *testing.T) {
	t.Parallel()
	p := sagas.Process[int]{
		Name:   "bell",
		Key:    func(eventstore.Event) ([]string, error) { return []string{"1"}, nil },
		Evolve: sagas.Evolve[int]{sagas.On(func(n *int, _ rang) { *n++ })},
		React: sagas.Reactions[int]{sagas.Start(func(int, rang) sagas.Actions {
			return sagas.Actions{sagas.Send(issueTickets{"1"})}
		})},
		Sends: []spine.Command{issueTickets{}},
	}
	trial, err := p.Try()
	if err != nil {
		t.Fatal(err)
	}
	first, second := uuid.New(), uuid.New()
	for n, id := range []uuid.UUID{first, first, second, first, second} {
		got, err := trial.Take(eventstore.Draft{Payload: rang{"1"}, ID: id})
		want := 0
		if n == 0 || n == 2 {
			want = 1
		}
		if err != nil || len(got.Commands) != want {
			t.Errorf("event %d sends %d commands, want %d, and %v", n+1, len(got.Commands), want, err)
		}
	}
	if n, err := trial.Remembers(); n != 2 || err != nil {
		t.Errorf("it has counted %d events and %v, want 2", n, err)
	}
}
