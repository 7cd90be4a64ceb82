package spine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/necrostack/necrostack/eventstore"
)

// Spine drives organs over one store. It is safe for concurrent use.
type Spine struct {
	store     *eventstore.Store
	cfg       Config
	leaser    eventstore.Leaser
	parker    eventstore.Parker    // nil if the backend has none and no organ parks
	scheduler eventstore.Scheduler // nil if the backend has none
	deliverer eventstore.Deliverer // nil if the backend has none and no organ competes
	consumers []*consumer
	commands  map[string]command
	elsewhere map[string]bool // commands that other processes decide
	tallies   []*tally        // one an organ
	observe   observers
	telemetry *telemetry
	running   atomic.Bool
	engine    atomic.Pointer[engine] // the latest
	abandoned atomic.Int64
	spill     *spill // nil unless an organ needs it
}

// command is a command's handler and its organ.
type command struct {
	CommandHandler
	organ *tally
}

// New checks every organ against the store and against the others, and reports all faults at once. It does
// no I/O.
func New(store *eventstore.Store, cfg Config, organs ...Organ) (*Spine, error) {
	if store == nil {
		return nil, errors.New("new spine: store is nil")
	}
	r := registration{
		spine: &Spine{store: store, cfg: cfg.withDefaults(), commands: map[string]command{}, elsewhere: map[string]bool{}},
		names: map[string]bool{}, listened: map[string]string{}, sent: map[string]string{}, awaited: map[string][]string{},
	}
	var err error
	r.spine.telemetry, err = newTelemetry(&cfg)
	r.fault(err)
	r.fault(store.Fault())
	r.fault(cfg.Validate())
	for _, typ := range cfg.Elsewhere {
		r.spine.elsewhere[typ] = true
	}
	for i, o := range organs {
		r.organ(i, o)
	}
	r.namespace()
	r.circles()
	r.backend()
	r.spill()
	if err := errors.Join(r.faults...); err != nil {
		return nil, fmt.Errorf("new spine: %w", err)
	}
	r.spine.observe = append(observers{r.spine.telemetry}, cfg.Observers...)
	r.spine.observe = append(r.spine.observe, logging{r.spine.cfg.Logger})
	return r.spine, nil
}

// registration collects organs and their faults.
type registration struct {
	spine    *Spine
	names    map[string]bool
	listened map[string]string   // event type to an organ that listens to it
	sent     map[string]string   // command type to an organ that puts it into the log
	awaited  map[string][]string // organ to the commands whose outcome it waits for
	faults   []error
}

func (r *registration) fault(err error) {
	if err != nil {
		r.faults = append(r.faults, err)
	}
}

func (r *registration) faultf(format string, args ...any) {
	r.faults = append(r.faults, fmt.Errorf(format, args...))
}

// faultsOf names the organ before each of its faults.
func (r *registration) faultsOf(name string, err error) {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range all.Unwrap() {
			r.faultsOf(name, err)
		}
	} else if err != nil {
		r.faultf("%s: %w", name, err)
	}
}

func (r *registration) organ(i int, o Organ) {
	if v := reflect.ValueOf(o); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		r.faultf("organ %d is nil", i+1)
		return
	}
	w, err := o.Attach(r.spine.store)
	name := fmt.Sprintf("organ %q", w.Name)
	r.faultsOf(name, err)
	if err := eventstore.CheckName("name", w.Name); err != nil {
		name = fmt.Sprintf("organ %d (%T)", i+1, o)
		r.faultf("%s: %w", name, err)
	} else if r.names[w.Name] {
		r.faultf("%s: the name is used twice", name)
	}
	r.names[w.Name] = true
	if w.Listens.IsZero() && len(w.Decides) == 0 {
		r.faultf("%s: listens to nothing and decides nothing", name)
	}
	r.faultsOf(name, w.Policy.Validate())
	r.faultsOf(name, w.Listens.Validate())
	stats := &tally{name: w.Name}
	r.spine.tallies = append(r.spine.tallies, stats)
	w.Decides = slices.Clone(w.Decides) // another Spine may have the same organ
	for i := range w.Decides {
		h := &w.Decides[i]
		if other, twice := r.spine.commands[h.Type]; twice {
			r.faultf("%s: command %s is decided by organ %q already", name, h.Type, other.organ.name)
		}
		if err := eventstore.CheckName("command type", h.Type); err != nil {
			r.faultf("%s: %w", name, err)
		} else if h.Decide == nil {
			r.faultf("%s: command %s has no handler", name, h.Type)
		} else {
			h.Decide = around(r.spine.cfg.Middleware, h.Decide)
		}
		r.spine.commands[h.Type] = command{*h, stats}
	}
	for _, typ := range w.Sends {
		r.sent[typ] = w.Name
	}
	r.awaited[w.Name] = w.Awaits
	defer func() {
		for i, o := range w.With {
			r.organ(i, o)
		}
	}()
	switch {
	case !w.Listens.IsZero() && w.Handle == nil && w.HandleBatch == nil:
		r.faultf("%s: listens but handles nothing", name)
	case w.Gather != nil && w.HandleBatch == nil:
		r.faultf("%s: has Gather without HandleBatch, which is to handle what cannot be gathered", name)
	case w.Handle != nil && w.HandleBatch != nil:
		r.faultf("%s: has both Handle and HandleBatch", name)
	case w.HandleBatch != nil && w.Policy.or(r.spine.cfg.Policy).Delivery == Competing:
		r.faultf("%s: HandleBatch is not for Competing, which delivers events one by one", name)
	case w.MaxBatch < 0:
		r.faultf("%s: MaxBatch is %d", name, w.MaxBatch)
	}
	for _, it := range w.Listens.Items() {
		for _, t := range it.Types {
			r.listened[t] = w.Name
		}
	}
	if w = r.spine.hearCommands(w); !w.Listens.IsZero() {
		c := &consumer{
			Wiring: w, tally: stats, index: len(r.spine.consumers), fixed: w.Policy.Partitions != 0, listens: listening(w.Listens),
		}
		c.Policy = w.Policy.or(r.spine.cfg.Policy)
		orDefault(&c.Policy.Visibility, 2*c.Policy.Deadline)
		r.spine.consumers = append(r.spine.consumers, c)
	}
}

