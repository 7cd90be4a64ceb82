package spinetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func posted() []promise {
	return []promise{
		{"a command sent ten times with one id, by Post and Send, from many processes, has one effect and one answer", oneEffect},
		{"a command with an id has one effect and one answer when the outcome of its commits is unknown", oneEffectUnknown},
		{"a command with an id is answered the same before and after a crash", oneEffectCrash},
		{"a reply is in the same commit as what follows, right before it", replyInCommit},
		{"a command that leads to nothing is answered, too", replyToNothing},
		{"refusals are replies, and have no other effect", replyRefused},
		{"Send with an id returns the same result every time", sameResult},
		{"commands for one entity keep their order, whatever their streams", commandsInOrder},
		{"malformed commands are parked, and hold nobody up", malformed},
		{"a command without Decode does not come through the log", withoutDecode},
		{"a reply may be answered in its own stream", answersToReplies},
		{"a command that nobody decides is refused before it is written", undecided},
		{"a command may be scheduled, and cancelled", scheduledCommand},
		{"a command that meets a conflict is decided again", postedConflict},
		{"a command that panics is parked, and may be redriven", postedPanic},
		{"an answered command is passed over, whatever its handler would make of it now", postedAnswered},
		{"what follows from a command through the log has its event as the cause", postedCause},
	}
}

// put is a command for an entity. It is refused if N is negative, and leads to nothing if N is 0.
type put struct {
	To string
	N  int
}

func (put) CommandType() string { return "put" }
func (c put) StreamID() string  { return c.To }

// cash decides put on the newest state: it appends N events "put" to box-<entity>, which carry the numbers N, N-1 … 1.
type cash struct {
	decisions atomic.Int64
	meet      func(put) // between loading and committing
}

func (d *cash) decide(st *eventstore.Store) spine.Decide {
	return func(ctx context.Context, in spine.Request) (spine.Output, error) {
		c, err := spine.Receive[put](in)
		if err != nil {
			return spine.Output{}, err
		}
		d.decisions.Add(1)
		stream := eventstore.StreamOf("box", c.To)
		var v eventstore.Version
		var seen eventstore.Position
		for e, err := range st.Read(ctx, eventstore.InStream(stream), eventstore.Range{}) {
			if err != nil {
				return spine.Output{}, err
			}
			v, seen = e.Version, e.Position
		}
		if d.meet != nil {
			d.meet(c)
		}
		out := spine.Output{Seen: eventstore.Result{Position: seen}}
		if c.N == 0 {
			return out, nil
		}
		a := eventstore.Append{Stream: stream, Expect: eventstore.Exact(v)}
		for n := max(c.N, -c.N); n > 0; n-- {
			a.Events = append(a.Events, Event("", "was put", n))
		}
		out.Commit.Appends = []eventstore.Append{a}
		if c.N < 0 {
			return out, spine.Reject(in, errors.New("negative")) // what it returns beside counts nothing
		}
		return out, nil
	}
}

func (d *cash) organ(st *eventstore.Store) Organ {
	return Organ{Wiring: spine.Wiring{Name: "cash", Decides: []spine.CommandHandler{
		{Type: "put", Decide: d.decide(st), Decode: spine.DecodeCommand[put]},
	}}}
}

// desk is a Spine as of another process, that decides put.
func (t *Trial) desk(d *cash, tap *Tap, cfg spine.Config) *spine.Spine {
	t.Helper()
	st := t.Open(tap)
	return t.Spine(st, cfg, d.organ(st))
}

// wantReply checks that a command has exactly one reply, right before what follows from it.
func (t *Trial) wantReply(id uuid.UUID, typ string, events int) eventstore.Event {
	t.Helper()
	replies := t.Events(eventstore.WithTags(spine.CommandTag(id)))
	if len(replies) != 1 || replies[0].Type != typ || replies[0].Stream != eventstore.StreamOf("command", id.String()) {
		t.Fatalf("the replies to command %s are %+v, want one that is %s", id, replies, typ)
	}
	if typ == (spine.Accepted{}).EventType() {
		if a, err := eventstore.Decode[spine.Accepted](replies[0]); err != nil || a.Command != "put" || a.Events != events {
			t.Errorf("the reply is %+v, %v", a, err)
		}
	}
	return replies[0]
}

// answers collects what Send has returned.
type answers struct {
	mu  sync.Mutex
	all []string
}

func (a *answers) add(r eventstore.Result, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, fmt.Sprint(r, err))
}

func (a *answers) differ() bool { return len(slices.Compact(slices.Clone(a.all))) != 1 }

