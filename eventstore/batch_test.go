package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// fake is a backend that remembers its batches, and waits to be let through.
type fake struct {
	mu      sync.Mutex
	batches [][]eventstore.Commit
	closed  int

	gate   chan struct{} // a token for each batch. nil: none is needed
	decide func(batch []eventstore.Commit) ([]eventstore.Outcome, error)
}

func (f *fake) Commit(_ context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	f.mu.Lock()
	f.batches = append(f.batches, slices.Clone(batch))
	f.mu.Unlock()
	if f.gate != nil {
		<-f.gate
	}
	if f.decide != nil {
		return f.decide(batch)
	}
	return make([]eventstore.Outcome, len(batch)), nil
}

func (f *fake) Read(_ context.Context, _ eventstore.Query, r eventstore.Range) iter.Seq2[eventstore.Event, error] {
	return func(func(eventstore.Event, error) bool) {
		if r.Through != nil {
			*r.Through = 0
		}
	}
}

func (f *fake) Close() error { f.closed++; return nil }

// labels says which commits the batches were made of, by the type of each one's first event.
func (f *fake) labels() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	batches := make([]string, len(f.batches))
	for i, batch := range f.batches {
		var names []string
		for _, c := range batch {
			names = append(names, label(c))
		}
		batches[i] = strings.Join(names, " ")
	}
	return strings.Join(batches, " | ")
}

func label(c eventstore.Commit) string { return c.Appends[0].Events[0].Type }

// labelled is a commit that can be told apart, to a stream of its own.
func labelled(name string) eventstore.Commit {
	return to(eventstore.StreamOf("own", name), eventstore.Any, raw(name, "{}"))
}

func to(s eventstore.Stream, expect eventstore.Expected, events ...eventstore.Event) eventstore.Commit {
	return eventstore.Commit{Appends: []eventstore.Append{{Stream: s, Expect: expect, Events: events}}}
}

// also adds to a labelled commit.
func also(name string, add func(c *eventstore.Commit)) eventstore.Commit {
	c := labelled(name)
	add(&c)
	return c
}

func onStream(name string, s eventstore.Stream, expect eventstore.Expected) eventstore.Commit {
	return also(name, func(c *eventstore.Commit) {
		c.Appends = append(c.Appends, eventstore.Append{Stream: s, Expect: expect, Events: []eventstore.Event{raw("x", "{}", "tagged")}})
	})
}

func guarded(name string, q eventstore.Query) eventstore.Commit {
	return also(name, func(c *eventstore.Commit) { c.Unless = []eventstore.Condition{{Query: q}} })
}

func onLane(name, consumer string, partition int) eventstore.Commit {
	return also(name, func(c *eventstore.Commit) {
		c.Checkpoints = []eventstore.Checkpoint{{Consumer: consumer, Partition: partition, To: 1}}
	})
}

