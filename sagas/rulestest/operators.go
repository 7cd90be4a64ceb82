package rulestest

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

// operators is about what operators see and do.
func operators() []rule {
	return []rule{
		{"an instance that is not past its pivot can be cancelled, and is undone", func(t *trial) {
			p := t.stage(saga(does("a"), farOff("b"), sagas.Pivot[trip](final("c"))))
			p.begin("1")
			p.Drain(p.sp)
			p.must(p.instances().Cancel(p.Ctx, "1", by))
			p.Drain(p.sp)
			p.wantState("1", sagas.Compensating) // b is under way
			p.comes()
			p.wantState("1", sagas.Cancelled)
			p.together("1", "turned compensating by ann: it must go on")
			if got := p.show("1").Reason; got != by.Why {
				t.Errorf("the reason is %q", got)
			}
		}},
		{"one that is being compensated as far as a savepoint can be cancelled, too", func(t *trial) {
			t.world.will("c", no, no, no)
			b := t.within(does("b"), 9, 1)
			b.Undo = sagas.Command(func(s trip) far { return far{s.ID, "b"} })
			p := t.stage(saga(does("a"), sagas.Savepoint[trip]{Retry: t.tries(3)}, b, does("c")))
			p.begin("1")
			p.Drain(p.sp)
			p.wantState("1", sagas.Compensating)
			p.must(p.instances().Cancel(p.Ctx, "1", by))
			p.comes()
			p.wantState("1", sagas.Cancelled)
			if n := t.world.asks("c", "1"); n != 1 {
				t.Errorf("c was asked %d times, want once", n)
			}
		}},
		{"one that is suspended while it is undone, or stuck, goes on from there", func(t *trial) {
			t.world.will("b", no)
			t.world.will("undo a", no)
			a := does("a")
			a.UndoRetry = sagas.Retry{Attempts: 1}
			p := t.stage(saga(a, does("b")))
			p.run("1")
			p.wantState("1", sagas.UndoStuck)
			p.must(p.instances().Suspend(p.Ctx, "1", by))
			for what, err := range map[string]error{
				"retry": p.instances().Retry(p.Ctx, "1", by), "skip": p.instances().Skip(p.Ctx, "1", "a", by),
				"cancel": p.instances().Cancel(p.Ctx, "1", by), "suspend": p.instances().Suspend(p.Ctx, "1", by),
			} {
				if !errors.Is(err, sagas.ErrNotNow) {
					t.Errorf("%s while it is suspended: %v", what, err)
				}
			}
			p.must(p.instances().Resume(p.Ctx, "1", by))
			p.wantState("1", sagas.UndoStuck)
			p.must(p.instances().Retry(p.Ctx, "1", by))
			p.must(p.instances().Suspend(p.Ctx, "1", by))
			p.end()
			p.wantState("1", sagas.Suspended)
			p.wantFacts("1", "did a", "undid a")
			p.must(p.instances().Resume(p.Ctx, "1", by))
			p.end()
			p.wantState("1", sagas.Compensated)
		}},
		{"every operation stands in the timeline, with who and why", func(t *trial) {
			p := t.stage(saga(farOff("a")))
			p.begin("1")
			in := p.instances()
			p.must(in.Suspend(p.Ctx, "1", sagas.By{Who: "ann", Why: "a look"}))
			p.must(in.Resume(p.Ctx, "1", sagas.By{Who: "bob", Why: "seen"}))
			p.must(in.Cancel(p.Ctx, "1", sagas.By{Who: "eve", Why: "enough"}))
			p.want("1", "sent a", "turned suspended by ann: a look", "turned running by bob: seen", "turned compensating by eve: enough")
		}},
		{"instances are listed and counted by their state, those first to which nothing has happened for the longest time", func(t *trial) {
			t.world.will("2/b", no)
			t.world.will("3/c", no)
			c := final("c")
			c.Retry = sagas.Retry{Attempts: 1}
			e := farOff("e")
			e.Undo, e.Timeout = sagas.Action[trip]{}, time.Hour
			p := t.stage(saga(does("a"), does("b"), sagas.Pivot[trip](final("p")), c, e))
			for _, id := range []string{"1", "2", "3"} {
				p.begin(id)
				p.Drain(p.sp)
			}
			t.pass(41 * t.unit)
			p.begin("4")
			head := p.Head()
			p.must(p.instances().Suspend(p.Ctx, "4", by))
			p.Drain(p.sp)
			head = max(head, p.Head())
			list := func(w sagas.Which) (all []string) {
				t.Helper()
				for k, err := range p.instances().List(p.Ctx, w, projections.AtLeast(head)) {
					p.must(err)
					all = append(all, strings.TrimSpace(k.Key+" "+string(k.Row.State)+" "+strings.Join(k.Row.Waits, " ")))
				}
				if n, err := p.instances().Count(p.Ctx, w, projections.AtLeast(head)); err != nil || int(n) != len(all) {
					t.Errorf("%d are counted and %d listed: %v", n, len(all), err)
				}
				return all
			}
			for which, want := range map[sagas.Which][]string{
				{}:                          {"1 forward only e", "2 compensated", "3 forward stuck c", "4 suspended"},
				{State: sagas.ForwardStuck}: {"3 forward stuck c"},
				{State: sagas.Completed}:    nil,
				{Silent: 40 * t.unit}:       {"1 forward only e", "2 compensated", "3 forward stuck c"},
				{Silent: time.Hour}:         nil,
			} {
				if got := list(which); !slices.Equal(got, want) {
					t.Errorf("of %+v are listed %q, want %q", which, got, want)
				}
			}
		}},
		{"what is shown of an instance is all that has happened to it", func(t *trial) {
			t.world.will("c", no)
			p := t.stage(saga(does("a"), final("b"), does("c"), does("d")))
			p.run("1")
			line := p.show("1")
			if line.Saga != "trip" || line.Instance != "1" || line.Version != 1 || line.Reason != "c: no" {
				t.Errorf("it is %+v", line)
			}
			want := map[string]sagas.What{"undo a": sagas.Succeeded, "undo b": sagas.Succeeded, "c": sagas.Refused}
			for step, what := range want {
				if line.Steps[step] != what {
					t.Errorf("%s is %s, want %s", step, line.Steps[step], what)
				}
			}
			if len(line.Steps) != len(want) {
				t.Errorf("the steps are %v", line.Steps)
			}
			if _, err := p.instances().Show(p.Ctx, "2"); !errors.Is(err, sagas.ErrNoInstance) {
				t.Errorf("show what there is not: %v", err)
			}
		}},
		{"an instance ends under the version that it began with", func(t *trial) {
			one := saga(farOff("a"), does("b"))
			p := t.stage(one)
			p.begin("1")
			p.Drain(p.sp)
			two := saga(does("z"))
			two.Version, two.Former = 2, []sagas.Saga[trip]{one}
			p = t.stage(two)
			p.begin("2")
			p.comes()
			p.want("1", "sent a", "succeeded a", "sent b", "succeeded b", "turned completed")
			p.want("2", "sent z", "succeeded z", "turned completed")
			if line := p.show("2"); line.Version != 2 {
				t.Errorf("it is of version %d", line.Version)
			}
		}},
		{"a program that lacks a version of which instances live does not start, and says which", func(t *trial) {
			one := saga(farOff("a"), does("b"))
			p := t.stage(one)
			for _, id := range []string{"1", "2"} {
				p.begin(id)
			}
			p.must(p.instances().Cancel(p.Ctx, "2", by))
			p.Drain(p.sp)
			p.begin("3") // the rows do not show it yet
			two := saga(does("z"))
			two.Version = 2
			bad := t.Spine(t.Store, spine.Config{}, two, t.world.near())
			_, err := bad.Drain(p.Ctx)
			live, ok := errors.AsType[*sagas.LiveError](err)
			if !ok || live.Saga != "trip" || len(live.Instances) != 1 || !slices.Equal(live.Instances[1], []string{"1", "2", "3"}) {
				t.Fatalf("it started: %v", err)
			}
			if want := "saga trip: instances live of versions that it does not define, and that Former is to list: version 1: 1, 2, 3"; live.Error() != want {
				t.Errorf("it says %q", live)
			}
			p.comes()
			for _, id := range []string{"1", "2", "3"} {
				if s := p.show(id).State; !s.Ended() {
					t.Errorf("%s is %s", id, s)
				}
			}
			if _, err := t.Spine(t.Store, spine.Config{}, two, t.world.near()).Drain(p.Ctx); err != nil {
				t.Errorf("all have ended, and it does not start: %v", err)
			}
		}},
	}
}
