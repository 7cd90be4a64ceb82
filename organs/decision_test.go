package organs_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

func emit(t testing.TB, st *eventstore.Store, ps ...eventstore.Payload) eventstore.Result {
	t.Helper()
	r, err := st.Emit(t.Context(), ps...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRaceForTheLastSeatsLetsExactlySoManyIn(t *testing.T) {
	t.Parallel()
	const seats, racers = 3, 50
	backend := memory.New()
	st := open(t, backend)
	sps := []*spine.Spine{newSpine(t, open(t, backend), enrolment()), newSpine(t, open(t, backend), enrolment())}
	for round := range 5 {
		course := fmt.Sprintf("go%d", round)
		emit(t, st, CourseOpened{course, seats})
		var in atomic.Int32
		var wg sync.WaitGroup
		for i := range racers {
			wg.Go(func() {
				switch _, err := sps[i%2].Send(t.Context(), Enrol{course, fmt.Sprintf("%d.%d", round, i)}); {
				case err == nil:
					in.Add(1)
				case !errors.Is(err, errFull):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		got := len(events(t, st, eventstore.WithTags("course:"+course).Only("student enrolled")))
		if in.Load() != seats || got != seats {
			t.Errorf("round %d: %d were let in, %d enrolled, want %d", round, in.Load(), got, seats)
		}
	}
}

// meddling is enrolment during which something happens: the n-th decision finds it done behind its back.
func meddling(meanwhile func(n int)) (d organs.Decision[Seats, Enrol], saw *[]int) {
	d, saw = enrolment(), new([]int)
	decide := d.Decide
	d.Decide = func(s Seats, c Enrol) (organs.Events, error) {
		*saw = append(*saw, s.Free)
		meanwhile(len(*saw))
		return decide(s, c)
	}
	return d, saw
}

func TestStaleReadIsDecidedAgain(t *testing.T) {
	t.Parallel()
	for name, give := range map[string]func(t *testing.T, st *eventstore.Store, sp *spine.Spine){
		"sent": func(t *testing.T, _ *eventstore.Store, sp *spine.Spine) {
			t.Helper()
			send(t, sp, Enrol{"go", "ann"})
		},
		"posted": func(t *testing.T, st *eventstore.Store, sp *spine.Spine) {
			t.Helper()
			post(t, st, Enrol{"go", "ann"})
			drain(t, sp)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backend := memory.New()
			st, elsewhere := open(t, backend), open(t, backend)
			d, saw := meddling(func(n int) {
				if n < 3 {
					appendTo(t, elsewhere, "anywhere-1", Enrolled{"go", fmt.Sprint(n)})
				}
			})
			sp := newSpine(t, st, d)
			emit(t, st, CourseOpened{"go", 3})
			give(t, st, sp)
			if fmt.Sprint(*saw) != "[3 2 1]" || sp.Stats().Organs[0].Conflicts != 2 {
				t.Errorf("decided on %v free seats with %d conflicts, want [3 2 1] with 2", *saw, sp.Stats().Organs[0].Conflicts)
			}
		})
	}
}

func TestUnrelatedEventsAreNoConflict(t *testing.T) {
	t.Parallel()
	backend := memory.New()
	st, elsewhere := open(t, backend), open(t, backend)
	d, saw := meddling(func(int) {
		emit(t, elsewhere, Enrolled{"sql", "bob"}, CourseOpened{"sql", 1})
		appendTo(t, elsewhere, "course-go", Reported{1}, eventstore.Draft{Payload: Reported{2}, Tags: []string{"course:go"}})
	})
	sp := newSpine(t, st, d)
	emit(t, st, CourseOpened{"go", 1})
	send(t, sp, Enrol{"go", "ann"})
	if len(*saw) != 1 || sp.Stats().Organs[0].Conflicts != 0 {
		t.Errorf("decided %d times with %d conflicts, want once with none", len(*saw), sp.Stats().Organs[0].Conflicts)
	}
}

func TestDecisionForNothingReturnsHowFarItHasRead(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	d := enrolment()
	d.Decide = func(Seats, Enrol) (organs.Events, error) { return nil, nil }
	sp := newSpine(t, st, d)
	emit(t, st, CourseOpened{"go", 1}, CourseOpened{"sql", 1})
	if r := send(t, sp, Enrol{"go", "ann"}); r.First != 0 || r.Position != 2 {
		t.Errorf("result is %+v, want the head, 2", r)
	}
	if n := len(events(t, st, eventstore.All())); n != 2 {
		t.Errorf("%d events", n)
	}
}

func TestEventsOfADecisionGoToItsOwnStreamUnlessDirected(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	d := enrolment()
	d.Start = nil
	d.Decide = func(s Seats, c Enrol) (organs.Events, error) {
		if s != (Seats{Free: 1}) {
			t.Errorf("state is %+v, want one that begins as the zero", s)
		}
		return organs.Events{Enrolled(c), eventstore.In("student-ann", Reported{1}), Reported{2}}, nil
	}
	sp := newSpine(t, st, d)
	emit(t, st, eventstore.In("opening-1", CourseOpened{"go", 1}))
	r := send(t, sp, Enrol{"go", "ann"})
	wantLog(t, st, eventstore.All(), `opening-1@1 course opened {"Course":"go","Seats":1}`,
		`course-go@1 student enrolled {"Course":"go","Student":"ann"}`, `student-ann@1 reported {"Balance":1}`, `course-go@2 reported {"Balance":2}`)
	if r.First != 2 || r.Position != 4 {
		t.Errorf("result is %+v", r)
	}
}

func TestDecisionMayTakeTheCommandAsReceived(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	var got []spine.Received[Enrol]
	sp := newSpine(t, st, organs.Decision[Account, spine.Received[Enrol]]{
		Category: "course",
		Query: func(c spine.Received[Enrol]) eventstore.Query {
			return eventstore.WithTags("course:" + c.Command.Course)
		},
		Evolve: evolve(),
		Decide: func(_ Account, c spine.Received[Enrol]) (organs.Events, error) {
			got = append(got, c)
			return organs.Events{Enrolled(c.Command)}, nil
		},
	})
	id := uuid.New()
	send(t, sp, Enrol{"go", "ann"})
	post(t, st, spine.WithID(id, &Enrol{"go", "bob"}))
	drain(t, sp)
	if len(got) != 2 || got[0].ID == uuid.Nil || got[1].ID != id || got[1].Command.Student != "bob" || got[1].Time.IsZero() {
		t.Errorf("received %+v", got)
	}
	wantReplies(t, st, id, `command accepted {"Command":"enrol","Events":1}`)
}

// Several posted decisions are handled for one commit: none of them may rest on what was before the others.
func TestPostedDecisionsSeeWhatTheirBatchHasWritten(t *testing.T) {
	t.Parallel()
	for name, query := range map[string]func(Enrol) eventstore.Query{
		"by tags":     enrolment().Query,
		"by stream":   func(c Enrol) eventstore.Query { return eventstore.InStream(eventstore.StreamOf("course", c.Course)) },
		"by category": func(Enrol) eventstore.Query { return eventstore.InCategory("course") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := open(t, memory.New())
			d := enrolment() // "-" stands for one who leaves
			d.Query = query
			decide := d.Decide
			d.Decide = func(s Seats, c Enrol) (organs.Events, error) {
				if strings.HasPrefix(c.Student, "-") {
					return organs.Events{Left{c.Course, c.Student[1:]}}, nil
				}
				return decide(s, c)
			}
			sp := newSpine(t, st, d)
			emit(t, st, eventstore.In("course-go", CourseOpened{"go", 1}))
			var commands []spine.Command
			var ids []uuid.UUID
			for _, student := range []string{"ann", "bob", "-ann", "bob", "cid"} {
				ids = append(ids, uuid.New())
				commands = append(commands, spine.WithID(ids[len(ids)-1], Enrol{"go", student}))
			}
			post(t, st, commands...)
			drain(t, sp)
			accepted, rejected := `command accepted {"Command":"enrol","Events":1}`, `command rejected {"Command":"enrol","Reason":"course is full"}`
			for i, want := range []string{accepted, rejected, accepted, accepted, rejected} {
				wantReplies(t, st, ids[i], want)
			}
			if s := sp.Stats().Organs[0]; s.Conflicts != 0 || s.Failed != 0 {
				t.Errorf("without a rival: %+v", s)
			}
		})
	}
}

func TestDecisionsOnOneCategoryDoNotDisturbEachOther(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	leave := organs.Decision[Seats, Leave]{
		Category: "course",
		Query:    func(c Leave) eventstore.Query { return eventstore.WithTags("course:"+c.Course, "student:"+c.Student) },
		Start:    func(c Leave) Seats { return Seats{Enrol: Enrol(c)} },
		Evolve:   enrolment().Evolve,
		Decide: func(s Seats, c Leave) (organs.Events, error) {
			if s.Courses == 0 {
				return nil, nil
			}
			return organs.Events{Left(c)}, nil
		},
	}
	sp := newSpine(t, st, enrolment(), leave)
	emit(t, st, CourseOpened{"go", 1})
	send(t, sp, Enrol{"go", "ann"})
	send(t, sp, Leave{"go", "ann"})
	send(t, sp, Leave{"go", "ann"})
	send(t, sp, Enrol{"go", "bob"})
	var types []string
	for _, e := range events(t, st, eventstore.InCategory("course")) {
		types = append(types, e.Type)
	}
	if got := strings.Join(types, ", "); got != "student enrolled, student left, student enrolled" {
		t.Errorf("the log has %s", got)
	}
}

type Leave struct{ Course, Student string }

func (Leave) CommandType() string { return "leave" }
func (c Leave) StreamID() string  { return c.Course }
