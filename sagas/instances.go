package sagas

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/spine"
)

// Instances is what an operator sees and does of a saga's instances, from any process that has the store. What is listed
// and counted comes from rows that the saga's Spine keeps, a moment behind the log; Show and whatever changes an instance
// look at the log itself.
type Instances struct {
	store  *eventstore.Store
	saga   string
	decide func(i instance, o operation, at time.Time) (organs.Events, error) // nil: of a Process
}

// Row is one instance, as it is listed.
type Row struct {
	State   State
	Version int // of its definition
	Began   time.Time
	Changed time.Time // the last time that anything happened
	Reason  string    // why it turned back, or is stuck
	Waits   []string  // the steps whose outcome it waits for, the undoing of one with "undo " before it; in the order of their names
}

// Instances returns the saga's instances in a store.
func (s Saga[S]) Instances(st *eventstore.Store) Instances {
	en, _ := s.engine() // its faults are those of Attach
	return instancesOf(st, s.Name, en.operate)
}

// Instances returns the process's instances in a store. They can be listed, shown and cancelled.
func (p Process[S]) Instances(st *eventstore.Store) Instances {
	return instancesOf(st, p.Name, p.operate)
}

func instancesOf(st *eventstore.Store, saga string, decide func(instance, operation, time.Time) (organs.Events, error)) Instances {
	return Instances{st, saga, decide}
}

// view keeps the rows.
func (in Instances) view() projections.View[stored] {
	mine := func(saga, id string) []string {
		if saga != in.saga {
			return nil
		}
		return []string{id}
	}
	return projections.View[stored]{
		Name: "saga_" + in.saga,
		On: projections.Folds[stored]{
			projections.OnKeys(func(e eventstore.Recorded[Began]) []string { return mine(e.Payload.Saga, e.Payload.Instance) },
				func(r *stored, e eventstore.Recorded[Began]) {
					*r = stored{State: string(Running), Version: e.Payload.Version, Began: e.Time, Changed: e.Time}
				}),
			projections.OnKeys(func(e eventstore.Recorded[Moved]) []string { return mine(e.Payload.Saga, e.Payload.Instance) },
				func(r *stored, e eventstore.Recorded[Moved]) {
					if len(e.Payload.Moves) > 0 { // else only its timer was set anew
						r.Changed = e.Time
					}
					for _, m := range e.Payload.Moves {
						r.apply(m)
					}
				}),
		},
	}
}

// stored is a Row as a column each holds it.
type stored struct {
	State   string    `view:"state,index"`
	Version int       `view:"version,index"`
	Began   time.Time `view:"began"`
	Changed time.Time `view:"changed,index"`
	Reason  string    `view:"reason"`
	Waits   []string  `view:"waits"`
}

func (r *stored) apply(m Move) {
	name := m.Step
	if m.Undo {
		name = "undo " + name
	}
	switch m.What {
	case Turned:
		r.State = string(m.To)
		if m.Why != "" {
			r.Reason = m.Why
		}
	case Sent, Waiting, Stuck:
		if m.Cycle == 0 && m.What == Sent { // of a Process
			return
		}
		if i, there := slices.BinarySearch(r.Waits, name); !there {
			r.Waits = slices.Insert(slices.Clone(r.Waits), i, name)
		}
	case Succeeded, Refused, Unknown, Skipped:
		if i, there := slices.BinarySearch(r.Waits, name); there {
			r.Waits = slices.Delete(slices.Clone(r.Waits), i, i+1)
		}
	}
}

func (r stored) row() Row {
	return Row{State(r.State), r.Version, r.Began, r.Changed, r.Reason, r.Waits}
}

// Which selects instances to list or to count. The zero Which selects all.
type Which struct {
	State  State         // Defaults to any
	Silent time.Duration // at least so long nothing has happened to it. Defaults to any time
}

func (w Which) filters() []projections.Filter {
	var f []projections.Filter
	if w.State != "" {
		f = append(f, projections.Is("state", string(w.State)))
	}
	if w.Silent > 0 {
		f = append(f, projections.AtMost("changed", time.Now().UTC().Add(-w.Silent)))
	}
	return f
}

// List yields instances by their ids, those first to which nothing has happened for the longest time.
func (in Instances) List(ctx context.Context, w Which, options ...projections.ReadOption) iter.Seq2[projections.Keyed[Row], error] {
	return func(yield func(projections.Keyed[Row], error) bool) {
		page := projections.Page[stored]{Where: w.filters(), OrderBy: "changed"}
		for k, err := range in.view().Rows(in.store).List(ctx, page, options...) {
			if err != nil {
				err = fmt.Errorf("list instances of saga %s: %w", in.saga, err)
			}
			if !yield(projections.Keyed[Row]{Key: k.Key, Row: k.Row.row()}, err) || err != nil {
				return
			}
		}
	}
}

// Count counts instances.
func (in Instances) Count(ctx context.Context, w Which, options ...projections.ReadOption) (int64, error) {
	n, err := in.view().Rows(in.store).Count(ctx, w.filters(), options...)
	if err != nil {
		return 0, fmt.Errorf("count instances of saga %s: %w", in.saga, err)
	}
	return n, nil
}

