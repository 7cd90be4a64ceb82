package eventstore

import (
	"fmt"
	"math"
)

// Expected is what an append expects of its stream's version before the commit. The zero value is Any.
type Expected struct {
	kind    expectation
	version Version
}

type expectation uint8

const (
	expectAny expectation = iota
	expectNoStream
	expectStreamExists
	expectExact
)

// What an append may expect, besides Exact.
var (
	Any          = Expected{}                         // nothing
	NoStream     = Expected{kind: expectNoStream}     // a stream without events
	StreamExists = Expected{kind: expectStreamExists} // a stream with events
)

// Exact expects this very version; Exact(0) is NoStream.
func Exact(v Version) Expected { return Expected{expectExact, v} }

// Bounds are the least and the greatest version that satisfy the expectation.
func (x Expected) Bounds() (least, greatest Version) {
	switch x.kind {
	case expectNoStream:
		return 0, 0
	case expectStreamExists:
		return 1, math.MaxInt64
	case expectExact:
		return x.version, x.version
	default:
		return 0, math.MaxInt64
	}
}

// Allows reports whether a stream at version v satisfies the expectation.
func (x Expected) Allows(v Version) bool {
	least, greatest := x.Bounds()
	return least <= v && v <= greatest
}

// String says what is expected in the words of an error message.
func (x Expected) String() string {
	switch x.kind {
	case expectNoStream:
		return "no stream"
	case expectStreamExists:
		return "a stream"
	case expectExact:
		return fmt.Sprintf("version %d", x.version)
	default:
		return "anything"
	}
}

// Condition refuses a commit if an event matches Query at a position after After: the append condition of
// a Dynamic Consistency Boundary, https://dcb.events/specification/. A commit's own events never count.
type Condition struct {
	Query Query
	After Position // usually Through of the read that the decision rests on; 0 counts every event
}