// sendMany posts and sends one command ten times, from several Spines at once.
func sendMany(t *Trial, spines []*spine.Spine, c spine.Command) *answers {
	var got answers
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range 10 {
		wg.Go(func() {
			<-start
			sp := spines[i%len(spines)]
			for {
				var err error
				if i%2 == 0 {
					_, err = sp.Post(t.Ctx, c)
				} else {
					var r eventstore.Result
					r, err = sp.Send(t.Ctx, c)
					if !errors.Is(err, eventstore.ErrOutcomeUnknown) {
						got.add(r, err)
					}
				}
				if !errors.Is(err, eventstore.ErrOutcomeUnknown) {
					break
				}
			}
		})
	}
	close(start)
	wg.Wait()
	return &got
}

func oneEffect(t *Trial) {
	for _, n := range []int{2, 0, -2} {
		one := NewTrial(t.T, t.harness)
		var d cash
		var spines []*spine.Spine
		for range 3 {
			sp := one.desk(&d, one.Tap(), spine.Config{})
			one.Start(sp)
			spines = append(spines, sp)
		}
		for range 5 {
			id := uuid.New()
			c := spine.WithID(id, put{"a", n})
			before := len(one.Events(eventstore.InStream("box-a")))
			if got := sendMany(one, spines, c); got.differ() {
				t.Errorf("the answers differ: %v", got.all)
			}
			one.Put(Event("other-1", "other", 0)) // so that the head is not what was parked, if anything
			one.Done("cash")
			typ := (spine.Accepted{}).EventType()
			if n < 0 {
				typ = (spine.Rejected{}).EventType()
			}
			one.wantReply(id, typ, max(n, 0))
			if got := len(one.Events(eventstore.InStream("box-a"))) - before; got != max(n, 0) {
				t.Errorf("ten commands with one id led to %d events, want %d", got, max(n, 0))
			}
		}
		one.WantParked("cash")
	}
}

// oneEffectUnknown has every other commit of every process vanish or be written unnoticed.
func oneEffectUnknown(t *Trial) {
	var d cash
	var spines []*spine.Spine
	for k := range 3 {
		tap := t.Tap()
		var n atomic.Int64
		tap.OnCommit = func(batch []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
			if len(batch[0].Appends) == 0 {
				return write()
			}
			switch (n.Add(1) + int64(k)) % 4 {
			case 0:
				return unnoticed(write)
			case 1:
				return vanishes(write)
			default:
				return write()
			}
		}
		sp := t.desk(&d, tap, spine.Config{Conflicts: 1000})
		t.Start(sp)
		spines = append(spines, sp)
	}
	for i := range 8 {
		id := uuid.New()
		if got := sendMany(t, spines, spine.WithID(id, put{"a", 1})); got.differ() {
			t.Errorf("the answers differ: %v", got.all)
		}
		t.Done("cash")
		t.wantReply(id, "command accepted", 1)
		if got := len(t.Events(eventstore.InStream("box-a"))); got != i+1 {
			t.Fatalf("%d commands led to %d events", i+1, got)
		}
	}
	t.WantParked("cash")
}

// oneEffectCrash cuts the deciding process off at each of its commits, and sends the command again.
func oneEffectCrash(t *Trial) {
	for _, way := range []disturbance{vanishes, unnoticed} {
		for at := int64(1); at <= 3; at++ {
			one := NewTrial(t.T, t.harness)
			var d cash
			id := uuid.New()
			c := spine.WithID(id, put{"a", 2})
			tap := one.Tap()
			var n atomic.Int64
			tap.OnCommit = func(_ []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
				if n.Add(1) == at {
					defer tap.Cut()
					return way(write)
				}
				return write()
			}
			first := one.desk(&d, tap, spine.Config{Lease: 100 * time.Millisecond, Grace: time.Millisecond})
			ctx, cancel := context.WithCancel(one.Ctx)
			go func() { <-tap.off; cancel() }()
			_, _ = first.Post(ctx, c)
			_, _ = first.Drain(ctx)
			tap.Cut()
			cancel()
			second := one.desk(&d, one.Tap(), spine.Config{Lease: 100 * time.Millisecond})
			if _, err := second.Post(one.Ctx, c); err != nil {
				t.Fatal(err)
			}
			one.Drain(second)
			one.wantReply(id, "command accepted", 2)
			one.WantNumbers("box-a", 2, 1)
			var got answers
			got.add(second.Send(one.Ctx, c))
			got.add(one.desk(&d, one.Tap(), spine.Config{}).Send(one.Ctx, c))
			if got.differ() {
				t.Errorf("the answers differ: %v", got.all)
			}
			one.WantNumbers("box-a", 2, 1)
		}
	}
}