// namespace refuses one name for an event and a command, and commands that nobody decides.
func (r *registration) namespace() {
	for _, typ := range slices.Sorted(maps.Keys(r.sent)) {
		organ := r.sent[typ]
		if _, decided := r.spine.commands[typ]; !decided && !r.spine.elsewhere[typ] {
			r.faultf("organ %q: sends command %s, which no organ decides: Config.Elsewhere names those of other processes", organ, typ)
		}
	}
	for _, typ := range slices.Sorted(maps.Keys(r.spine.elsewhere)) {
		if organ, both := r.listened[typ]; both {
			r.faultf("%q is a command of Config.Elsewhere and an event that organ %q listens to", typ, organ)
		}
	}
	for _, t := range slices.Sorted(maps.Keys(r.spine.commands)) {
		c := r.spine.commands[t]
		if t == (Accepted{}).EventType() || t == (Rejected{}).EventType() {
			r.faultf("organ %q: command %s has the name of a reply", c.organ.name, t)
		}
		if organ, both := r.listened[t]; both {
			r.faultf("%q is a command that organ %q decides and an event that organ %q listens to", t, c.organ.name, organ)
		}
	}
}

// circles refuses organs that wait for the outcome of commands to each other, and so without end.
func (r *registration) circles() {
	done := map[string]bool{}
	var path []string
	var visit func(organ string)
	visit = func(organ string) {
		if i := slices.Index(path, organ); i >= 0 {
			r.faultf("organs wait for each other in a circle: %s", strings.Join(append(path[i:], organ), " → "))
			return
		}
		if done[organ] {
			return
		}
		path = append(path, organ)
		for _, typ := range r.awaited[organ] {
			if c, ok := r.spine.commands[typ]; ok {
				visit(c.organ.name)
			}
		}
		path, done[organ] = path[:len(path)-1], true
	}
	for _, organ := range slices.Sorted(maps.Keys(r.awaited)) {
		visit(organ)
	}
}

// backend finds the optional interfaces that the organs need.
func (r *registration) backend() {
	s := r.spine
	b := s.store.Backend()
	s.leaser, _ = b.(eventstore.Leaser)
	s.parker, _ = b.(eventstore.Parker)
	s.scheduler, _ = b.(eventstore.Scheduler)
	s.deliverer, _ = b.(eventstore.Deliverer)
	if _, follows := b.(eventstore.Follower); follows {
		r.follower()
	}
	for _, c := range s.consumers {
		if s.leaser == nil {
			r.faultf("organ %q: backend %T keeps no consumers", c.Name, b)
		}
		if s.parker == nil && c.Policy.OnError != ErrorLog {
			r.faultf("organ %q: backend %T keeps no parked events, which its OnError needs", c.Name, b)
		}
		if s.deliverer == nil && c.Policy.Delivery == Competing {
			r.faultf("organ %q: backend %T keeps no deliveries, which Competing needs", c.Name, b)
		}
	}
}

// follower refuses organs that put events into the log, which is another store's.
func (r *registration) follower() {
	const elsewhere = "the store's events are another store's: run it on that one"
	for _, c := range r.spine.consumers {
		if c.Emits {
			r.faultf("organ %q: emits events, and "+elsewhere, c.Name)
		}
	}
	for _, t := range slices.Sorted(maps.Keys(r.spine.commands)) {
		r.faultf("organ %q: decides command %s, and "+elsewhere, r.spine.commands[t].organ.name, t)
	}
	for _, t := range slices.Sorted(maps.Keys(r.sent)) {
		r.faultf("organ %q: sends command %s, and "+elsewhere, r.sent[t], t)
	}
}

// Store returns the store that the Spine runs on.
func (s *Spine) Store() *eventstore.Store { return s.store }

// WaitFor returns when the organ has done the event at position p and all before it, in whatever process
// runs it; see eventstore.Store.WaitFor. An organ of this Spine may be waited for before it first runs.
func (s *Spine) WaitFor(ctx context.Context, organ string, p eventstore.Position) error {
	for _, c := range s.consumers {
		if c.Name != organ {
			continue
		}
		if _, err := s.leaser.Define(ctx, c.definition(eventstore.Consumer{})); err != nil {
			return fmt.Errorf("wait for %s: %w", organ, err)
		}
	}
	return s.store.WaitFor(ctx, organ, p)
}
