package spinetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

// commandsInOrder posts many commands for few entities, each in a stream of its own. The events tell their order by
// how many each command has led to.
func commandsInOrder(t *Trial) {
	var d cash
	first, second := t.desk(&d, t.Tap(), spine.Config{}), t.desk(&d, t.Tap(), spine.Config{})
	stop := t.Start(first)
	t.Start(second)
	want := map[string][]int{}
	for i := range 60 {
		to, n := fmt.Sprint("e", i%4), i%5+1
		for k := n; k > 0; k-- {
			want[to] = append(want[to], k)
		}
		if _, err := first.Post(t.Ctx, put{to, n}); err != nil {
			t.Fatal(err)
		}
		if i == 30 {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
	}
	t.Done("cash")
	for to, ns := range want {
		t.WantNumbers("box-"+to, ns...)
	}
}

func malformed(t *Trial) {
	var d cash
	sp := t.desk(&d, t.Tap(), spine.Config{})
	bad := []eventstore.Event{Event("command-"+uuid.NewString(), "put", 0), Event("command-x", "put", 0), Event("box-9", "put", 0)}
	bad[0].Data, bad[1].Data, bad[2].Data = []byte(`"text"`), []byte(`{"To":7}`), []byte(`{"To":"","N":1}`)
	t.Put(bad...)
	if _, err := sp.Post(t.Ctx, put{"a", 1}); err != nil {
		t.Fatal(err)
	}
	t.Drain(sp)
	if parked := t.Parked("cash"); len(parked) != 3 || d.decisions.Load() != 1 {
		t.Errorf("parked are %+v after %d decisions", parked, d.decisions.Load())
	}
	t.WantNumbers("box-a", 1)
	if n := len(t.Events(eventstore.OfType("command accepted", "command rejected"))); n != 1 {
		t.Errorf("there are %d replies", n)
	}
}

func withoutDecode(t *Trial) {
	var d cash
	o := d.organ(t.Store)
	o.Decides[0].Decode = nil
	sp := t.Spine(t.Store, spine.Config{}, o)
	if _, err := sp.Post(t.Ctx, put{"a", 1}); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("Post returned %v, want ErrInvalid", err)
	}
	if _, err := t.Store.Emit(t.Ctx, spine.Post(put{"a", 1})); err != nil { // as a program without the organ may
		t.Fatal(err)
	}
	t.Drain(sp)
	t.WantNumbers("box-a")
	if known, err := t.Store.Consumers(t.Ctx); err != nil || len(known) > 0 {
		t.Errorf("the organ is a consumer: %+v, %v", known, err)
	}
	id := uuid.New()
	if _, err := sp.Send(t.Ctx, spine.WithID(id, put{"a", 1})); err != nil {
		t.Error(err)
	}
	t.wantReply(id, "command accepted", 1)
	t.WantNumbers("box-a", 1)
}

func undecided(t *Trial) {
	var d cash
	cashier := d.organ(t.Store)
	sender := On("sender", "in", func(_ context.Context, in spine.Input) (spine.Output, error) {
		e, err := t.Store.Encode(spine.Post(stranger{add{N(in.Event)}}))
		out := Out(e)
		if N(in.Event) == 2 {
			out.Commit.Schedules = []eventstore.Schedule{{ID: uuid.New(), Due: time.Now(), Append: out.Commit.Appends[0]}}
			out.Commit.Appends = nil
		}
		return out, err
	})
	sp := t.Spine(t.Store, spine.Config{}, cashier, sender)
	t.Put(Event("a-1", "in", 1), Event("b-1", "in", 2))
	if _, err := sp.Post(t.Ctx, stranger{}); !errors.Is(err, eventstore.ErrInvalid) || !strings.Contains(err.Error(), "stranger") {
		t.Errorf("Post returned %v", err)
	}
	if _, err := sp.Emit(t.Ctx, named{}, eventstore.In("x-1", spine.Post(stranger{}))); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("Emit returned %v", err)
	}
	t.Drain(sp)
	t.WantParked("sender", "a-1@1!", "b-1@2!")
	if head := t.Head(); head != 2 {
		t.Errorf("something was written: the head is %d", head)
	}
	sp = t.Spine(t.Store, spine.Config{Elsewhere: []string{"stranger"}}, cashier, sender)
	if _, err := sp.Post(t.Ctx, stranger{}); err != nil {
		t.Errorf("with Elsewhere, Post returned %v", err)
	}
	if _, err := sp.Emit(t.Ctx, spine.Post(stranger{})); err != nil {
		t.Errorf("with Elsewhere, Emit returned %v", err)
	}
	t.redrive(2, eventstore.ParkedFilter{})
	t.Drain(sp)
	t.WantParked("sender")
	if n := len(t.Events(eventstore.OfType("stranger"))); n != 4 {
		t.Errorf("%d commands are in the log, want 4", n)
	}
}

func scheduledCommand(t *Trial) {
	var d cash
	sp := t.desk(&d, t.Tap(), spine.Config{})
	id, timer, off := uuid.New(), uuid.New(), uuid.New()
	later := func(timer uuid.UUID, c spine.Command) eventstore.Schedule {
		e, err := t.Store.Encode(spine.Post(c))
		if err != nil {
			t.Fatal(err)
		}
		return eventstore.Schedule{ID: timer, Due: time.Now().Add(-time.Second), Append: eventstore.Append{Stream: e.Stream, Events: []eventstore.Event{e}}}
	}
	c := spine.WithID(id, put{"a", 1})
	if _, err := t.Store.Commit(t.Ctx, eventstore.Commit{Schedules: []eventstore.Schedule{later(timer, c), later(off, put{"a", 5})}}); err != nil {
		t.Fatal(err)
	}
	if _, err := t.Store.Commit(t.Ctx, eventstore.Commit{Cancels: []uuid.UUID{off}}); err != nil {
		t.Fatal(err)
	}
	t.Drain(sp)
	t.wantReply(id, "command accepted", 1)
	if _, err := sp.Send(t.Ctx, c); err != nil {
		t.Error(err)
	}
	t.WantNumbers("box-a", 1)
}