func replyInCommit(t *Trial) {
	var d cash
	tap := t.Tap()
	apart := 0
	tap.OnCommit = func(batch []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
		for _, c := range batch {
			replies, effects := 0, 0
			for _, a := range c.Appends {
				for _, e := range a.Events {
					if strings.HasPrefix(e.Type, "command ") {
						replies++
					} else if e.Type == "was put" {
						effects++
					}
				}
			}
			if effects != 2*replies || effects > 0 && len(c.Checkpoints) == 0 {
				apart++
			}
		}
		return write()
	}
	sp := t.desk(&d, tap, spine.Config{})
	var ids []uuid.UUID
	for i := range 20 {
		ids = append(ids, uuid.New())
		if _, err := sp.Post(t.Ctx, spine.WithID(ids[i], put{fmt.Sprint(i % 7), 2})); err != nil {
			t.Fatal(err)
		}
	}
	t.Drain(sp)
	if apart > 0 {
		t.Errorf("%d commits had replies without effects, or the other way round, or no checkpoint", apart)
	}
	for i, id := range ids {
		at := t.wantReply(id, "command accepted", 2).Position
		for n, e := range t.Events(eventstore.InStream(eventstore.StreamOf("box", fmt.Sprint(i%7)))) {
			if n/2 == i/7 && e.Position != at+1+eventstore.Position(n%2) {
				t.Errorf("command %d was answered at %d, its effect %d is at %d", i, at, n%2+1, e.Position)
			}
		}
	}
}

func replyToNothing(t *Trial) {
	var d cash
	sp := t.desk(&d, t.Tap(), spine.Config{})
	a, b := uuid.New(), uuid.New()
	if _, err := sp.Post(t.Ctx, spine.WithID(a, put{"a", 0})); err != nil {
		t.Fatal(err)
	}
	t.Drain(sp)
	at := t.wantReply(a, "command accepted", 0).Position
	if r, err := sp.Send(t.Ctx, spine.WithID(a, put{"a", 0})); err != nil || r.Position != at || r.First != 0 || len(r.Versions) > 0 {
		t.Errorf("Send returned %+v, %v, want the reply's position %d", r, err, at)
	}
	r, err := sp.Send(t.Ctx, spine.WithID(b, put{"a", 0}))
	if at := t.wantReply(b, "command accepted", 0).Position; err != nil || r.Position != at {
		t.Errorf("Send returned %+v, %v, want the reply's position %d", r, err, at)
	}
}

func replyRefused(t *Trial) {
	var d cash
	sp := t.desk(&d, t.Tap(), spine.Config{})
	a, b := uuid.New(), uuid.New()
	if _, err := sp.Post(t.Ctx, spine.WithID(a, put{"a", -3})); err != nil {
		t.Fatal(err)
	}
	t.Drain(sp)
	for _, id := range []uuid.UUID{a, b} {
		for range 2 {
			_, err := sp.Send(t.Ctx, spine.WithID(id, put{"a", -3}))
			if r, ok := errors.AsType[*spine.RejectedError](err); !ok || r.Command != "put" || r.Err.Error() != "negative" {
				t.Errorf("Send returned %v, want the refusal", err)
			}
		}
		r, err := eventstore.Decode[spine.Rejected](t.wantReply(id, "command rejected", 0))
		if err != nil || r.Command != "put" || r.Reason != "negative" {
			t.Errorf("the reply is %+v, %v", r, err)
		}
	}
	t.WantNumbers("box-a")
	t.WantParked("cash")
	if d.decisions.Load() != 2 {
		t.Errorf("two commands were decided %d times", d.decisions.Load())
	}
	if st := sp.Stats(); st.Failed != 0 {
		t.Errorf("stats are %+v: a refusal is no failure", st)
	}
}

func sameResult(t *Trial) {
	var d cash
	sp := t.desk(&d, t.Tap(), spine.Config{})
	t.Put(Event("box-a", "was put", 9))
	c := spine.WithID(uuid.New(), put{"a", 3})
	first, err := sp.Send(t.Ctx, c)
	if err != nil || first.Version() != 4 || first.Position-first.First != 2 {
		t.Fatalf("Send returned %+v, %v", first, err)
	}
	t.Put(Event("box-a", "was put", 8))
	other := t.desk(&d, t.Tap(), spine.Config{})
	for _, again := range []*spine.Spine{sp, other, sp} {
		if r, err := again.Send(t.Ctx, c); err != nil || fmt.Sprint(r) != fmt.Sprint(first) {
			t.Errorf("Send returned %+v, %v, want %+v again", r, err, first)
		}
	}
	for _, e := range t.Events(eventstore.InStream("box-a"))[1:4] {
		if e.Position < first.First || e.Position > first.Position {
			t.Errorf("its event at %d is not within %+v", e.Position, first)
		}
	}
	for _, bad := range []spine.Command{spine.WithID(uuid.Nil, put{"a", 1}), spine.WithID(uuid.New(), nil), spine.WithID(uuid.New(), (*put)(nil))} {
		if _, err := sp.Send(t.Ctx, bad); !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("Send(%+v) returned %v, want ErrInvalid", bad, err)
		}
		if _, err := sp.Post(t.Ctx, bad); !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("Post(%+v) returned %v, want ErrInvalid", bad, err)
		}
		if _, err := t.Store.Emit(t.Ctx, spine.Post(bad)); !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("Emit of Post(%+v) returned %v, want ErrInvalid", bad, err)
		}
	}
}
