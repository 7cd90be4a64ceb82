package storetest

import (
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// reused is a number of commits of which the last uses an id that the others have used.
type reused struct {
	name    string
	commits func(t *trial) []eventstore.Commit
}

func (r reused) String() string { return r.name }

// reuseEach makes all but the last commit of each case; that one must be refused and change nothing.
func reuseEach(t *trial, cases []reused) {
	other := t.another()
	each(t, cases, reused.String, func(r reused) {
		commits := r.commits(t)
		last := len(commits) - 1
		for _, c := range commits[:last] {
			t.commit(t.store, c)
		}
		t.refused(t.store, commits[last], eventstore.ErrIDReused)
		t.refused(other, commits[last], eventstore.ErrIDReused)
	})
}

// eventReuses takes apart and puts together a commit of a and b to "used-1" and c to "used-2".
func eventReuses() []reused {
	type from = func(a, b, c eventstore.Event) eventstore.Commit
	var list []reused
	for _, x := range []struct {
		name string
		last from
	}{
		{"the first events alone", func(a, b, _ eventstore.Event) eventstore.Commit {
			return appends(to("used-1", a, b))
		}},
		{"the first event alone", func(a, _, _ eventstore.Event) eventstore.Commit {
			return appends(to("used-1", a))
		}},
		{"an event from the middle", func(_, b, _ eventstore.Event) eventstore.Commit {
			return appends(to("used-1", b))
		}},
		{"the last event alone", func(_, _, c eventstore.Event) eventstore.Commit {
			return appends(to("used-2", c))
		}},
		{"the last events alone", func(_, b, c eventstore.Event) eventstore.Commit {
			return appends(to("used-1", b), to("used-2", c))
		}},
		{"all events and one more", func(a, b, c eventstore.Event) eventstore.Commit {
			return appends(to("used-1", a, b), to("used-2", c, event("new")))
		}},
		{"one more before all events", func(a, b, c eventstore.Event) eventstore.Commit {
			return appends(to("used-1", event("new"), a, b), to("used-2", c))
		}},
		{"one event among new ones", func(_, b, _ eventstore.Event) eventstore.Commit {
			return appends(to("used-3", event("new"), b, event("new")))
		}},
		{"one event replaced", func(a, _, c eventstore.Event) eventstore.Commit {
			return appends(to("used-1", a, event("new")), to("used-2", c))
		}},
		{"another stream", func(a, b, c eventstore.Event) eventstore.Commit {
			return appends(to("used-1", a, b), to("used-3", c))
		}},
		{"streams exchanged", func(a, b, c eventstore.Event) eventstore.Commit {
			return appends(to("used-2", a, b), to("used-1", c))
		}},
		{"events in another order", func(a, b, c eventstore.Event) eventstore.Commit {
			return appends(to("used-1", b, a), to("used-2", c))
		}},
		{"appends in another order", func(a, b, c eventstore.Event) eventstore.Commit {
			return appends(to("used-2", c), to("used-1", a, b))
		}},
	} {
		list = append(list, reused{x.name, func(*trial) []eventstore.Commit {
			a, b, c := event("a"), event("b"), event("c")
			return []eventstore.Commit{appends(to("used-1", a, b), to("used-2", c)), x.last(a, b, c)}
		}})
	}
	return append(list, reused{"one event of each of two commits", func(*trial) []eventstore.Commit {
		a, b, c, d := event("a"), event("b"), event("c"), event("d")
		return []eventstore.Commit{appends(to("used-1", a, b)), appends(to("used-1", c, d)), appends(to("used-1", b, c))}
	}}, reused{"two commits in one", func(*trial) []eventstore.Commit {
		a, b := event("a"), event("b")
		return []eventstore.Commit{appends(to("used-1", a)), appends(to("used-1", b)), appends(to("used-1", a, b))}
	}})
}

// scheduleReuses does the same to commits of the schedules a and b, each with one event.
func scheduleReuses() []reused {
	type from = func(a, b eventstore.Schedule) eventstore.Commit
	schedules := func(s ...eventstore.Schedule) eventstore.Commit { return eventstore.Commit{Schedules: s} }
	var list []reused
	for _, x := range []struct {
		name string
		due  func(int) time.Time
		last from
	}{
		{"an event that waits in a schedule", future, func(a, _ eventstore.Schedule) eventstore.Commit {
			return appends(a.Append)
		}},
		{"an event that waits in a schedule, among new ones", future, func(a, _ eventstore.Schedule) eventstore.Commit {
			return appends(to("used-1", event("new"), a.Append.Events[0], event("new")))
		}},
		{"an event that waits in a schedule, in a new schedule", future, func(a, _ eventstore.Schedule) eventstore.Commit {
			return schedules(later(future(9), "used-1", a.Append.Events[0]))
		}},
		{"an event that came from a schedule, in another stream", past, func(a, _ eventstore.Schedule) eventstore.Commit {
			return appends(to("used-2", a.Append.Events[0]))
		}},
		{"an event that came from a schedule, in a new schedule", past, func(a, _ eventstore.Schedule) eventstore.Commit {
			return schedules(later(future(9), "used-1", a.Append.Events[0]))
		}},
		{"one of two schedules", future, func(a, _ eventstore.Schedule) eventstore.Commit {
			return schedules(a)
		}},
		{"two schedules and one more", future, func(a, b eventstore.Schedule) eventstore.Commit {
			return schedules(a, b, later(future(9), "used-1", event("new")))
		}},
		{"one more before two schedules", future, func(a, b eventstore.Schedule) eventstore.Commit {
			return schedules(later(future(9), "used-1", event("new")), a, b)
		}},
		{"one of two schedules that have fired", past, func(_, b eventstore.Schedule) eventstore.Commit {
			return schedules(b)
		}},
		{"a schedule with new events appended at once", future, func(a, b eventstore.Schedule) eventstore.Commit {
			c := appends(to("used-1", event("new")))
			c.Schedules = []eventstore.Schedule{a, b}
			return c
		}},
		{"a schedule's id for other events", future, func(a, _ eventstore.Schedule) eventstore.Commit {
			s := later(future(9), "used-1", event("new"))
			return schedules(s, eventstore.Schedule{ID: a.ID, Due: a.Due, Append: to("used-1", event("new"))})
		}},
	} {
		list = append(list, reused{x.name, func(t *trial) []eventstore.Commit {
			a, b := later(x.due(1), "used-1", event("a")), later(x.due(2), "used-1", event("b"))
			t.commit(t.store, schedules(a, b))
			t.fireAll(t.store)
			return []eventstore.Commit{x.last(a, b)}
		}})
	}
	return append(list, reused{"an event of the log in a schedule", func(*trial) []eventstore.Commit {
		e := event("a")
		return []eventstore.Commit{appends(to("used-1", e)), schedules(later(future(1), "used-1", e))}
	}}, reused{"one schedule of each of two commits", func(*trial) []eventstore.Commit {
		a, b := later(future(1), "used-1", event("a")), later(future(2), "used-1", event("b"))
		c, d := later(future(3), "used-1", event("c")), later(future(4), "used-1", event("d"))
		return []eventstore.Commit{schedules(a, b), schedules(c, d), schedules(a, d)}
	}}, reused{"known events with a schedule that was not made", func(*trial) []eventstore.Commit {
		with := appends(to("used-1", event("a")))
		with.Schedules = []eventstore.Schedule{later(future(1), "used-1", event("b"))}
		other := with
		other.Schedules = []eventstore.Schedule{with.Schedules[0], later(future(1), "used-1", event("c"))}
		return []eventstore.Commit{with, other}
	}}, reused{"schedules of two commits in one", func(*trial) []eventstore.Commit {
		a, b := later(future(1), "used-1", event("a")), later(future(1), "used-1", event("b"))
		return []eventstore.Commit{schedules(a), schedules(b), schedules(a, b)}
	}})
}

func resentAfterFiring(t *trial) {
	alone := eventstore.Commit{Schedules: []eventstore.Schedule{later(past(1), "back-1", event("due")), later(past(2), "back-1", event("due"))}}
	with := appends(to("back-1", event("sent")))
	with.Schedules = []eventstore.Schedule{later(past(3), "back-1", event("due"))}
	t.commit(t.store, alone)
	t.commit(t.store, with)
	t.fireAll(t.store)
	t.comeBack(alone, with)
}

func resentAfterCancel(t *trial) {
	alone := eventstore.Commit{Schedules: []eventstore.Schedule{later(past(1), "back-1", event("due")), later(past(2), "back-1", event("due"))}}
	with := appends(to("back-1", event("sent")))
	with.Schedules = []eventstore.Schedule{later(past(3), "back-1", event("due"))}
	t.commit(t.store, alone)
	t.commit(t.store, with)
	for _, s := range slices.Concat(alone.Schedules, with.Schedules) {
		t.commit(t.store, eventstore.Commit{Cancels: []uuid.UUID{s.ID}})
	}
	t.comeBack(alone, with)
}

// comeBack sends commits again whose schedules are gone. None of them may come back.
func (t *trial) comeBack(commits ...eventstore.Commit) {
	t.Helper()
	other := t.another()
	before := t.dump(t.store)
	for _, c := range commits {
		for _, s := range []*eventstore.Store{t.store, other} {
			if _, err := s.Commit(t.ctx, c); err != nil {
				t.broken("sent again, the commit %s failed: %v", showCommit(c), err)
			}
			t.fireAll(s)
		}
	}
	if after := t.dump(t.store); after != before {
		t.broken("sent again, the commits brought back what was gone:\n%s", difference(before, after))
	}
}
