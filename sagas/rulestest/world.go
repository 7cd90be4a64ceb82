package rulestest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

// Those that take part do something, and undo it. Each step of each instance is an entity of its own.
type (
	begin struct{ Trip string }
	act   struct{ Trip, Step string }
	unact struct{ Trip, Step string }
	// far and unfar are act and unact, decided by an organ that is not always there.
	far   struct{ Trip, Step string }
	unfar struct{ Trip, Step string }

	wanted struct{ Trip string } // an event that begins
	did    struct{ Step string }
	undid  struct{ Step string }
	hidden struct{ Step string } // it was done, unseen
	heard  struct{ Step string } // of something that came to nothing yet

	// trip is what a saga remembers: what was done, in order.
	trip struct {
		ID  string
		Did []string
	}
)

func (begin) CommandType() string { return "begin" }
func (act) CommandType() string   { return "act" }
func (unact) CommandType() string { return "unact" }
func (far) CommandType() string   { return "far" }
func (unfar) CommandType() string { return "unfar" }

func (c begin) StreamID() string { return c.Trip }
func (c act) StreamID() string   { return c.Trip + "/" + c.Step }
func (c unact) StreamID() string { return c.Trip + "/" + c.Step }
func (c far) StreamID() string   { return c.Trip + "/" + c.Step }
func (c unfar) StreamID() string { return c.Trip + "/" + c.Step }

func (wanted) EventType() string { return "wanted" }
func (did) EventType() string    { return "did" }
func (undid) EventType() string  { return "undid" }
func (hidden) EventType() string { return "hidden" }
func (heard) EventType() string  { return "heard" }

// says is what somebody who takes part says to a command.
type says int

const (
	yes    says = iota
	no          // a refusal
	mute        // it is accepted, and nothing comes of it
	unseen      // it is done, and the saga does not hear of it
)

var errNo = errors.New("no")

// world is who takes part. What they say to the nth command about a step is the nth item of its script, and yes when
// there is none. They say the same to the same command, however often they are asked.
type world struct {
	mu     sync.Mutex
	script map[string][]says // by step, or "trip/step"; of undoing with "undo " before it
	asked  map[string][]uuid.UUID
}

func newWorld() *world {
	return &world{script: map[string][]says{}, asked: map[string][]uuid.UUID{}}
}

// will sets the script of a step, or of its undoing.
func (w *world) will(step string, script ...says) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.script[step] = script
}

func (w *world) says(verb, id, step string, command uuid.UUID) says {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := verb + id + "/" + step
	n := slices.Index(w.asked[key], command)
	if n < 0 {
		n = len(w.asked[key])
		w.asked[key] = append(w.asked[key], command)
	}
	script, ok := w.script[key]
	if !ok {
		script = w.script[verb+step]
	}
	if n < len(script) {
		return script[n]
	}
	return yes
}

// asks is how many different commands there were about a step of an instance.
func (w *world) asks(step, id string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.asked[id+"/"+step])
}

// state is that of one step: whether it is done now.
type state struct{ Done bool }

// near decides act and unact.
func (w *world) near() spine.Organ {
	return organs.Aggregate[state]{Category: "near", Evolve: folds, Decide: organs.Decide[state]{
		organs.Handle(func(s state, r spine.Received[act]) (organs.Events, error) {
			return w.do(s, r.Command.Trip, r.Command.Step, r.ID)
		}),
		organs.Handle(func(s state, r spine.Received[unact]) (organs.Events, error) {
			return w.undo(s, r.Command.Trip, r.Command.Step, r.ID)
		}),
	}}
}

// away decides far, and nearer unfar: one may be there without the other.
func (w *world) away() spine.Organ {
	return organs.Aggregate[state]{Category: "away", Evolve: folds, Decide: organs.Decide[state]{
		organs.Handle(func(s state, r spine.Received[far]) (organs.Events, error) {
			return w.do(s, r.Command.Trip, r.Command.Step, r.ID)
		}),
	}}
}

func (w *world) nearer() spine.Organ {
	return organs.Aggregate[state]{Category: "nearer", Evolve: folds, Decide: organs.Decide[state]{
		organs.Handle(func(s state, r spine.Received[unfar]) (organs.Events, error) {
			return w.undo(s, r.Command.Trip, r.Command.Step, r.ID)
		}),
	}}
}

var folds = organs.Evolve[state]{
	organs.On(func(s *state, _ did) { s.Done = true }),
	organs.On(func(s *state, _ hidden) { s.Done = true }),
	organs.On(func(s *state, _ undid) { s.Done = false }),
}

func (w *world) do(s state, id, step string, command uuid.UUID) (organs.Events, error) {
	switch w.says("", id, step, command) {
	case no:
		return nil, errNo
	case mute:
		return organs.Events{heard{step}}, nil
	case unseen:
		return organs.Events{hidden{step}}, nil
	default:
		if s.Done {
			return nil, fmt.Errorf("%s of %s is done already", step, id)
		}
		return organs.Events{did{step}}, nil
	}
}

func (w *world) undo(s state, id, step string, command uuid.UUID) (organs.Events, error) {
	switch {
	case w.says("undo ", id, step, command) == no:
		return nil, errNo
	case !s.Done:
		return organs.Events{heard{step}}, nil
	default:
		return organs.Events{undid{step}}, nil
	}
}

// does is a step whose outcome is an event.
func does(id string) sagas.Step[trip] {
	return sagas.Step[trip]{
		ID:   id,
		Do:   sagas.Command(func(s trip) act { return act{s.ID, id} }),
		Undo: sagas.Command(func(s trip) unact { return unact{s.ID, id} }),
		On:   sagas.Outcomes[trip]{sagas.Success(func(s *trip, e did) { s.Did = append(s.Did, e.Step) })},
	}
}

// final is does without an Undo.
func final(id string) sagas.Step[trip] {
	s := does(id)
	s.Undo = sagas.Action[trip]{}
	return s
}

// farOff is does by those who are not always there; its reply settles it.
func farOff(id string) sagas.Step[trip] {
	return sagas.Step[trip]{
		ID:   id,
		Do:   sagas.Command(func(s trip) far { return far{s.ID, id} }),
		Undo: sagas.Command(func(s trip) unfar { return unfar{s.ID, id} }),
	}
}

// within gives a step a timeout, and so many attempts with waits about as long between them.
func (t *trial) within(s sagas.Step[trip], units, attempts int) sagas.Step[trip] {
	s.Timeout = time.Duration(units) * t.unit
	s.Retry = t.tries(attempts)
	return s
}

// tries is so many attempts, one unit apart at most.
func (t *trial) tries(attempts int) sagas.Retry {
	return sagas.Retry{Attempts: attempts, Base: t.unit, Most: t.unit}
}

// saga is one of steps, that begins with the command begin.
func saga(steps ...sagas.Node[trip]) sagas.Saga[trip] {
	return sagas.Saga[trip]{
		Name:  "trip",
		Start: sagas.StartBy(func(c begin) (trip, error) { return trip{ID: c.Trip}, nil }),
		Steps: steps,
	}
}
