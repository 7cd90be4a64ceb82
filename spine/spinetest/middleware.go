package spinetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func middlewares() []promise {
	return []promise{
		{"middleware stands around decisions in its order, by Send and through the log", middlewareOrder},
		{"middleware runs again when the decision does", middlewareAgain},
		{"what middleware refuses is a refusal, and nothing is loaded", middlewareRefuses},
		{"middleware that fails or panics is a failure", middlewareFails},
		{"an organ in several Spines has only the middleware of each", middlewareOnce},
		{"Validating and Authorizing refuse by Send and through the log", validates},
	}
}

// steps are what middleware notes.
type steps struct {
	mu  sync.Mutex
	all []string
}

func (s *steps) note(step string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, step)
}

func (s *steps) taken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.all
	s.all = nil
	return all
}

// named notes when it is entered and left.
func (s *steps) named(name string) spine.Middleware {
	return func(next spine.Decide) spine.Decide {
		return func(ctx context.Context, in spine.Request) (spine.Output, error) {
			s.note(name)
			defer s.note(name + "/")
			return next(ctx, in)
		}
	}
}

func middlewareOrder(t *Trial) {
	var s steps
	d := cash{meet: func(put) { s.note("decide") }}
	sp := t.desk(&d, t.Tap(), spine.Config{Middleware: []spine.Middleware{s.named("a"), s.named("b"), s.named("c")}})
	want := []string{"a", "b", "c", "decide", "c/", "b/", "a/"}
	for _, way := range []func(spine.Command) error{
		func(c spine.Command) error { _, err := sp.Send(t.Ctx, c); return err },
		func(c spine.Command) error { _, err := sp.Post(t.Ctx, c); t.Drain(sp); return err },
	} {
		for _, c := range []spine.Command{put{"a", 1}, spine.WithID(uuid.New(), put{"a", 1}), &put{"a", 1}} {
			if err := way(c); err != nil {
				t.Error(err)
			}
			if got := s.taken(); !slices.Equal(got, want) {
				t.Errorf("%#v took the steps %v, want %v", c, got, want)
			}
		}
	}
	t.WantNumbers("box-a", 1, 1, 1, 1, 1, 1)
}

func middlewareAgain(t *Trial) {
	var s steps
	meddle := 2
	d := cash{meet: func(put) {
		if meddle--; meddle >= 0 {
			t.Put(Event("box-a", "was put", 7))
		}
	}}
	sp := t.desk(&d, t.Tap(), spine.Config{Middleware: []spine.Middleware{s.named("a")}})
	if _, err := sp.Send(t.Ctx, put{"a", 1}); err != nil {
		t.Error(err)
	}
	if got := s.taken(); len(got) != 6 {
		t.Errorf("with two conflicts it took the steps %v", got)
	}
}

func middlewareRefuses(t *Trial) {
	var d cash
	no := errors.New("not today")
	sp := t.desk(&d, t.Tap(), spine.Config{Middleware: []spine.Middleware{func(spine.Decide) spine.Decide {
		return func(_ context.Context, in spine.Request) (spine.Output, error) {
			return spine.Output{}, spine.Reject(in, no)
		}
	}}})
	if _, err := sp.Send(t.Ctx, put{"a", 1}); !errors.Is(err, no) {
		t.Errorf("Send returned %v", err)
	}
	id := uuid.New()
	if _, err := sp.Post(t.Ctx, spine.WithID(id, put{"a", 1})); err != nil {
		t.Fatal(err)
	}
	t.Drain(sp)
	if r, err := eventstore.Decode[spine.Rejected](t.wantReply(id, "command rejected", 0)); err != nil || r.Command != "put" || r.Reason != no.Error() {
		t.Errorf("the reply is %+v, %v", r, err)
	}
	if d.decisions.Load() != 0 {
		t.Error("the command was decided")
	}
}

