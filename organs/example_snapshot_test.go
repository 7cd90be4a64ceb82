package organs_test

import (
	"context"
	"fmt"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// A meter is read so often that its stream is too long to be folded from its beginning.
type (
	Read    struct{ Meter string }
	WasRead struct{}
	Meter   struct{ Readings int }
)

// hidden is a state that JSON cannot keep.
type hidden struct{ readings int }

func (Read) CommandType() string  { return "read meter" }
func (c Read) StreamID() string   { return c.Meter }
func (WasRead) EventType() string { return "meter read" }

func ExampleSnapshot() {
	meters := organs.Aggregate[Meter]{
		Category: "meter",
		Evolve: organs.Evolve[Meter]{
			organs.On(func(m *Meter, _ WasRead) { m.Readings++ }),
		},
		Decide: organs.Decide[Meter]{
			organs.Handle(func(Meter, Read) (organs.Events, error) { return organs.Events{WasRead{}}, nil }),
		},
		// Raise Version with every change of Meter, or of what Evolve makes of the events.
		Snapshot: organs.Snapshot{Every: 100, Version: 1},
	}
	ctx, backend := context.Background(), memory.Open(memory.Config{})
	sp, err := spine.New(backend, spine.Config{}, meters)
	if err != nil {
		panic(err)
	}
	for range 250 {
		if _, err := sp.Send(ctx, Read{Meter: "1"}); err != nil {
			panic(err)
		}
	}
	meter, version, err := meters.Load(ctx, backend, "1") // reads the last 51 events
	fmt.Printf("%+v at version %d, %v\n", meter, version, err)

	secret := organs.Aggregate[hidden]{
		Category: "meter",
		Evolve:   organs.Evolve[hidden]{organs.On(func(h *hidden, _ WasRead) { h.readings++ })},
		Snapshot: organs.Snapshot{Every: 100},
	}
	_, err = secret.Attach(backend)
	fmt.Println(err)
	// Output:
	// {Readings:250} at version 250, <nil>
	// snapshot: organs_test.hidden.readings is unexported, so JSON loses it
}
