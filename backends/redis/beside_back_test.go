package redis_test

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/necrostack/necrostack/backends/redis"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
	"github.com/necrostack/necrostack/projections/viewtest"
	"github.com/necrostack/necrostack/spine"
)

// moving is the address of a log, behind which there may be another server from one moment to the next.
type moving struct {
	at atomic.Pointer[eventstore.Store]
}

func (m *moving) Commit(ctx context.Context, commits []eventstore.Commit) ([]eventstore.Outcome, error) {
	return m.at.Load().Backend().Commit(ctx, commits)
}

func (m *moving) Read(ctx context.Context, q eventstore.Query, r eventstore.Range) iter.Seq2[eventstore.Event, error] {
	return m.at.Load().Backend().Read(ctx, q, r)
}

func (m *moving) Close() error { return nil }

// restored is a log in PostgreSQL that has gone on since its server was backed up, and the one that the backup became.
type restored struct {
	address   *moving
	log       *eventstore.Store // at that address
	old, back *eventstore.Store
	head      eventstore.Position // of the old one
}

func newRestored(t *testing.T, random *rand.Rand) *restored {
	t.Helper()
	server := testenv.OwnPostgres(t)
	dsn := server.Database(t)
	r := &restored{address: &moving{}, old: openPostgres(t, dsn)}
	feed(t.Context(), t, r.old, random, 200)
	other := server.Restore(t, server.Dump(t, dsn))
	feed(t.Context(), t, r.old, random, 100)
	r.back = openPostgres(t, other)
	r.address.at.Store(r.old)
	r.log, r.head = eventstore.New(r.address, eventstore.Config{}), 300
	t.Cleanup(func() {
		if err := errors.Join(r.old.Close(), r.back.Close()); err != nil {
			t.Error(err)
		}
	})
	return r
}

// A log that was set back ends the views that run, whether it is short yet or has grown again, with other events; and they do
// not run again until what they have kept is dropped.
func TestALogThatWasSetBackEndsViewsOfIt(t *testing.T) {
	t.Parallel()
	for name, grown := range map[string]int{"and is short": 0, "and is as long again": 100, "and is longer": 150} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, random := within(t), rand.New(rand.NewPCG(7, 8))
			r := newRestored(t, random)
			dsn := testenv.Redis(t).Database(t)
			views := openBeside(t, r.log, dsn)
			ended := make(chan error, 1)
			sp, err := spine.New(views, spine.Config{Lease: time.Second, Logger: slog.New(slog.DiscardHandler)}, viewtest.Views(viewPartitions)...)
			if err != nil {
				t.Fatal(err)
			}
			go func() { ended <- sp.Run(ctx) }()
			until(ctx, t, "the views have the whole log", func() bool { return done(ctx, views, r.head) })

			feed(ctx, t, r.back, random, grown)
			r.address.at.Store(r.back)
			err = <-ended
			told(t, "the views that run", err)
			_, err = views.Head(ctx)
			told(t, "a read", err)
			_, err = redis.OpenBeside(ctx, r.log, dsn, redis.Config{})
			told(t, "opened again", err)

			if err := redis.DropBeside(ctx, dsn, redis.Config{}); err != nil {
				t.Fatal(err)
			}
			anew := openBeside(t, r.log, dsn)
			runViews(ctx, t, anew, spine.Config{})
			t.Log(serves(ctx, t, r.log, anew))
		})
	}
}

// told checks that an error says of a log that it went back, and names the two events, or the one and how far the log comes.
func told(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, eventstore.ErrWentBack) || !strings.Contains(err.Error(), "position") {
		t.Errorf("%s: %v", what, err)
		return
	}
	t.Logf("%s: %v", what, err)
}

// Two processes follow servers of which one has lost events, and no reader of either could tell by itself: the one with the
// other's marks before it does.
func TestViewsOfTwoLogsDoNotMix(t *testing.T) {
	t.Parallel()
	ctx, random := within(t), rand.New(rand.NewPCG(9, 10))
	r := newRestored(t, random)
	dsn := testenv.Redis(t).Database(t)
	second := openBeside(t, r.back, dsn) // while nothing is kept of events that it lacks
	if _, err := second.Head(ctx); err != nil {
		t.Fatal(err)
	}
	first := openBeside(t, r.old, dsn)
	stop := runViews(ctx, t, first, spine.Config{})
	serves(ctx, t, r.old, first)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	feed(ctx, t, r.back, random, 200)
	sp, err := spine.New(second, spine.Config{Lease: time.Second, Logger: slog.New(slog.DiscardHandler)}, viewtest.Views(viewPartitions)...)
	if err != nil {
		t.Fatal(err)
	}
	told(t, "views of the other log", sp.Run(ctx))
	viewtest.Compare(ctx, t, first)
}

// What belongs into the log is refused, and of a batch only that.
func TestACommitToALogThatIsElsewhereIsRefused(t *testing.T) {
	t.Parallel()
	ctx := within(t)
	h := besideMemory()
	b := h.Open(t)().(both)
	defer b.Close()
	views := eventstore.New(b.kept, eventstore.Config{})
	if _, err := views.Append(ctx, "a-1", eventstore.Any, happened{}); !errors.Is(err, eventstore.ErrInvalid) || !strings.Contains(err.Error(), "the log's own store") {
		t.Errorf("an append: %v", err)
	}
	c, err := b.kept.(eventstore.Leaser).Define(ctx, eventstore.Consumer{Name: "c", Partitions: 1})
	if err != nil || c.Generation != 1 {
		t.Fatal(c, err)
	}
	if _, err := b.kept.(eventstore.Leaser).Renew(ctx, eventstore.Member{ID: "m", Consumers: []string{"c"}}, time.Minute); err != nil {
		t.Fatal(err)
	}
	leases, err := b.kept.(eventstore.Leaser).Claim(ctx, "m", "c", 1, []int{0})
	if err != nil {
		t.Fatal(err)
	}
	checkpoint := eventstore.Checkpoint{Consumer: "c", Epoch: leases[0].Epoch}
	got, err := b.kept.Commit(ctx, []eventstore.Commit{
		{Appends: []eventstore.Append{{Stream: "a-1", Events: []eventstore.Event{event(t, views, "t")}}}},
		{Checkpoints: []eventstore.Checkpoint{checkpoint}},
		{Unless: []eventstore.Condition{{Query: eventstore.All()}}},
	})
	if err != nil || len(got) != 3 || !errors.Is(got[0].Err, eventstore.ErrInvalid) || got[1].Err != nil || !errors.Is(got[2].Err, eventstore.ErrInvalid) {
		t.Errorf("a batch: %+v, %v", got, err)
	}
	if _, err := spine.New(views, spine.Config{}, viewtest.Views(1)...); err != nil {
		t.Error(err)
	}
}