func middlewareFails(t *Trial) {
	var d cash
	no := errors.New("out of order")
	for name, fail := range map[string]func() error{"fails": func() error { return no }, "panics": func() error { panic(no) }} {
		one := NewTrial(t.T, t.harness)
		st := one.Open(one.Tap())
		o := d.organ(st)
		o.Policy.Retry.Attempts = 1
		sp := one.Spine(st, spine.Config{Middleware: []spine.Middleware{func(next spine.Decide) spine.Decide {
			return func(ctx context.Context, in spine.Request) (spine.Output, error) {
				if c, ok := in.Command.(put); ok && c.N == 1 {
					return spine.Output{}, fail()
				}
				return next(ctx, in)
			}
		}}}, o)
		if _, err := sp.Send(one.Ctx, put{"a", 1}); !errors.Is(err, no) {
			t.Errorf("where middleware %s, Send returned %v", name, err)
		}
		for n := 1; n <= 2; n++ {
			if _, err := sp.Post(one.Ctx, put{fmt.Sprint("e", n), n}); err != nil {
				t.Fatal(err)
			}
		}
		one.Drain(sp)
		one.WantParked("cash", "e1@1!")
		one.WantNumbers("box-e2", 2, 1)
		if f := one.Parked("cash")[0].Failures[0].Error; !strings.Contains(f, no.Error()) {
			t.Errorf("it is parked for %q", f)
		}
	}
}

func middlewareOnce(t *Trial) {
	var s steps
	var d cash
	o := d.organ(t.Store)
	first := t.Spine(t.Store, spine.Config{Middleware: []spine.Middleware{s.named("first")}}, o)
	second := t.Spine(t.Store, spine.Config{Middleware: []spine.Middleware{s.named("second")}}, o)
	for name, sp := range map[string]*spine.Spine{"first": first, "second": second} {
		if _, err := sp.Send(t.Ctx, put{"a", 1}); err != nil {
			t.Error(err)
		}
		if got := s.taken(); !slices.Equal(got, []string{name, name + "/"}) {
			t.Errorf("%s took the steps %v", name, got)
		}
	}
}

// checked is a put that knows when it makes no sense.
type checked struct{ put }

func (checked) CommandType() string { return "checked" }

func (c checked) Validate() error {
	if c.N > 100 {
		return errors.New("that is too much")
	}
	return nil
}

func validates(t *Trial) {
	var loads int
	o := Organ{Wiring: spine.Wiring{Name: "cash", Decides: []spine.CommandHandler{{
		Type: "checked", Decode: spine.DecodeCommand[checked],
		Decide: func(context.Context, spine.Request) (spine.Output, error) {
			loads++
			return Out(Event("box-a", "was put", 1)), nil
		},
	}}}}
	allow := func(_ context.Context, in spine.Request) error {
		if in.Metadata.Actor != "ada" {
			return fmt.Errorf("%q may not", in.Metadata.Actor)
		}
		return nil
	}
	sp := t.Spine(t.Store, spine.Config{Middleware: []spine.Middleware{spine.Authorizing(allow), spine.Validating()}}, o)
	for _, c := range []struct {
		actor, reason string
		n             int
	}{{"eve", `"eve" may not`, 1}, {"ada", "that is too much", 101}, {"ada", "", 1}, {"eve", `"eve" may not`, 101}} {
		ctx := eventstore.WithMetadata(t.Ctx, eventstore.Metadata{Actor: c.actor})
		command := checked{put{"a", c.n}}
		_, err := sp.Send(ctx, &command)
		if r, refused := errors.AsType[*spine.RejectedError](err); refused != (c.reason != "") || refused && r.Err.Error() != c.reason {
			t.Errorf("Send by %s returned %v, want %q", c.actor, err, c.reason)
		}
		id := uuid.New()
		if _, err := sp.Post(ctx, spine.WithID(id, command)); err != nil {
			t.Fatal(err)
		}
		t.Drain(sp)
		reply := t.Events(eventstore.WithTags(spine.CommandTag(id)))
		if len(reply) != 1 {
			t.Fatalf("there are %d replies", len(reply))
		}
		if r, _ := eventstore.Decode[spine.Rejected](reply[0]); r.Reason != c.reason {
			t.Errorf("the reply to %s is %s", c.actor, reply[0].Data)
		}
	}
	if loads != 2 {
		t.Errorf("%d commands were decided, want the 2 that are in order", loads)
	}
}
