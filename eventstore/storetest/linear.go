package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/necrostack/necrostack/eventstore"
)

func linearizable() promise {
	return promise{
		name: "Linearizability",
		says: "concurrent commits and reads come to what they would come to one after the other",
		checks: []check{
			{name: "appends to streams with expected versions are linearizable", heavy: true, run: linearStreams},
			{name: "commits with conditions and reads with Through are linearizable", heavy: true, run: linearConditions},
		},
	}
}

// history records what clients asked for, what they were told, and when.
type history struct {
	mu    sync.Mutex
	began time.Time
	ops   []porcupine.Operation
}

// record runs one operation. An output of nil says that it is not to be recorded.
func (h *history) record(client int, input any, run func() any) {
	call := time.Since(h.began).Nanoseconds()
	output := run()
	ended := time.Since(h.began).Nanoseconds()
	if output == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: input, Call: call, Output: output, Return: ended})
}

// check reports a history that no order of its operations explains.
func (h *history) check(t *trial, model porcupine.Model, show func(porcupine.Operation) string) {
	result, info := porcupine.CheckOperationsVerbose(model, h.ops, 20*time.Second)
	switch result {
	case porcupine.Ok:
	case porcupine.Unknown:
		t.Logf("the history of %d operations is too long to be decided", len(h.ops))
	default:
		t.broken("no order of these operations explains what they were told:\n%s", h.unexplained(info, show))
	}
}

// unexplained shows where the longest order that explains something ends, and what it cannot explain.
func (h *history) unexplained(info porcupine.LinearizationInfo, show func(porcupine.Operation) string) string {
	explained := map[string]bool{}
	var lines []string
	for _, partition := range info.PartialLinearizationsOperations() {
		if len(partition) == 0 {
			continue
		}
		longest := slices.MaxFunc(partition, func(a, b []porcupine.Operation) int { return cmp.Compare(len(a), len(b)) })
		for i, op := range longest {
			if explained[show(op)] = true; i >= len(longest)-5 {
				lines = append(lines, "\t  "+show(op))
			}
		}
	}
	slices.SortFunc(h.ops, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	for _, op := range h.ops {
		if !explained[show(op)] && len(lines) < 25 {
			lines = append(lines, "\t? "+show(op))
		}
	}
	return strings.Join(lines, "\n")
}

// clients runs sequences of random operations over several connections.
func (t *trial) clients(n, operations int, operate func(client int, s *eventstore.Store, rnd *rand.Rand)) {
	stores := t.pair()
	seed := uint64(time.Now().UnixNano())
	together(n, func(client int) {
		rnd := rand.New(rand.NewPCG(seed, uint64(client)))
		for range operations {
			operate(client, stores[client%2], rnd)
		}
	})
}

// streamAsk is an append to a stream, or a look at its version.
type streamAsk struct {
	stream eventstore.Stream
	expect eventstore.Expected
	events int // 0: only look
}

// streamTold is the version that an append came to, or that it conflicted with.
type streamTold struct {
	version  eventstore.Version
	conflict bool
}

func linearStreams(t *trial) {
	h := &history{began: time.Now()}
	t.clients(6, 30, func(client int, s *eventstore.Store, rnd *rand.Rand) {
		ask := streamAsk{stream: eventstore.StreamOf("linear", fmt.Sprint(rnd.IntN(3)))}
		var seen eventstore.Version
		h.record(client, ask, func() any {
			for e, err := range s.Read(t.ctx, eventstore.InStream(ask.stream), eventstore.Range{Backward: true, Limit: 1}) {
				if err != nil {
					t.Errorf("could not try whether %s: %v", t.says, err)
					return nil
				}
				seen = e.Version
			}
			return streamTold{version: seen}
		})
		ask.events = 1 + rnd.IntN(2)
		ask.expect = []eventstore.Expected{
			eventstore.Exact(seen), eventstore.Exact(seen), eventstore.Exact(seen + 1), eventstore.Any, eventstore.NoStream, eventstore.StreamExists,
		}[rnd.IntN(6)]
		h.record(client, ask, func() any {
			r, err := s.Commit(t.ctx, appends(expecting(ask.expect, ask.stream, eventsOf(ask.events, "appended")...)))
			conflict, ok := errors.AsType[*eventstore.ConflictError](err)
			switch {
			case err == nil:
				return streamTold{version: r.Version()}
			case ok:
				return streamTold{version: conflict.Actual, conflict: true}
			}
			t.broken("a commit failed with %q; it must succeed, or be told of a conflict", err)
			return nil
		})
	})
	h.check(t, streamModel(), func(op porcupine.Operation) string {
		ask, told := op.Input.(streamAsk), op.Output.(streamTold)
		return fmt.Sprintf("client %d (%d…%d ns): %d events to %s expecting %s: version %d, conflict %t",
			op.ClientId, op.Call, op.Return, ask.events, ask.stream, ask.expect, told.version, told.conflict)
	})
}

// streamModel is a version, for each stream by itself.
func streamModel() porcupine.Model {
	return porcupine.Model{
		Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
			by := map[eventstore.Stream][]porcupine.Operation{}
			for _, op := range ops {
				s := op.Input.(streamAsk).stream
				by[s] = append(by[s], op)
			}
			return slices.Collect(maps.Values(by))
		},
		Init: func() any { return eventstore.Version(0) },
		Step: func(state, input, output any) (bool, any) {
			at, ask, told := state.(eventstore.Version), input.(streamAsk), output.(streamTold)
			switch {
			case ask.events == 0:
				return told.version == at, at
			case told.conflict:
				return !ask.expect.Allows(at) && told.version == at, at
			default:
				next := at + eventstore.Version(ask.events)
				return ask.expect.Allows(at) && told.version == next, next
			}
		},
	}
}

