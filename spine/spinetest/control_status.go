package spinetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

// status is how an organ stands, as a store has it.
func (t *Trial) status(st *eventstore.Store, organ string) eventstore.Status {
	t.Helper()
	s, err := st.Status(t.Ctx, organ)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func statusInVain(t *Trial) {
	if s, err := t.Store.Status(t.Ctx, "nobody"); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("Status of an unknown organ returned %+v, %v, want ErrInvalid", s, err)
	}
	if all, err := t.Store.Statuses(t.Ctx); len(all) > 0 || err != nil {
		t.Errorf("Statuses without organs returned %+v, %v", all, err)
	}
}

// statusAgrees asks through three connections, one of which runs the organs.
func statusAgrees(t *Trial) {
	on := t.Open(t.Tap())
	failing := On("failing", "in", func(_ context.Context, in spine.Input) (spine.Output, error) {
		return spine.Output{}, fmt.Errorf("%d is odd", N(in.Event))
	})
	t.Start(t.Spine(on, spine.Config{Lease: time.Hour}, On("organ", "in", Ignore), competing("workers", Ignore), failing))
	for i := range 9 {
		t.Put(Event(fmt.Sprint("s-", i%3), "in", i))
	}
	t.Done("organ")
	t.Until("all have come to the end", func() bool {
		return t.status(t.Store, "failing").Lag == 0 && t.status(t.Store, "workers").Lag == 0
	})
	for _, name := range []string{"failing", "organ", "workers"} {
		s := t.status(t.Store, name)
		if s.Head != t.Head() || s.Position != s.Head || s.Behind != 0 || s.Window != 0 || s.Done() != 1 || len(s.Members) != 1 {
			t.Errorf("at the end of the log it is %+v", s)
		}
		parks := name == "failing"
		if s.Healthy() == parks || parks != (s.Parked == 9 && s.ParkedKeys == 3) || parks != strings.HasSuffix(s.LastError, " is odd") {
			t.Errorf("%s is %+v, in trouble %q", name, s, s.Trouble())
		}
	}
	want, err := t.Store.Statuses(t.Ctx)
	t.must(err)
	for _, st := range []*eventstore.Store{on, t.Open(t.Tap())} {
		got, err := st.Statuses(t.Ctx)
		t.must(err)
		for i := range min(len(got), len(want)) {
			got[i].At = want[i].At
			if single := t.status(st, want[i].Consumer); single.String() != want[i].String() {
				t.Errorf("Status is %s, among Statuses %s", single, want[i])
			}
		}
		if len(want) != 3 || !reflect.DeepEqual(got, want) {
			t.Errorf("from another store it is\n%+v\nnot\n%+v", got, want)
		}
	}
}

// statusOfDead cuts a process off. It keeps its lease for a while, and can tell nobody.
func statusOfDead(t *Trial) {
	tap := t.Tap()
	sp := t.Spine(t.Open(tap), spine.Config{Lease: 300 * time.Millisecond, Grace: time.Millisecond}, On("organ", "in", Ignore))
	stop := t.Start(sp)
	t.Put(Event("s-1", "in", 1))
	t.Done("organ")
	stood := t.status(t.Store, "organ")
	tap.Cut()
	if err := stop(); err != nil {
		t.Error(err)
	}
	before := stood
	for n := range int64(5) {
		t.Put(Event("s-1", "in", 2))
		s := t.status(t.Store, "organ")
		if s.Position != stood.Position || s.Lag != n+1 || s.Behind < before.Behind || s.Since(before).Nears {
			t.Errorf("with %d more events it is %+v, after %+v", n+1, s, before)
		}
		before = s
	}
	t.Until("its lease is over", func() bool { return len(t.status(t.Store, "organ").Unowned) == 16 })
	s := t.status(t.Store, "organ")
	if s.Behind <= 0 {
		t.Errorf("it is behind for %s", s.Behind)
	}
	if want := fmt.Sprintf("it stands at %d of %d, nobody works it", stood.Position, t.Head()); !slices.Equal(s.Trouble(), []string{want}) {
		t.Errorf("it is in trouble %q, want %q", s.Trouble(), want)
	}
	t.Start(t.another(spine.Config{}, On("organ", "in", Ignore)))
	t.Done("organ")
	if after := t.status(t.Store, "organ"); after.Lag != 0 || !after.Healthy() || after.Since(s).Rate <= 0 {
		t.Errorf("taken over, it is %+v, in trouble %q", after, after.Trouble())
	}
}

func statusOfPaused(t *Trial) {
	t.Put(Event("s-1", "in", 1))
	organ := On("organ", "in", Ignore)
	t.Start(t.another(spine.Config{}, organ))
	t.Done("organ")
	t.must(t.Store.Pause(t.Ctx, "organ"))
	t.Put(Event("s-1", "in", 2))
	s := t.status(t.Store, "organ")
	if want := "it stands at 1 of 2, paused"; !s.Paused || s.Lag != 1 || !slices.Equal(s.Trouble(), []string{want}) {
		t.Errorf("paused it is %+v, in trouble %q", s, s.Trouble())
	}
	t.must(t.Store.Resume(t.Ctx, "organ"))
	t.Done("organ")
	if s := t.status(t.Store, "organ"); s.Paused || s.Lag != 0 || !s.Healthy() {
		t.Errorf("resumed it is %+v, in trouble %q", s, s.Trouble())
	}
}

// statusHonest looks again and again while somebody writes: what has no lag is done.
func statusHonest(t *Trial) {
	tap := t.Tap()
	st := t.Open(tap)
	t.Start(t.another(spine.Config{}, On("organ", "in", Ignore)))
	t.Put(Event("s-1", "in", 0))
	t.Done("organ")
	var writer sync.WaitGroup
	defer writer.Wait()
	writer.Go(func() {
		for i := range 100 {
			if _, err := t.Store.Commit(t.Ctx, Out(Event(fmt.Sprint("s-", i%9), "in", i)).Commit); err != nil {
				t.Errorf("write: %v", err)
			}
		}
	})
	for done := false; !done; {
		s := t.status(st, "organ")
		done = s.Head == 101 && s.Lag == 0
		if s.Lag > 0 {
			continue
		}
		calls := tap.Calls.Load()
		if err := st.WaitFor(t.Ctx, "organ", s.Head); err != nil {
			t.Errorf("without lag, WaitFor returned %v", err)
		}
		if n := tap.Calls.Load() - calls; n != 2 { // the roster, what is parked
			t.Fatalf("without lag, WaitFor took %d looks at the log", n)
		}
	}
}
