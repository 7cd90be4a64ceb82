package organs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// SeatsAdded is at its second schema.
type SeatsAdded struct {
	Course string
	Seats  int
}

func (SeatsAdded) EventType() string     { return "seats added" }
func (SeatsAdded) SchemaVersion() int    { return 2 }
func (e SeatsAdded) EventTags() []string { return []string{"course:" + e.Course} }

// formerCourses reads what was written when enrolled students were "signed up", courses were "planned" together
// with their first student, and seats were counted in rows of ten.
func formerCourses() eventstore.Config {
	return eventstore.Config{Upcasters: []eventstore.Upcaster{
		eventstore.Rename("signed up", "student enrolled"),
		{Type: "course planned", Into: []string{"course opened", "student enrolled"}, Up: func(old eventstore.Raw) ([]eventstore.Raw, error) {
			return []eventstore.Raw{{Type: "course opened", Data: old.Data}, {Type: "student enrolled", Data: old.Data}}, nil
		}},
		eventstore.UpcastFields("seats added", 1, func(f map[string]any) error {
			rows, err := f["Rows"].(json.Number).Int64()
			f["Seats"] = 10 * rows
			return err
		}),
	}}
}

// courses is enrolment that also knows added seats, and tells what it has decided on.
func courses(saw *[]Seats, meanwhile func()) organs.Decision[Seats, Enrol] {
	d := enrolment()
	d.Evolve = append(d.Evolve, organs.On(func(s *Seats, e SeatsAdded) { s.Free += e.Seats }))
	decide := d.Decide
	d.Decide = func(s Seats, c Enrol) (organs.Events, error) {
		*saw = append(*saw, s)
		meanwhile()
		return decide(s, c)
	}
	return d
}

func TestDecisionSeesUpcastEvents(t *testing.T) {
	t.Parallel()
	st := eventstore.New(memory.New(), formerCourses())
	defer st.Close()
	appendOld(t, st, "course-go", "course planned", `{"Course":"go","Seats":2,"Student":"ann"}`, "course:go", "student:ann")
	appendOld(t, st, "course-go", "seats added", `{"Course":"go","Rows":1}`, "course:go")
	appendOld(t, st, "course-go", "signed up", `{"Course":"go","Student":"bob"}`, "course:go", "student:bob")
	appendOld(t, st, "course-sql", "signed up", `{"Course":"sql","Student":"ann"}`, "course:sql", "student:ann")
	var saw []Seats
	sp := newSpine(t, st, courses(&saw, func() {}))
	for student, want := range map[string]error{"cid": nil, "ann": errTooMany} {
		if _, err := sp.Send(t.Context(), Enrol{"go", student}); !errors.Is(err, want) {
			t.Errorf("%s: error is %v, want %v", student, err, want)
		}
	}
	for _, s := range saw {
		if want := map[string]Seats{"cid": {Enrol{"go", "cid"}, 10, 0}, "ann": {Enrol{"go", "ann"}, s.Free, 2}}[s.Student]; s != want {
			t.Errorf("it decided on %+v, want %+v", s, want)
		}
	}
}

func TestConditionCatchesEventsOfTheTypesThatWereStoredOnce(t *testing.T) {
	t.Parallel()
	for name, old := range map[string]func(st *eventstore.Store){
		"renamed": func(st *eventstore.Store) {
			appendOld(t, st, "course-go", "signed up", `{"Course":"go","Student":"bob"}`, "course:go", "student:bob")
		},
		"split": func(st *eventstore.Store) {
			appendOld(t, st, "course-go", "course planned", `{"Course":"go","Seats":0,"Student":"bob"}`, "course:go", "student:bob")
		},
		"new schema": func(st *eventstore.Store) {
			appendOld(t, st, "course-go", "seats added", `{"Course":"go","Rows":-1}`, "course:go")
		},
	} {
		for way, give := range map[string]func(t *testing.T, st *eventstore.Store, sp *spine.Spine){
			"sent": func(t *testing.T, _ *eventstore.Store, sp *spine.Spine) {
				t.Helper()
				if _, err := sp.Send(t.Context(), Enrol{"go", "ann"}); !errors.Is(err, errFull) {
					t.Errorf("error is %v, want %v", err, errFull)
				}
			},
			"posted": func(t *testing.T, st *eventstore.Store, sp *spine.Spine) {
				t.Helper()
				id := uuid.New()
				post(t, st, spine.WithID(id, Enrol{"go", "ann"}))
				drain(t, sp)
				wantReplies(t, st, id, `command rejected {"Command":"enrol","Reason":"course is full"}`)
			},
		} {
			t.Run(name+"/"+way, func(t *testing.T) {
				t.Parallel()
				backend := memory.New()
				st := eventstore.New(backend, formerCourses())
				defer st.Close()
				former := open(t, backend) // an old program, which knows of no upcasters
				var saw []Seats
				sp := newSpine(t, st, courses(&saw, func() {
					if len(saw) == 1 {
						old(former)
					}
				}))
				emit(t, st, CourseOpened{"go", 1})
				give(t, st, sp)
				if len(saw) != 2 || sp.Stats().Organs[0].Conflicts != 1 {
					t.Errorf("decided on %+v with %d conflicts", saw, sp.Stats().Organs[0].Conflicts)
				}
			})
		}
	}
}

