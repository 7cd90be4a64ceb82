package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/necrostack/necrostack/eventstore"
)

// What the conditions are about.
const (
	courses  = 10_000
	students = 10_000
	hotOne   = "region:eu"
	hotTwo   = "tier:gold"
)

func (s *server) conditionFigures() []figure {
	const over = ", 64 writers, over appends to streams in the same log, of the same payload without tags"
	both := func(name string, fill func(context.Context, *log) error, d decision) figure {
		return figure{
			name: d.figure, unit: "x", what: d.what + over,
			ours:   s.shared(name, fill, func(ctx context.Context, l *log) (measured, error) { return l.decide(ctx, d, 64) }),
			theirs: s.shared(name, fill, func(ctx context.Context, l *log) (measured, error) { return l.append(ctx, 64, 1) }),
		}
	}
	return []figure{
		both("tagged", fillTagged, subscribing()),
		both("grown", s.fillGrown, closing()),
		both("grown", s.fillGrown, crossing()),
		{
			name: "pg-append-grown", unit: "x",
			what:   "pg-append-64 in a log of 5 million events, over the same in an empty one",
			ours:   s.shared("grown", s.fillGrown, func(ctx context.Context, l *log) (measured, error) { return l.append(ctx, 64, 1) }),
			theirs: s.appending(64, 1),
		},
	}
}

// A decision is a kind of conditional append.
type decision struct {
	figure, what string
	// draw returns what the next one asks, and the tags of the event that it comes to.
	draw func() (eventstore.Query, []string)
	// broken is a query that the log's first events match: a check that conditions are looked at.
	broken eventstore.Query
}

// subscribing is the example of the DCB specification: no event about the course nor the student was missed.
func subscribing() decision {
	return decision{
		figure: "pg-dcb-64",
		what:   "conditional appends: nothing new about one of 10,000 courses nor one of 10,000 students; the event carries both tags",
		draw: func() (eventstore.Query, []string) {
			course, student := fmt.Sprint("course:", rand.IntN(courses)), fmt.Sprint("student:", rand.IntN(students)) //nolint:gosec // nothing is secret
			return eventstore.WithTags(course).Or(eventstore.WithTags(student)), []string{course, student}
		},
		broken: eventstore.WithTags("course:1"),
	}
}

// closing conditions by type alone.
func closing() decision {
	return decision{
		figure: "pg-dcb-type",
		what:   "conditional appends to a log of 5 million events: none of a type that the log has half a million of",
		draw:   func() (eventstore.Query, []string) { return eventstore.OfType("order type 3"), nil },
		broken: eventstore.OfType("order type 3"),
	}
}

// crossing conditions by two tags that a tenth of the log has each, and nothing both. Every event appended has one.
func crossing() decision {
	return decision{
		figure: "pg-dcb-hot",
		what:   "conditional appends to a log of 5 million events: none with both of two tags, each on a tenth of the log and on half of what is appended",
		draw: func() (eventstore.Query, []string) {
			return eventstore.WithTags(hotOne, hotTwo), []string{[]string{hotOne, hotTwo}[rand.IntN(2)]} //nolint:gosec // nothing is secret
		},
		broken: eventstore.WithTags(hotOne),
	}
}

// decide measures n writers whose every event goes to a stream of the writer on a condition. Each writer counts as
// known what was there when its last commit was acknowledged, and when an event is in the way, what was there then: as
// if it had read no more than it had to. Only what is accepted counts.
func (l *log) decide(ctx context.Context, d decision, n int) (measured, error) {
	head, err := l.store.Head(ctx)
	if err != nil {
		return measured{}, err
	}
	l.runs++
	known := make([]eventstore.Position, n)
	for w := range known {
		known[w] = head
	}
	x := writers{n: n, events: 1, write: func(ctx context.Context, w, k int) error {
		query, tags := d.draw()
		stream, _ := place(fmt.Sprint("o", l.runs), w, k)
		for {
			c, err := conditional(eventstore.Stream(stream), query, known[w], tags)
			if err != nil {
				return err
			}
			result, err := l.store.Commit(ctx, c)
			if inTheWay, ok := errors.AsType[*eventstore.ConditionError](err); ok {
				known[w] = inTheWay.Position
				continue
			}
			known[w] = result.Position
			return err
		}
	}}
	s, commits, err := x.measure(ctx)
	if err != nil {
		return s, err
	}
	return s, errors.Join(l.server.count(ctx, l.table(), int(head)+commits), l.refuses(ctx, d.broken))
}

// conditional is a commit of one event.
func conditional(stream eventstore.Stream, unless eventstore.Query, after eventstore.Position, tags []string) (eventstore.Commit, error) {
	e, err := eventstore.Encode(eventstore.Draft{Payload: wide, Tags: tags})
	return eventstore.Commit{
		Appends: []eventstore.Append{{Stream: stream, Events: []eventstore.Event{e}}},
		Unless:  []eventstore.Condition{{Query: unless, After: after}},
	}, err
}

// refuses checks that a condition that is broken refuses.
func (l *log) refuses(ctx context.Context, q eventstore.Query) error {
	c, err := conditional("refused-1", q, 0, nil)
	if err != nil {
		return err
	}
	if _, err := l.store.Commit(ctx, c); !errors.Is(err, eventstore.ErrConflict) {
		return fmt.Errorf("a commit whose condition is broken got: %w", err)
	}
	return nil
}

// fillTagged fills a log with 200,000 events, each about a course and a student.
func fillTagged(ctx context.Context, l *log) error {
	return l.fill(ctx, filling{stream: "order", events: 200_000, each: perStream, tags: aboutBoth})
}

// aboutBoth is tags of a course and a student.
var aboutBoth = fmt.Sprintf(`json_build_array('course:' || i %% %d, 'student:' || i / 7 %% %d)`, courses, students)

// fillGrown fills the grown log: each event is about one of 10,000 customers, a tenth has one of the hot tags, and
// another tenth the other.
func (s *server) fillGrown(ctx context.Context, l *log) error {
	return l.fill(ctx, filling{stream: "order", events: s.grownBy, each: perStream, tags: fmt.Sprintf(`CASE i / 13 %% 10
		WHEN 0 THEN json_build_array('customer:' || i / 11 %% 10000, '%s')
		WHEN 5 THEN json_build_array('customer:' || i / 11 %% 10000, '%s')
		ELSE json_build_array('customer:' || i / 11 %% 10000) END`, hotOne, hotTwo)})
}
