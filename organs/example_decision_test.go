package organs_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

// A course has seats, and a student takes at most two courses: enrolling is about two entities at once.
type (
	Enrol struct{ Course, Student string }

	CourseOpened struct {
		Course string
		Seats  int
	}
	Enrolled struct{ Course, Student string }
	Left     struct{ Course, Student string }

	Seats struct {
		Enrol
		Free, Courses int
	}
)

func (Enrol) CommandType() string          { return "enrol" }
func (c Enrol) StreamID() string           { return c.Course }
func (CourseOpened) EventType() string     { return "course opened" }
func (e CourseOpened) EventTags() []string { return []string{"course:" + e.Course} }
func (Enrolled) EventType() string         { return "student enrolled" }
func (e Enrolled) EventTags() []string     { return []string{"course:" + e.Course, "student:" + e.Student} }
func (Left) EventType() string             { return "student left" }
func (e Left) EventTags() []string         { return []string{"course:" + e.Course, "student:" + e.Student} }

var (
	errFull    = errors.New("course is full")
	errTooMany = errors.New("student has two courses")
)

// enrolment decides Enrol from what concerns the course or the student.
func enrolment() organs.Decision[Seats, Enrol] {
	return organs.Decision[Seats, Enrol]{
		Category: "course",
		Query: func(c Enrol) eventstore.Query {
			return eventstore.WithTags("course:" + c.Course).Or(eventstore.WithTags("student:" + c.Student))
		},
		Start: func(c Enrol) Seats { return Seats{Enrol: c} },
		Evolve: organs.Evolve[Seats]{
			organs.On(func(s *Seats, e CourseOpened) { s.Free += e.Seats }),
			organs.On(func(s *Seats, e Enrolled) { s.enrolled(e.Course, e.Student, 1) }),
			organs.On(func(s *Seats, e Left) { s.enrolled(e.Course, e.Student, -1) }),
		},
		Decide: func(s Seats, c Enrol) (organs.Events, error) {
			switch {
			case s.Free <= 0:
				return nil, errFull
			case s.Courses >= 2:
				return nil, errTooMany
			}
			return organs.Events{Enrolled(c)}, nil
		},
	}
}

func (s *Seats) enrolled(course, student string, by int) {
	if course == s.Course {
		s.Free -= by
	}
	if student == s.Student {
		s.Courses += by
	}
}

func ExampleDecision() {
	ctx, store := context.Background(), memory.Open(memory.Config{})
	sp, err := spine.New(store, spine.Config{}, enrolment())
	if err != nil {
		panic(err)
	}
	if _, err := sp.Emit(ctx, CourseOpened{"go", 2}, CourseOpened{"sql", 9}, CourseOpened{"art", 9}); err != nil {
		panic(err)
	}
	for _, c := range []Enrol{{"go", "ann"}, {"go", "bob"}, {"go", "cid"}, {"sql", "ann"}, {"art", "ann"}} {
		_, err := sp.Send(ctx, c)
		fmt.Printf("%s to %s: %v\n", c.Student, c.Course, err)
	}
	// Output:
	// ann to go: <nil>
	// bob to go: <nil>
	// cid to go: enrol rejected: course is full
	// ann to sql: <nil>
	// ann to art: enrol rejected: student has two courses
}