// seats are the things that linearConditions competes for, each a tag.
const seats = 3

// seatAsk is a commit that takes a seat unless it was taken after a position, a commit without condition,
// or a read.
type seatAsk struct {
	seat  int // the tag that is read or guarded; none: no condition
	after eventstore.Position
	takes int // the tag of the event; none: only read
}

const none = -1

// seatTold is what came of it.
type seatTold struct {
	refused  bool
	position eventstore.Position // of the event, or of the last one with the tag
	through  eventstore.Position
}

// seatState is the head, and the last event of each tag.
type seatState struct {
	head eventstore.Position
	last [seats]eventstore.Position
}

func linearConditions(t *trial) {
	h := &history{began: time.Now()}
	tag := func(seat int) string { return fmt.Sprint("seat:", seat) }
	t.clients(6, 30, func(client int, s *eventstore.Store, rnd *rand.Rand) {
		read := seatAsk{seat: rnd.IntN(seats), takes: none}
		var through eventstore.Position
		h.record(client, read, func() any {
			told := seatTold{}
			for e, err := range s.Read(t.ctx, eventstore.WithTags(tag(read.seat)), eventstore.Range{Through: &through}) {
				if err != nil {
					t.Errorf("could not try whether %s: %v", t.says, err)
					return nil
				}
				told.position = e.Position
			}
			told.through = through
			return told
		})
		ask := seatAsk{seat: read.seat, after: through, takes: rnd.IntN(seats)}
		if rnd.IntN(3) == 0 {
			ask.seat, ask.after = none, 0
		}
		h.record(client, ask, func() any { return t.takeSeat(s, ask, tag) })
	})
	h.check(t, seatModel(), func(op porcupine.Operation) string {
		return fmt.Sprintf("client %d (%d…%d ns): %+v: %+v", op.ClientId, op.Call, op.Return, op.Input, op.Output)
	})
}

func (t *trial) takeSeat(s *eventstore.Store, ask seatAsk, tag func(int) string) any {
	c := appends(to(eventstore.StreamOf("seat", fmt.Sprint(ask.takes)), event("seat taken", tag(ask.takes))))
	if ask.seat != none {
		c = unless(c, eventstore.WithTags(tag(ask.seat)), ask.after)
	}
	r, err := s.Commit(t.ctx, c)
	switch {
	case err == nil:
		return seatTold{position: r.Position}
	case errors.Is(err, eventstore.ErrConflict):
		return seatTold{refused: true}
	}
	t.broken("a commit failed with %q; it must succeed, or be told of a conflict", err)
	return nil
}

func seatModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return seatState{} },
		Step: func(state, input, output any) (bool, any) {
			at, ask, told := state.(seatState), input.(seatAsk), output.(seatTold)
			if ask.takes == none {
				return told.through == at.head && told.position == at.last[ask.seat], at
			}
			broken := ask.seat != none && at.last[ask.seat] > ask.after
			if told.refused || broken {
				return told.refused && broken, at
			}
			at.head++
			at.last[ask.takes] = at.head
			return told.position == at.head, at
		},
	}
}
