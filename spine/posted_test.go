package spine_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

type ring struct{ Bell string }

func (ring) CommandType() string { return "ring" }
func (r ring) StreamID() string  { return r.Bell }

func TestPostedReturnsWhatWasPosted(t *testing.T) {
	t.Parallel()
	id, other := uuid.New(), uuid.New()
	for name, p := range map[string]eventstore.Payload{
		"with an id": spine.Post(spine.WithID(id, ring{"1"})),
		"revoking":   spine.Post(spine.Revoking(other, id, ring{"1"})),
		"in a draft": eventstore.Draft{Payload: spine.Post(spine.WithID(id, ring{"1"})), ReplyTo: "x"},
	} {
		if c, got, ok := spine.Posted(p); !ok || got != id || c != spine.Command(ring{"1"}) {
			t.Errorf("%s: %v with id %s, %t", name, c, got, ok)
		}
	}
	if c, _, ok := spine.Posted(eventstore.In("x-1", spine.Accepted{})); ok {
		t.Errorf("an event was posted as %v", c)
	}
}