func postedConflict(t *Trial) {
	var once sync.Once
	d := cash{meet: func(put) { once.Do(func() { t.Put(Event("box-a", "was put", 7)) }) }}
	sp := t.desk(&d, t.Tap(), spine.Config{})
	id := uuid.New()
	if _, err := sp.Post(t.Ctx, spine.WithID(id, put{"a", 1})); err != nil {
		t.Fatal(err)
	}
	t.Drain(sp)
	t.wantReply(id, "command accepted", 1)
	t.WantNumbers("box-a", 7, 1)
	if st := sp.Stats(); st.Failed != 0 || d.decisions.Load() != 2 {
		t.Errorf("stats are %+v after %d decisions", st, d.decisions.Load())
	}
}

func postedPanic(t *Trial) {
	var well atomic.Bool
	d := cash{meet: func(c put) {
		if c.N == 1 && !well.Load() {
			panic("no idea")
		}
	}}
	st := t.Open(t.Tap())
	o := d.organ(st)
	o.Policy.Retry.Attempts = 1
	sp := t.Spine(st, spine.Config{}, o)
	for n := 1; n <= 3; n++ {
		if _, err := sp.Post(t.Ctx, put{"a", n}); err != nil {
			t.Fatal(err)
		}
	}
	t.Drain(sp)
	t.WantParked("cash", "a@1!", "a@2", "a@3")
	well.Store(true)
	t.redrive(1, eventstore.ParkedFilter{IDs: []uuid.UUID{t.Parked("cash")[0].ID}})
	t.Drain(sp)
	t.WantParked("cash")
	t.WantNumbers("box-a", 1, 2, 1, 3, 2, 1)
}

// postedAnswered has each command come twice, in one batch and in two. The handler
// fails in its own way once a command has its answer.
func postedAnswered(t *Trial) {
	faults := map[int]func() error{
		1: func() error { return spine.Park(errors.New("too late")) },
		2: func() error { return errors.New("too late") },
		3: func() error { panic("too late") },
		4: func() error { return nil },
	}
	st := t.Open(t.Tap())
	var d cash
	o := d.organ(st)
	decide := o.Decides[0].Decide
	o.Decides[0].Decide = func(ctx context.Context, in spine.Request) (spine.Output, error) {
		for _, err := range st.Read(ctx, eventstore.WithTags(spine.CommandTag(in.ID)), eventstore.Range{}) {
			if err == nil {
				err = faults[in.Command.(put).N]()
			}
			if err != nil {
				return spine.Output{}, err
			}
		}
		return decide(ctx, in)
	}
	o.Policy.Retry.Attempts = 2
	sp := t.Spine(st, spine.Config{}, o)
	post := func(id uuid.UUID, n int) {
		t.Helper()
		if _, err := sp.Post(t.Ctx, spine.WithID(id, put{fmt.Sprint("a", n), n})); err != nil {
			t.Fatal(err)
		}
	}
	for n := 1; n <= len(faults); n++ {
		for _, apart := range []bool{false, true} {
			id := uuid.New()
			post(id, n)
			if apart {
				t.Drain(sp)
			}
			post(id, n)
			post(uuid.New(), n)
			t.Drain(sp)
			t.wantReply(id, "command accepted", n)
		}
	}
	t.WantParked("cash")
	t.WantNumbers("box-a1", 1, 1, 1, 1)
	t.WantNumbers("box-a2", 2, 1, 2, 1, 2, 1, 2, 1)
	t.WantNumbers("box-a3", 3, 2, 1, 3, 2, 1, 3, 2, 1, 3, 2, 1)
}

func postedCause(t *Trial) {
	var d cash
	sp := t.desk(&d, t.Tap(), spine.Config{})
	ctx := eventstore.WithMetadata(t.Ctx, eventstore.Metadata{Actor: "ada", Correlation: uuid.New()})
	id := uuid.New()
	if _, err := sp.Post(ctx, spine.WithID(id, put{"a", 1})); err != nil {
		t.Fatal(err)
	}
	t.Drain(sp)
	command := t.Events(eventstore.OfType("put"))[0]
	for _, e := range append(t.Events(eventstore.InStream("box-a")), t.wantReply(id, "command accepted", 1)) {
		if m := e.Metadata; m.Causation != command.ID || m.Correlation != command.Metadata.Correlation || m.Actor != "ada" || m.Depth != 1 {
			t.Errorf("%s has %+v, want what it inherits from %+v", e.Type, m, command.Metadata)
		}
	}
}

// answersToReplies reacts to a reply with a plain event: it goes to the reply's own stream.
func answersToReplies(t *Trial) {
	var d cash
	seen := On("seen", "command accepted", func(_ context.Context, in spine.Input) (spine.Output, error) {
		return Out(Event(string(in.Stream), "noted", 1)), nil
	})
	sp := t.Spine(t.Store, spine.Config{}, d.organ(t.Store), seen)
	if _, err := sp.Post(t.Ctx, put{"a", 1}); err != nil {
		t.Fatal(err)
	}
	t.Drain(sp)
	t.WantParked("seen")
	if n := len(t.Events(eventstore.OfType("noted"))); n != 1 {
		t.Errorf("the reply was answered %d times, want once", n)
	}
}
