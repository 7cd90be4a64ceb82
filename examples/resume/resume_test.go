package resume_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/resume"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/spine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type row struct{ N int }

func (row) EventType() string { return "row" }

// rows makes n rows, which are the same every time.
func rows(n int) []eventstore.Draft {
	out := make([]eventstore.Draft, n)
	for i := range out {
		out[i] = eventstore.Draft{ID: uuid.NewSHA1(uuid.NameSpaceURL, fmt.Append(nil, i)), Stream: "intake-rows", Payload: row{i}}
	}
	return out
}

func newSpine(t *testing.T, b *memory.Backend) *spine.Spine {
	t.Helper()
	listener := organs.Reactor{Name: "listener", On: organs.Reactions{
		organs.React(func(context.Context, row) (organs.Events, error) { return nil, nil }),
	}}
	sp, err := spine.New(eventstore.New(b, eventstore.Config{}), spine.Config{}, listener)
	if err != nil {
		t.Fatal(err)
	}
	return sp
}

func submit(t *testing.T, sp *spine.Spine, input []eventstore.Draft, known int) {
	t.Helper()
	got, err := resume.Submit(t.Context(), sp, eventstore.OfType("row"), input)
	if err != nil || got != known {
		t.Errorf("%d of %d rows were known, %v, want %d", got, len(input), err, known)
	}
}

// inOrder fails unless the log holds the first n rows, each once, in their order.
func inOrder(t *testing.T, sp *spine.Spine, n int) {
	t.Helper()
	next := 0
	for e, err := range sp.Store().Read(t.Context(), eventstore.All(), eventstore.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r, err := eventstore.Decode[row](e); err != nil || r.N != next {
			t.Fatalf("position %d has row %d, %v, want %d", e.Position, r.N, err, next)
		}
		next++
	}
	if next != n {
		t.Errorf("%d rows, want %d", next, n)
	}
}

func TestEveryRowIsInTheLogOnceHoweverOftenItIsSubmitted(t *testing.T) {
	t.Parallel()
	sp := newSpine(t, memory.New())
	submit(t, sp, nil, 0)
	submit(t, sp, rows(1_300), 0)
	submit(t, sp, rows(1_300), 1_300)
	submit(t, sp, rows(1_700), 1_300) // the file has grown
	submit(t, sp, rows(10), 10)
	inOrder(t, sp, 1_700)
}

func TestRunsWithTheSameInputAtTheSameTimeDoNotSubmitItTwice(t *testing.T) {
	t.Parallel()
	b := memory.New()
	var wg sync.WaitGroup
	for i := range 4 {
		sp := newSpine(t, b)
		wg.Go(func() {
			for n := 1 + i; n < 3_000; n += 700 { // so that their commits overlap
				if _, err := resume.Submit(t.Context(), sp, eventstore.OfType("row"), rows(n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	sp := newSpine(t, b)
	submit(t, sp, rows(3_000), 2_804)
	inOrder(t, sp, 3_000)
}

func TestAnIDThatBelongsToSomethingElseIsAnErrorAndNotTriedForEver(t *testing.T) {
	t.Parallel()
	sp := newSpine(t, memory.New())
	stranger := rows(1)[0]
	stranger.Stream = "somewhere-else"
	if _, err := sp.Emit(t.Context(), stranger); err != nil {
		t.Fatal(err)
	}
	_, err := resume.Submit(t.Context(), sp, eventstore.InStream("intake-rows"), rows(2))
	if !errors.Is(err, eventstore.ErrIDReused) {
		t.Errorf("got %v", err)
	}
}

// sender makes a Spine whose one worker hands events to others.
func sender(t *testing.T, b *memory.Backend, send func(ctx context.Context) error) *spine.Spine {
	t.Helper()
	organ := organs.Reactor{
		Name:   "sender",
		Policy: spine.Policy{Delivery: spine.Competing, Workers: 1, Visibility: resume.Lease, Deadline: resume.Lease},
		On: organs.Reactions{organs.React(func(ctx context.Context, _ row) (organs.Events, error) {
			return nil, send(ctx)
		})},
	}
	sp, err := spine.New(eventstore.New(b, eventstore.Config{}), spine.Config{
		Logger: slog.New(slog.DiscardHandler), Lease: time.Millisecond, Grace: time.Nanosecond,
	}, organ)
	if err != nil {
		t.Fatal(err)
	}
	return sp
}

func TestWhatAnotherRunHadInHandWhenItEndedIsDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		ctx, end := context.WithCancel(t.Context())
		first := sender(t, b, func(ctx context.Context) error {
			end()
			<-ctx.Done() // it never says what became of it
			return ctx.Err()
		})
		submit(t, first, rows(1), 0)
		if err := resume.Drain(ctx, first); !errors.Is(err, context.Canceled) {
			t.Errorf("the run that was interrupted says: %v", err)
		}
		sent := 0
		second := sender(t, b, func(context.Context) error { sent++; return nil })
		if next, err := second.Drain(t.Context()); err != nil || sent > 0 || next.IsZero() {
			t.Fatalf("sent %d times, next is due at %s, %v: the delivery is not in the first run's hands", sent, next, err)
		}
		if err := resume.Drain(t.Context(), second); err != nil || sent != 1 {
			t.Errorf("sent %d times, %v", sent, err)
		}
	})
}

func TestWhatIsDueMuchLaterIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sp := newSpine(t, memory.New())
		e, err := sp.Store().Encode(rows(1)[0])
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = sp.Store().Commit(t.Context(), eventstore.Commit{Schedules: []eventstore.Schedule{{
			ID: uuid.New(), Due: start.Add(time.Hour), Append: eventstore.Append{Stream: e.Stream, Events: []eventstore.Event{e}},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := resume.Drain(t.Context(), sp); err != nil || time.Since(start) > time.Minute {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}

func TestAStoreThatFailsIsToldOfAndNotAllTheTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		o := resume.NewOutage(&b, "example")
		fails := func(step spine.Step) {
			o.Observe(t.Context(), spine.Observation{Step: step, Err: errors.New("connection refused")})
		}
		fails(spine.HandlerFailed) // that is another matter
		for range 5 {
			fails(spine.StoreFailed)
			fails(spine.CommitFailed)
			time.Sleep(4 * time.Second)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		time.Sleep(time.Hour)
		o.Observe(ended, spine.Observation{Step: spine.StoreFailed, Err: errors.New("interrupted")})
		want := "example: the store fails, and is tried again until it answers: connection refused\n"
		if b.String() != want+want {
			t.Errorf("got %q, want %q twice", b.String(), want)
		}
	})
}
