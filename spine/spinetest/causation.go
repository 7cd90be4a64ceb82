package spinetest

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func causation() []promise {
	return []promise{
		{"what an event leads to inherits its conversation and has it as its cause", inherits},
		{"what a command leads to has the command as its cause", commandCause},
		{"what a handler sends or emits has the event as its cause", indirectCause},
	}
}

const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func inherits(t *Trial) {
	parent := Event("s-1", "in", 1)
	parent.Metadata = eventstore.Metadata{
		Correlation: uuid.New(), Depth: 4, TraceParent: trace, TraceState: "x=y", Actor: "ada", User: map[string]string{"k": "v"},
	}
	t.Put(parent)
	o := On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
		out, _ := Copy("copy.", "mid")(ctx, in)
		out.Commit.Schedules = []eventstore.Schedule{{
			ID: uuid.New(), Due: time.Now().Add(-time.Second), Append: Out(Event("late-1", "late", 1)).Commit.Appends[0],
		}}
		return out, nil
	})
	t.Drain(t.Spine(t.Store, spine.Config{}, o))
	for _, s := range []eventstore.Stream{"copy.s-1", "late-1"} {
		got := t.Events(eventstore.InStream(s))
		if len(got) != 1 {
			t.Fatalf("stream %s has %d events", s, len(got))
		}
		m := got[0].Metadata
		if m.Correlation != parent.Metadata.Correlation || m.Causation != parent.ID || m.Depth != 5 || m.TraceParent != trace ||
			m.TraceState != "x=y" || m.Actor != "ada" || len(m.User) > 0 {
			t.Errorf("the event in %s has %+v, want what it inherits from %+v", s, m, parent)
		}
	}
}

func commandCause(t *Trial) {
	var id uuid.UUID
	o := Organ{Wiring: spine.Wiring{Name: "counter", Decides: []spine.CommandHandler{{
		Type: "add",
		Decide: func(_ context.Context, in spine.Request) (spine.Output, error) {
			id = in.ID
			return Out(Event("count-1", "count", 1)), nil
		},
	}}}}
	sp := t.Spine(t.Store, spine.Config{}, o)
	ctx := eventstore.WithMetadata(t.Ctx, eventstore.Metadata{Actor: "ada", TraceParent: trace})
	r, err := sp.Send(ctx, add{1})
	if err != nil || r.Position != 1 || r.Version() != 1 {
		t.Fatalf("Send returned %+v, %v", r, err)
	}
	m := t.Events(eventstore.InStream("count-1"))[0].Metadata
	if id == uuid.Nil || m.Correlation != id || m.Causation != id || m.Depth != 1 || m.Actor != "ada" || m.TraceParent != trace {
		t.Errorf("the event has %+v, want the command %s as its cause and conversation", m, id)
	}
}

func indirectCause(t *Trial) {
	parent := Event("s-1", "in", 1)
	t.Put(parent)
	var sp *spine.Spine
	count := counter(t.Store, func() {})
	o := On("organ", "in", func(ctx context.Context, _ spine.Input) (spine.Output, error) {
		if _, err := sp.Send(ctx, add{1}); err != nil {
			return spine.Output{}, err
		}
		_, err := sp.Emit(ctx, eventstore.In("x-1", named{}))
		return spine.Output{}, err
	})
	sp = t.Spine(t.Store, spine.Config{}, o, count)
	t.Drain(sp)
	if m := t.Events(eventstore.InStream("x-1"))[0].Metadata; m.Causation != parent.ID || m.Depth != 1 || m.Correlation != parent.ID {
		t.Errorf("what was emitted has %+v", m)
	}
	if m := t.Events(eventstore.InStream("count-1"))[0].Metadata; m.Correlation != parent.ID || m.Depth != 2 {
		t.Errorf("what was decided has %+v", m)
	}
}
