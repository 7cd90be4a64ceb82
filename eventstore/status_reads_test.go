package eventstore_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

// busy is a backend on which something happens, or fails, behind each read.
type busy struct {
	*memory.Backend

	roster, window, parked, read func() error
}

func after(do func() error) error {
	if do == nil {
		return nil
	}
	return do()
}

func (b *busy) Roster(ctx context.Context, consumer string) (eventstore.Roster, error) {
	r, err := b.Backend.Roster(ctx, consumer)
	return r, errors.Join(err, after(b.roster))
}

func (b *busy) Window(ctx context.Context, consumer string) (int, time.Time, error) {
	n, next, err := b.Backend.Window(ctx, consumer)
	return n, next, errors.Join(err, after(b.window))
}

func (b *busy) Parked(ctx context.Context, f eventstore.ParkedFilter) iter.Seq2[eventstore.Parked, error] {
	return func(yield func(eventstore.Parked, error) bool) {
		b.Backend.Parked(ctx, f)(yield)
		if err := after(b.parked); err != nil {
			yield(eventstore.Parked{}, err)
		}
	}
}

func (b *busy) Read(ctx context.Context, q eventstore.Query, r eventstore.Range) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		if err := after(b.read); err != nil {
			yield(eventstore.Event{}, err)
			return
		}
		b.Backend.Read(ctx, q, r)(yield)
	}
}

// An event goes into the window, and from there among what is parked, always just when that was looked at.
func TestStatusMissesNothingThatMoves(t *testing.T) {
	t.Parallel()
	b := memory.New()
	s := eventstore.New(b, eventstore.Config{})
	one(t, s)
	l := leased(t, b, eventstore.Consumer{Name: "c", Partitions: 1, Competing: true})
	id := uuid.New()
	commit := func(c eventstore.Commit) error {
		_, err := s.Commit(t.Context(), c)
		return err
	}
	deliver := eventstore.Commit{
		Checkpoints: []eventstore.Checkpoint{{Consumer: "c", Epoch: l.Epoch, To: 1}},
		Deliveries:  []eventstore.Delivery{{ID: id, Consumer: "c", Position: 1}},
	}
	park := func() error {
		if _, err := b.Take(t.Context(), "c", eventstore.Taking{Limit: 1, Visibility: time.Hour}); err != nil {
			return err
		}
		return commit(eventstore.Commit{
			Acks:  []eventstore.Ack{{Consumer: "c", ID: id, Attempt: 1}},
			Parks: []eventstore.Parked{dead("c", "key", 1, "it is broken")},
		})
	}
	moving := &busy{Backend: b, roster: func() error { return commit(deliver) }}
	if st := stands(t, eventstore.New(moving, eventstore.Config{})); st.Lag != 2 || st.Window != 1 { // twice, not at all
		t.Errorf("while it went into the window, it was %+v", st)
	}
	moving = &busy{Backend: b, window: park}
	if st := stands(t, eventstore.New(moving, eventstore.Config{})); st.Lag != 1 || st.Parked != 1 {
		t.Errorf("while it was parked, it was %+v", st)
	}
	moving = &busy{Backend: b, parked: func() error { one(t, s); return nil }}
	if st := stands(t, eventstore.New(moving, eventstore.Config{})); st.Lag != 1 || st.Head != 2 {
		t.Errorf("while something was written, it was %+v", st)
	}
}

func TestStatusFailsIfAnyOfItsReadsDoes(t *testing.T) {
	t.Parallel()
	b := memory.New()
	leased(t, b, eventstore.Consumer{Name: "c", Partitions: 1, Competing: true})
	fails := func() error { return retryable(true) }
	for part, broken := range map[string]*busy{"": {roster: fails}, "window: ": {window: fails}, "parked: ": {parked: fails}, "head: ": {read: fails}} {
		broken.Backend = b
		s := eventstore.New(broken, eventstore.Config{})
		for begins, do := range operations(s, "c") {
			if begins != "status c: " && begins != "statuses: " {
				continue
			}
			if err := do(t.Context()); !eventstore.IsRetryable(err) || !strings.HasPrefix(err.Error(), begins+part) {
				t.Errorf("with a broken %q it came to %v", part, err)
			}
		}
	}
	_, err := eventstore.New(&busy{Backend: b, read: fails}, eventstore.Config{}).Status(t.Context(), "c")
	if !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("without a log it came to %v", err)
	}
}

func TestStatusNeedsOnlyWhatItsConsumerDoes(t *testing.T) {
	t.Parallel()
	b := memory.New()
	leased(t, b, eventstore.Consumer{Name: "c", Partitions: 1})
	leased(t, b, eventstore.Consumer{Name: "competing", Partitions: 1, Competing: true})
	s := eventstore.New(struct {
		eventstore.Backend
		eventstore.Leaser
	}{b, b}, eventstore.Config{})
	if st := stands(t, s); st.Parked != 0 || len(st.Partitions) != 1 {
		t.Errorf("it is %+v", st)
	}
	if _, err := s.Status(t.Context(), "competing"); err == nil || !strings.Contains(err.Error(), "keeps no deliveries") {
		t.Errorf("without windows it came to %v", err)
	}
}
