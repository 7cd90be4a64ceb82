package sagatest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/sagas"
)

// What sagas and commands are called in the log.
const (
	sagaPrefix = "saga."
	commands   = "command"
	accepted   = "command accepted"
	rejected   = "command rejected"
	requested  = "saga call requested"
	answered   = "saga call answered"
	woken      = "saga woken"
)

// isCall reports whether a stream is that of a saga's call.
func isCall(s eventstore.Stream) bool {
	return strings.HasPrefix(s.Category(), sagaPrefix) && strings.HasSuffix(s.Category(), ".call")
}

// books is what the log says of sagas and commands.
type books struct {
	instances map[string]*instance // by stream
	calls     map[string]*posted   // commands and calls, by stream
	tagged    map[string]eventstore.Position
	wakes     map[string]bool // stream and generation: has fired
	pending   map[string]bool // likewise: is to fire
	faults    []string
}

// posted is a command or a call.
type posted struct {
	typ     string
	tag     string
	revokes string              // the tag of the command that this one undoes
	own     int                 // answers in its own stream
	at      eventstore.Position // of the first of them
	sagaTo  bool                // a saga waits for it
}

func (b *books) fault(format string, args ...any) {
	b.faults = append(b.faults, fmt.Sprintf(format, args...))
}

// audit looks at the log for what must hold of every instance and every command. At rest, nothing is under way any more.
func (r *run) audit(ctx context.Context, rest bool) []string {
	st := eventstore.New(r.disk.Backend, r.Store)
	b := &books{
		instances: map[string]*instance{}, calls: map[string]*posted{}, tagged: map[string]eventstore.Position{},
		wakes: map[string]bool{}, pending: map[string]bool{},
	}
	for ev, err := range st.Read(ctx, eventstore.All(), eventstore.Range{}) {
		if err == nil {
			err = b.read(ev)
		}
		if err != nil {
			b.fault("audit: %v", err)
			return b.faults
		}
	}
	for s, err := range r.disk.Scheduled(ctx) {
		if err != nil {
			b.fault("audit: %v", err)
			return b.faults
		}
		for _, ev := range s.Append.Events {
			if ev.Type == woken {
				b.pending[wakeKey(s.Append.Stream, ev)] = true
			}
		}
	}
	b.checkCommands(rest, r.Config.Elsewhere)
	for _, name := range slices.Sorted(maps.Keys(b.instances)) {
		b.instances[name].check(b, rest)
	}
	return b.faults
}

func wakeKey(s eventstore.Stream, ev eventstore.Event) string {
	var w struct {
		Generation int `json:"generation"`
	}
	_ = ev.Unmarshal(&w) // then nobody looks for it
	return wakeKeyOf(s, w.Generation)
}

func wakeKeyOf(s eventstore.Stream, generation int) string {
	return string(s) + "#" + strconv.Itoa(generation)
}

// read takes an event in.
func (b *books) read(ev eventstore.Event) error {
	for _, tag := range ev.Tags {
		if strings.HasPrefix(tag, "command:") && b.tagged[tag] == 0 {
			b.tagged[tag] = ev.Position
		}
	}
	switch {
	case ev.Type == woken:
		b.wakes[wakeKey(ev.Stream, ev)] = true
	case ev.Stream.Category() == commands || isCall(ev.Stream):
		return b.post(ev)
	}
	switch ev.Type {
	case sagas.Began{}.EventType():
		e, err := eventstore.Decode[sagas.Began](ev)
		if err == nil {
			b.instance(ev.Stream).begin(e, b)
		}
		return err
	case sagas.Moved{}.EventType():
		e, err := eventstore.Decode[sagas.Moved](ev)
		if err == nil {
			b.instance(ev.Stream).move(e, ev.Time, b)
		}
		return err
	case sagas.Ended{}.EventType():
		b.instance(ev.Stream).ended++
	}
	return nil
}

func (b *books) instance(s eventstore.Stream) *instance {
	i := b.instances[string(s)]
	if i == nil {
		i = &instance{stream: s, steps: map[string]*step{}, timers: map[string]time.Time{}}
		b.instances[string(s)] = i
	}
	return i
}

// post takes in what is in the stream of a command or a call.
func (b *books) post(ev eventstore.Event) error {
	p := b.calls[string(ev.Stream)]
	if p == nil {
		p = &posted{tag: "command:" + ev.Stream.ID()}
		b.calls[string(ev.Stream)] = p
	}
	switch ev.Type {
	case accepted, rejected:
	case answered:
		var a struct{ Failed, Held bool }
		if err := ev.Unmarshal(&a); err != nil || a.Failed || a.Held {
			return err
		}
	default:
		if p.typ == "" { // what comes later is what a call has returned
			p.typ, p.sagaTo = ev.Type, strings.HasPrefix(ev.Metadata.ReplyTo, sagaPrefix)
			for _, tag := range ev.Tags {
				if id, ok := strings.CutPrefix(tag, "revokes:"); ok {
					p.revokes = "command:" + id
				}
			}
		}
		return nil
	}
	if p.own++; p.own == 1 {
		p.at = ev.Position
	}
	if p.revokes != "" && b.tagged[p.revokes] == 0 { // whether the answer says so or not
		b.tagged[p.revokes] = ev.Position
	}
	return nil
}

// checkCommands wants each command to be decided once, and not after another one has revoked it.
func (b *books) checkCommands(rest bool, elsewhere []string) {
	for _, name := range slices.Sorted(maps.Keys(b.calls)) {
		p := b.calls[name]
		what := fmt.Sprintf("%s (%s)", p.typ, name)
		switch {
		case p.own > 1:
			b.fault("%s was decided %d times", what, p.own)
		case p.own == 1 && b.tagged[p.tag] < p.at:
			b.fault("%s was decided after it had been revoked", what)
		case rest && p.own == 0 && b.tagged[p.tag] == 0 && p.sagaTo && !isCall(eventstore.Stream(name)) && !slices.Contains(elsewhere, p.typ):
			b.fault("%s was lost: nobody has decided it", what)
		}
	}
}