// While one batch is being written the next one forms. What depends on it waits, and goes first next time.
func TestBatchesAreMadeOfWhatIsIndependent(t *testing.T) {
	t.Parallel()
	id := uuid.New()
	shared := raw("shared", "{}")
	type commits = []eventstore.Commit
	scheduled := func(name string, s eventstore.Schedule) eventstore.Commit {
		return also(name, func(c *eventstore.Commit) { c.Schedules = []eventstore.Schedule{s} })
	}
	timer := eventstore.Schedule{ID: id, Due: epoch, Append: eventstore.Append{Stream: "later-1", Events: []eventstore.Event{raw("due", "{}")}}}
	for _, x := range []struct {
		name    string
		commits commits
		batches string
	}{
		{"nothing in common", commits{labelled("a"), labelled("b"), labelled("c")}, "a b c"},
		{"one stream, expecting nothing", commits{onStream("a", "s-1", eventstore.Any), onStream("b", "s-1", eventstore.Any)}, "a b"},
		{"one stream, expecting a version first", commits{onStream("a", "s-1", eventstore.Exact(1)), onStream("b", "s-1", eventstore.Any)}, "a | b"},
		{"one stream, expecting a version second", commits{onStream("a", "s-1", eventstore.Any), onStream("b", "s-1", eventstore.NoStream)}, "a | b"},
		{"one stream, expecting a stream", commits{onStream("a", "s-1", eventstore.StreamExists), onStream("b", "s-1", eventstore.StreamExists)}, "a | b"},
		{"two streams, expecting versions", commits{onStream("a", "s-1", eventstore.Exact(1)), onStream("b", "s-2", eventstore.Exact(1))}, "a b"},
		{"one event id", commits{
			also("a", func(c *eventstore.Commit) { c.Appends[0].Events = append(c.Appends[0].Events, shared) }),
			also("b", func(c *eventstore.Commit) { c.Appends[0].Events = append(c.Appends[0].Events, shared) }),
		}, "a | b"},
		{"one schedule", commits{scheduled("a", timer), scheduled("b", timer)}, "a | b"},
		{"an event and a schedule of it", commits{
			also("a", func(c *eventstore.Commit) { c.Appends[0].Events = append(c.Appends[0].Events, timer.Append.Events[0]) }),
			scheduled("b", timer),
		}, "a | b"},
		{"a schedule and its cancel", commits{scheduled("a", timer), also("b", func(c *eventstore.Commit) { c.Cancels = []uuid.UUID{id} })}, "a | b"},
		{"one partition", commits{onLane("a", "k", 1), onLane("b", "k", 1)}, "a | b"},
		{"two partitions", commits{onLane("a", "k", 1), onLane("b", "k", 2)}, "a b"},
		{"two consumers", commits{onLane("a", "k", 1), onLane("b", "l", 1)}, "a b"},
		{"one parked entry taken back", commits{
			also("a", func(c *eventstore.Commit) { c.Unparks = []uuid.UUID{id} }),
			also("b", func(c *eventstore.Commit) { c.Unparks = []uuid.UUID{uuid.New(), id} }),
		}, "a | b"},
		{"one entry redriven and taken back", commits{
			also("a", func(c *eventstore.Commit) { c.Redrives = []uuid.UUID{id} }),
			also("b", func(c *eventstore.Commit) { c.Unparks = []uuid.UUID{id} }),
		}, "a | b"},
		{"one entry parked anew and redriven", commits{
			also("a", func(c *eventstore.Commit) {
				*c = onLane("a", "k", 0)
				c.Parks = []eventstore.Parked{parked(id, "k", 1)}
			}),
			also("b", func(c *eventstore.Commit) { c.Redrives = []uuid.UUID{uuid.New(), id} }),
		}, "a | b"},
		{"one delivery acked twice", commits{
			also("a", func(c *eventstore.Commit) { c.Acks = []eventstore.Ack{{Consumer: "k", ID: id, Attempt: 1}} }),
			also("b", func(c *eventstore.Commit) { c.Acks = []eventstore.Ack{{Consumer: "k", ID: id, Attempt: 1}} }),
		}, "a | b"},
		{"one delivery acked and returned", commits{
			also("a", func(c *eventstore.Commit) { c.Acks = []eventstore.Ack{{Consumer: "k", ID: id, Attempt: 1}} }),
			also("b", func(c *eventstore.Commit) {
				c.Returns = []eventstore.Return{{Ack: eventstore.Ack{Consumer: "k", ID: id, Attempt: 1}, Due: epoch}}
			}),
		}, "a | b"},
		{"one delivery made and acked", commits{
			also("a", func(c *eventstore.Commit) {
				*c = onLane("a", "k", 1)
				c.Deliveries = []eventstore.Delivery{{ID: id, Consumer: "k", Position: 1}}
			}),
			also("b", func(c *eventstore.Commit) { c.Acks = []eventstore.Ack{{Consumer: "k", ID: id, Attempt: 1}} }),
		}, "a | b"},
		{"two deliveries of one consumer", commits{
			also("a", func(c *eventstore.Commit) { c.Acks = []eventstore.Ack{{Consumer: "k", ID: uuid.New(), Attempt: 1}} }),
			also("b", func(c *eventstore.Commit) { c.Acks = []eventstore.Ack{{Consumer: "k", ID: uuid.New(), Attempt: 1}} }),
		}, "a b"},
		{"a condition on the other's event", commits{onStream("a", "s-1", eventstore.Any), guarded("b", eventstore.WithTags("tagged"))}, "a | b"},
		{"an event for the other's condition", commits{guarded("a", eventstore.InCategory("s")), onStream("b", "s-1", eventstore.Any)}, "a | b"},
		{"conditions on none of these events", commits{guarded("a", eventstore.OfType("y")), guarded("b", eventstore.OfType("y")), onStream("c", "s-1", eventstore.Any)}, "a b c"},
		{"what waits goes first", commits{
			onStream("a", "s-1", eventstore.Exact(1)), onStream("b", "s-1", eventstore.Exact(2)), labelled("c"), onStream("d", "s-1", eventstore.Exact(3)), labelled("e"),
		}, "a c e | b | d"},
		{"who waits is not overtaken by its like", commits{
			onLane("a", "k", 0), onLane("b", "k", 0), onLane("c", "k", 0), onLane("d", "l", 0), onLane("e", "l", 0),
		}, "a d | b e | c"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &fake{gate: make(chan struct{})}
				s := eventstore.New(f, eventstore.Config{})
				var wg sync.WaitGroup
				for _, c := range append(commits{labelled("first")}, x.commits...) {
					wg.Go(func() {
						if _, err := s.Commit(t.Context(), c); err != nil {
							t.Errorf("commit %s: %v", label(c), err)
						}
					})
					synctest.Wait() // it is under way, or it waits for its turn
				}
				close(f.gate)
				wg.Wait()
				if got, want := f.labels(), "first | "+x.batches; got != want {
					t.Errorf("the batches were %s; they should be %s", got, want)
				}
			})
		})
	}
}