// Counts returns how many instances there are in each state; a state without any is not in it.
func (in Instances) Counts(ctx context.Context, options ...projections.ReadOption) (map[State]int64, error) {
	counts := map[State]int64{}
	for _, s := range append([]State{Completed, Compensated, Cancelled}, alive...) {
		n, err := in.Count(ctx, Which{State: s}, options...)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			counts[s] = n
		}
	}
	return counts, nil
}

// By says who does something to an instance, and why: both are kept with it.
type By struct{ Who, Why string }

// operation is what an operator wants done.
type operation struct {
	id   string
	verb string
	step string
	by   By
}

func (operation) CommandType() string { return "operate saga" }
func (o operation) StreamID() string  { return o.id }

// ErrNotNow is why an operation is refused that the instance's state does not allow.
var ErrNotNow = errors.New("not in this state")

// ErrNoInstance says that there is no instance of an id.
var ErrNoInstance = errors.New("there is no such instance")

// Retry has the steps that are stuck tried again, as often as at first.
func (in Instances) Retry(ctx context.Context, id string, by By) error {
	return in.operate(ctx, operation{id: id, verb: "retry", by: by})
}

// Skip has a step that is stuck taken for done, or for undone.
func (in Instances) Skip(ctx context.Context, id, step string, by By) error {
	return in.operate(ctx, operation{id: id, verb: "skip", step: step, by: by})
}

// Cancel has a saga that is not past its pivot undone: it ends as Cancelled. A Process ends at once, and undoes nothing.
func (in Instances) Cancel(ctx context.Context, id string, by By) error {
	return in.operate(ctx, operation{id: id, verb: "cancel", by: by})
}

// Suspend has an instance note what comes, and do nothing about it.
func (in Instances) Suspend(ctx context.Context, id string, by By) error {
	return in.operate(ctx, operation{id: id, verb: "suspend", by: by})
}

// Resume has a suspended instance go on. Time has gone on meanwhile: what is due happens at once.
func (in Instances) Resume(ctx context.Context, id string, by By) error {
	return in.operate(ctx, operation{id: id, verb: "resume", by: by})
}

func (in Instances) operate(ctx context.Context, o operation) error {
	err := eventstore.CheckName("who", o.by.Who)
	if err == nil {
		err = eventstore.CheckName("why", o.by.Why)
	}
	if err == nil {
		err = eventstore.CheckName("instance", o.id)
	}
	if err == nil {
		err = in.commit(ctx, o)
	}
	if err != nil {
		return fmt.Errorf("%s %s of saga %s: %w", o.verb, o.id, in.saga, err)
	}
	return nil
}

// commit decides and commits, again and again until nobody else writes to the instance meanwhile.
func (in Instances) commit(ctx context.Context, o operation) error {
	decide := func(i instance, r spine.Received[operation]) (organs.Events, error) {
		if !i.begun() {
			return nil, ErrNoInstance
		}
		return in.decide(i, r.Command, now(r.Time))
	}
	w, err := organs.Aggregate[instance]{Category: category(in.saga), Evolve: evolve, Decide: organs.Decide[instance]{organs.Handle(decide)}}.Attach(in.store)
	if err != nil {
		return err
	}
	const most = 50
	for n := 1; ; n++ {
		out, err := w.Decides[0].Decide(ctx, spine.Request{Command: o, Time: time.Now().UTC()})
		if err != nil {
			if refused, ok := errors.AsType[*spine.RejectedError](err); ok {
				err = refused.Err
			}
			return err
		}
		r, err := in.store.Commit(ctx, out.Commit)
		if out.Settled != nil {
			out.Settled(r, err)
		}
		if !errors.Is(err, eventstore.ErrConflict) || n == most {
			return err
		}
	}
}

// Timeline is all that has happened to an instance.
type Timeline struct {
	Saga, Instance string
	Version        int
	State          State
	Reason         string
	Result         json.RawMessage // what it remembers
	Steps          map[string]What // the phase of each step that has begun, the undoing of one with "undo " before it
	Entries        []Entry
}

// Entry is one move of a Timeline.
type Entry struct {
	Time     time.Time
	Position eventstore.Position
	Move
}

// Show reads the whole history of an instance.
func (in Instances) Show(ctx context.Context, id string) (Timeline, error) {
	t := Timeline{Saga: in.saga, Instance: id, Steps: map[string]What{}}
	if err := eventstore.CheckName("instance", id); err != nil {
		return t, fmt.Errorf("show %s of saga %s: %w", id, in.saga, err)
	}
	var i instance
	for ev, err := range in.store.Read(ctx, eventstore.InStream(stream(in.saga, id)), eventstore.Range{}) {
		if err == nil {
			if err = evolve.Apply(&i, ev); errors.Is(err, eventstore.ErrUnknownType) {
				err = nil
			}
		}
		var moved Moved
		if err == nil && ev.Type == moved.EventType() {
			moved, err = eventstore.Decode[Moved](ev)
		}
		if err != nil {
			return t, fmt.Errorf("show %s of saga %s: %w", id, in.saga, err)
		}
		for _, m := range moved.Moves {
			t.Entries = append(t.Entries, Entry{ev.Time, ev.Position, m})
		}
	}
	if !i.begun() {
		return t, fmt.Errorf("show %s of saga %s: %w", id, in.saga, ErrNoInstance)
	}
	t.Version, t.State, t.Reason, t.Result = i.version, i.status, i.reason, i.data
	for name, p := range i.steps {
		if p.undo {
			name = "undo " + name
		}
		t.Steps[name] = p.phase
	}
	return t, nil
}
