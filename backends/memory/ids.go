package memory

import (
	"bytes"
	"slices"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// ids finds events by their ids. Most ids are made in order of time (UUIDv7), and so is the log: those whose
// order agrees need no more than a list, and a new one is known to be new without looking.
type ids struct {
	ordered positions // of events, each with a greater id than the one before
	newest  uuid.UUID // of the last of these
	others  map[uuid.UUID]eventstore.Position
}

// find returns the position of an event, 0 for none.
func (x *ids) find(id uuid.UUID, l *log) eventstore.Position {
	if bytes.Compare(id[:], x.newest[:]) <= 0 {
		i, found := slices.BinarySearchFunc(x.ordered, id, func(p eventstore.Position, id uuid.UUID) int {
			return bytes.Compare(l.at(p).ID[:], id[:])
		})
		if found {
			return x.ordered[i]
		}
	}
	return x.others[id]
}

// add takes in an event that stands at a position.
func (x *ids) add(id uuid.UUID, p eventstore.Position) {
	if bytes.Compare(id[:], x.newest[:]) > 0 {
		x.newest, x.ordered = id, append(x.ordered, p)
		return
	}
	if x.others == nil {
		x.others = map[uuid.UUID]eventstore.Position{}
	}
	x.others[id] = p
}
