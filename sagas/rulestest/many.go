package rulestest

import (
	"fmt"
	"slices"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

type tolled struct{ Times int }

func (tolled) EventType() string { return "tolled" }

// many is about many instances.
func many() []rule {
	return []rule{
		{"one event for very many instances is taken up by each once, in commits that are not too big", func(t *trial) {
			n := 10_000
			if !t.virtual {
				n = 2_000 // a server on a busy machine takes some seconds for those
			}
			all := make([]string, n)
			for i := range all {
				all[i] = fmt.Sprint(i)
			}
			p := &play{trial: t}
			bell := sagas.Process[trip]{
				Name: "bell",
				Key:  func(eventstore.Event) ([]string, error) { return all, nil },
				React: sagas.Reactions[trip]{
					sagas.Start(func(_ trip, e tolled) sagas.Actions {
						if e.Times == 1 {
							return sagas.Actions{sagas.SetTimer("rest", time.Hour)}
						}
						return sagas.Actions{sagas.Done()}
					}),
					sagas.OnTimer("rest", func(trip) sagas.Actions { return nil }),
				},
			}
			p.sp = t.Spine(t.Store, spine.Config{MaxSteps: 1_000_000}, bell)
			for times := range 2 {
				_, err := p.sp.Emit(p.Ctx, tolled{times + 1})
				p.must(err)
				next := p.Drain(p.sp)
				state := sagas.Running
				if times == 1 {
					state = sagas.Completed
				}
				if got, err := bell.Instances(p.Store).Count(p.Ctx, sagas.Which{State: state}); err != nil || int(got) != n {
					t.Errorf("after %d tolls %d are %s: %v", times+1, got, state, err)
				}
				if next.IsZero() != (times == 1) {
					t.Errorf("after %d tolls the next thing is due at %s", times+1, next)
				}
			}
			p.wantParked()
			if got := len(p.Events(eventstore.OfType("saga moved"))); got != 2*n {
				t.Errorf("the instances have moved %d times, want %d", got, 2*n)
			}
			for _, id := range []string{all[0], all[n-1]} {
				line, err := bell.Instances(p.Store).Show(p.Ctx, id)
				p.must(err)
				if got := told(line); !slices.Equal(got, []string{"took tolled", "set rest", "took tolled", "stopped rest", "turned completed"}) {
					t.Errorf("%s came to %q", id, got)
				}
			}
		}},
		{"one event may be for more instances than what follows fits into a commit", func(t *trial) {
			n := 400
			if !t.virtual {
				n = 230
			}
			all := make([]string, n)
			for i := range all {
				all[i] = fmt.Sprint(i)
			}
			p := &play{trial: t}
			p.Store = t.Open(t.Tap(), eventstore.Config{MaxEvents: 450})
			bell := sagas.Process[trip]{
				Name: "bell", Policy: spine.Policy{Partitions: 1, Retry: spine.Retry{Attempts: 1}},
				Key:    func(eventstore.Event) ([]string, error) { return all, nil },
				Evolve: sagas.Evolve[trip]{sagas.On(func(s *trip, e tolled) { s.Did = append(s.Did, fmt.Sprint(e.Times)) })},
				React:  sagas.Reactions[trip]{sagas.Start(func(trip, tolled) sagas.Actions { return nil })},
			}
			p.sp = t.Spine(p.Store, spine.Config{MaxSteps: 1_000_000}, bell)
			for times := range 3 {
				_, err := p.sp.Emit(p.Ctx, tolled{times})
				p.must(err)
			}
			p.end()
			p.wantParked()
			for _, id := range all {
				line, err := bell.Instances(p.Store).Show(p.Ctx, id)
				p.must(err)
				if string(line.Result) != `{"ID":"","Did":["0","1","2"]}` {
					t.Fatalf("%s remembers %s", id, line.Result)
				}
			}
		}},
		{"an instance whose fold panics is set aside alone", func(t *trial) {
			a := does("a")
			a.On = sagas.Outcomes[trip]{sagas.Success(func(s *trip, e did) {
				if s.ID == "7" {
					panic("cannot count to seven")
				}
				s.Did = append(s.Did, e.Step)
			})}
			s := saga(a, does("b"))
			s.Policy = spine.Policy{Partitions: 1, Retry: spine.Retry{Attempts: 2, Base: time.Millisecond}}
			p := t.stage(s)
			for i := range 20 {
				p.begin(fmt.Sprint(i))
			}
			p.until(func() bool { return len(p.Parked("saga.trip")) > 0 })
			for i := range 20 {
				want := sagas.Completed
				if i == 7 {
					want = sagas.Running
				}
				p.wantState(fmt.Sprint(i), want)
			}
			for _, e := range p.Parked("") {
				if e.Key != "7" || e.Consumer != "saga.trip" {
					t.Errorf("parked for %s of %s", e.Key, e.Consumer)
				}
			}
			// Once it can be handled, it goes on from there.
			p = t.stage(saga(does("a"), does("b")))
			_, err := p.Store.Redrive(p.Ctx, eventstore.ParkedFilter{})
			p.must(err)
			p.end()
			p.wantState("7", sagas.Completed)
			p.wantParked()
		}},
	}
}