// More than fits one batch goes in several, none is lost, and those of one stream keep their order.
func TestBatchesAreBoundedAndLoseNothing(t *testing.T) {
	t.Parallel()
	const n = 3000
	for name, c := range map[string]func(i int) eventstore.Commit{
		"independent": func(i int) eventstore.Commit { return labelled(fmt.Sprint(i)) },
		"one stream": func(i int) eventstore.Commit {
			return onStream(fmt.Sprint(i), "s-1", eventstore.Exact(eventstore.Version(i)))
		},
		"a few streams": func(i int) eventstore.Commit {
			return onStream(fmt.Sprint(i), eventstore.StreamOf("s", fmt.Sprint(i%7)), eventstore.StreamExists)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &fake{gate: make(chan struct{})}
				s := eventstore.New(f, eventstore.Config{})
				count := n
				if name != "independent" {
					count = n / 4 // each batch is small, and there are many
				}
				var wg sync.WaitGroup
				for i := range count {
					wg.Go(func() {
						if _, err := s.Commit(t.Context(), c(i)); err != nil {
							t.Errorf("commit %d: %v", i, err)
						}
					})
					if synctest.Wait(); t.Failed() {
						return
					}
				}
				close(f.gate)
				wg.Wait()
				last, seen := map[eventstore.Stream]int{}, 0
				for _, batch := range f.batches {
					if seen += len(batch); len(batch) > 1024 {
						t.Errorf("a batch has %d commits", len(batch))
					}
					for _, c := range batch {
						var i int
						if _, err := fmt.Sscan(label(c), &i); err != nil {
							t.Fatal(err)
						}
						stream := c.Appends[len(c.Appends)-1].Stream
						if i < last[stream] {
							t.Errorf("commit %d to %s came behind commit %d", i, stream, last[stream])
						}
						last[stream] = i
					}
				}
				if seen != count {
					t.Errorf("%d of %d commits came to the backend", seen, count)
				}
			})
		})
	}
}

// A batch that the server refuses for what is in it is halved until the commit to blame stands alone.
func TestRefusedBatchFailsTheGuiltyAlone(t *testing.T) {
	t.Parallel()
	for _, guilty := range []string{"", "3", "0", "9", "2 7", "0 1 2 3 4 5 6 7 8 9"} {
		t.Run("guilty "+guilty, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bad := strings.Fields(guilty)
				f := &fake{gate: make(chan struct{})}
				f.decide = func(batch []eventstore.Commit) ([]eventstore.Outcome, error) {
					outcomes := make([]eventstore.Outcome, len(batch))
					for i, c := range batch {
						if slices.Contains(bad, label(c)) {
							return nil, fmt.Errorf("row %d: %w", i, eventstore.ErrRefused)
						}
						outcomes[i].Result.Versions = []eventstore.Version{eventstore.Version(len(label(c)))}
					}
					return outcomes, nil
				}
				s := eventstore.New(f, eventstore.Config{})
				var wg sync.WaitGroup
				for _, name := range []string{"first", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"} {
					wg.Go(func() {
						r, err := s.Commit(t.Context(), labelled(name))
						if want := slices.Contains(bad, name); errors.Is(err, eventstore.ErrRefused) != want || want == (r.Version() > 0) {
							t.Errorf("commit %s came to %+v, %v", name, r, err)
						}
					})
					synctest.Wait()
				}
				close(f.gate)
				wg.Wait()
			})
		})
	}
}