func TestAggregateSeesUpcastEvents(t *testing.T) {
	t.Parallel()
	for _, rereads := range []bool{false, true} {
		t.Run(fmt.Sprintf("rereads %t", rereads), func(t *testing.T) {
			t.Parallel()
			st := eventstore.New(memory.New(), formerEvents())
			defer st.Close()
			appendOld(t, st, "account-1", "paid in", `{"Sum":3}`)
			appendOld(t, st, "account-1", "deposited", `{"Sum":4}`)
			appendOld(t, st, "account-1", "moved", `{"Amount":5}`)
			as := trails(0, 0, rereads)
			var saw []string
			decide := organs.Handle(func(l Trail, _ Close) (organs.Events, error) {
				saw = append(saw, strings.Join(l.Steps, ", "))
				return organs.Events{Arrived{1}}, nil
			})
			as.Decide = append(as.Decide, decide)
			sp := newSpine(t, st, as)
			send(t, sp, Close{"1"})
			appendOld(t, st, "account-1", "moved", `{"Amount":6}`) // while the state is in the cache
			send(t, sp, Close{"1"})
			was, more := "deposited 3, deposited 4, withdrawn -5, arrived 5", ", arrived 1, withdrawn -6, arrived 6"
			if rereads {
				was, more = "deposited 3, deposited 4, withdrawn at 3 part 0 -5, arrived 5", ", arrived 1, withdrawn at 5 part 0 -6, arrived 6"
			}
			if first, last := saw[0], saw[len(saw)-1]; first != was || last != was+more {
				t.Errorf("it decided on %q and %q, want %q and then%q", first, last, was, more)
			}
		})
	}
}

func TestAggregateDecidesAboutUpcastEvents(t *testing.T) {
	t.Parallel()
	st := eventstore.New(memory.New(), formerEvents())
	defer st.Close()
	decide := func(l Trail, what string, amount int) (organs.Events, error) {
		return organs.Events{Reported{amount}, eventstore.In("report-1", Refused{fmt.Sprintf("%s %d after %d", what, amount, len(l.Steps))})}, nil
	}
	as := organs.Aggregate[Trail]{
		Category: "total",
		Evolve:   organs.Evolve[Trail]{organs.On(func(l *Trail, e Reported) { l.add(e.Balance, "reported") })},
		Decide: organs.Decide[Trail]{
			organs.When(func(Withdrawn) string { return "all" }, func(l Trail, e Withdrawn) (organs.Events, error) { return decide(l, "withdrawn", e.Amount) }),
			organs.When(func(Arrived) string { return "all" }, func(l Trail, e Arrived) (organs.Events, error) { return decide(l, "arrived", e.Amount) }),
			organs.When(func(Deposited) string { return "all" }, func(l Trail, e Deposited) (organs.Events, error) { return decide(l, "deposited", e.Amount) }),
		},
	}
	appendOld(t, st, "account-1", "moved", `{"Amount":5}`)
	appendOld(t, st, "account-1", "paid in", `{"Sum":3}`)
	drain(t, newSpine(t, st, as))
	wantLog(t, st, eventstore.InStream("report-1"), `report-1@1 refused {"Reason":"withdrawn 5 after 0"}`,
		`report-1@2 refused {"Reason":"arrived 5 after 1"}`, `report-1@3 refused {"Reason":"deposited 3 after 2"}`)
}

func TestReactorSeesUpcastEvents(t *testing.T) {
	t.Parallel()
	st := eventstore.New(memory.New(), formerEvents())
	defer st.Close()
	var got []string
	ids := map[uuid.UUID]bool{}
	tell := func(ev eventstore.Event, what string, amount int) (organs.Events, error) {
		got = append(got, fmt.Sprintf("%s %d @%d.%d", what, amount, ev.Version, ev.Part))
		ids[ev.ID] = true
		return organs.Events{eventstore.In("report-1", Reported{amount})}, nil
	}
	sp := newSpine(t, st, organs.Reactor{Name: "clerk", On: organs.Reactions{
		organs.React(func(_ context.Context, e eventstore.Recorded[Deposited]) (organs.Events, error) {
			return tell(e.Event, "deposited", e.Payload.Amount)
		}),
		organs.React(func(_ context.Context, e eventstore.Recorded[Withdrawn]) (organs.Events, error) {
			return tell(e.Event, "withdrawn", e.Payload.Amount)
		}),
		organs.React(func(_ context.Context, e eventstore.Recorded[Arrived]) (organs.Events, error) {
			return tell(e.Event, "arrived", e.Payload.Amount)
		}),
	}})
	appendOld(t, st, "account-1", "paid in", `{"Sum":3}`)
	appendOld(t, st, "account-1", "moved", `{"Amount":5}`)
	appendOld(t, st, "account-1", "noise", `{}`)
	appendOld(t, st, "account-1", "deposited", `{"Sum":4}`)
	drain(t, sp)
	drain(t, sp)
	want := []string{"deposited 3 @1.0", "withdrawn 5 @2.0", "arrived 5 @2.1", "deposited 4 @4.0"}
	if !slices.Equal(got, want) || len(ids) != 4 {
		t.Errorf("it saw %q with %d ids, want %q", got, len(ids), want)
	}
	if n := count(t, st, "reported"); n != 4 {
		t.Errorf("%d events came of it, want 4", n)
	}
}

func TestFailingUpcasterFailsTheDecisionAndNamesTheEvent(t *testing.T) {
	t.Parallel()
	cfg := formerCourses()
	cfg.Upcasters[0].Up = func(eventstore.Raw) ([]eventstore.Raw, error) { return nil, errors.New("unreadable handwriting") }
	st := eventstore.New(memory.New(), cfg)
	defer st.Close()
	appendOld(t, st, "course-go", "signed up", `{"Course":"go","Student":"bob"}`, "course:go", "student:bob")
	_, err := newSpine(t, st, enrolment()).Send(t.Context(), Enrol{"go", "ann"})
	for _, want := range []string{"course-go@1", "unreadable handwriting"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q in it", err, want)
		}
	}
}
