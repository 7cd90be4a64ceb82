package redis_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/backends/redis"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
	"github.com/necrostack/necrostack/projections/viewtest"
	"github.com/necrostack/necrostack/spine"
)

const viewPartitions = 4

// viewConsumers are those of viewtest.Views.
var viewConsumers = []string{"transfers_v1", "senders_v1", "balances_v1", "owners_v1"}

// feed appends events for views to fold.
func feed(ctx context.Context, tb testing.TB, log *eventstore.Store, random *rand.Rand, n int) {
	tb.Helper()
	for i := range n {
		stream, payload := viewtest.Event(random, 60, i)
		if _, err := log.Append(ctx, stream, eventstore.Any, payload); err != nil {
			tb.Fatal(err)
		}
	}
}

// runViews runs the views of viewtest until the test ends, or stop is called.
func runViews(ctx context.Context, tb testing.TB, views *eventstore.Store, cfg spine.Config) (stop func() error) {
	tb.Helper()
	cfg.Lease, cfg.Logger = time.Second, slog.New(slog.DiscardHandler)
	sp, err := spine.New(views, cfg, viewtest.Views(viewPartitions)...)
	if err != nil {
		tb.Fatal(err)
	}
	run, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- sp.Run(run) }()
	var result error
	done := false
	stop = func() error {
		cancel()
		if !done {
			done, result = true, <-ended
		}
		return result
	}
	tb.Cleanup(func() { _ = stop() })
	return stop
}

// until waits for something that nothing announces.
func until(ctx context.Context, tb testing.TB, what string, is func() bool) {
	tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tb.Fatalf("%s: not so within the time of the test", what)
		}
	}
}

// done reports whether all views have come to a position.
func done(ctx context.Context, views *eventstore.Store, p eventstore.Position) bool {
	for _, c := range viewConsumers {
		if r, err := views.Roster(ctx, c); err != nil || len(r.Partitions) == 0 || r.Position() < p {
			return false
		}
	}
	return true
}

// serves waits until all views have the whole log, and compares them with what it comes to.
func serves(ctx context.Context, tb testing.TB, log, views *eventstore.Store) viewtest.Compared {
	tb.Helper()
	head, err := log.Head(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	until(ctx, tb, "the views have the whole log", func() bool { return done(ctx, views, head) })
	for p, err := range views.Parked(ctx, eventstore.ParkedFilter{}) {
		tb.Errorf("set aside: %+v, %v", p, err)
	}
	return viewtest.Compare(ctx, tb, views)
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// Whatever the server of the views loses, one kind of key or all it has, is folded anew, also while the views run.
func TestViewsBesideALogHealThemselves(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]string{
		"all": "", "rows": "rows:", "the order of keys": "rk:", "the order of a column": "rx:", "what is known of versions": "view:",
		"consumers": "consumer:", "members": "members", "what is known of the log": "meta", "pulses": "pulse", "beats": "beats", "which version serves": "serving",
	} {
		for _, running := range []bool{true, false} {
			t.Run(name+map[bool]string{true: " while they run", false: " while they do not"}[running], func(t *testing.T) {
				t.Parallel()
				ctx, random := within(t), rand.New(rand.NewPCG(1, 2))
				log := memory.Open(memory.Config{})
				dsn := testenv.Redis(t).Database(t)
				views := openBeside(t, log, dsn)
				stop := runViews(ctx, t, views, spine.Config{})
				feed(ctx, t, log, random, 300)
				serves(ctx, t, log, views)
				if !running {
					if err := stop(); err != nil {
						t.Fatal(err)
					}
				}
				if lose(ctx, t, dsn, lost) == 0 && (running || lost != "members") {
					t.Fatal("nothing was lost")
				}
				feed(ctx, t, log, random, 300) // some of it while they notice
				if !running {
					runViews(ctx, t, views, spine.Config{})
				}
				head, err := log.Head(ctx)
				if err != nil {
					t.Fatal(err)
				}
				until(ctx, t, "the rows are what they should be", func() bool { return done(ctx, views, head) && whole(ctx, views) })
				t.Log(serves(ctx, t, log, views))
			})
		}
	}
}

// whole reports whether the rows of all views can be read.
func whole(ctx context.Context, views *eventstore.Store) bool {
	for _, c := range viewConsumers {
		set := eventstore.RowSet{Name: strings.TrimSuffix(c, "_v1")}
		if _, err := views.Backend().(eventstore.RowKeeper).CountRows(ctx, set, nil); err != nil {
			return false
		}
	}
	return true
}

// lose removes the keys of a log whose names begin as is said, and returns how many.
func lose(ctx context.Context, t *testing.T, dsn, names string) (n int) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	client := testenv.RedisClient(t, dsn)
	keys, err := client.Keys(ctx, "{"+u.Query().Get("log")+"}:"+names+"*").Result()
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) > 0 {
		if err := client.Del(ctx, keys...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	return len(keys)
}

// A server that keeps nothing is killed again and again while views are folded, and has nothing when it comes back; one that keeps
// what it acknowledges goes on from there.
func TestViewsBesideALogOutliveTheirServer(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string][]string{"that keeps nothing": {"appendonly no", `save ""`}, "that keeps all": {"appendfsync always"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, random := within(t), rand.New(rand.NewPCG(3, 4))
			log := memory.Open(memory.Config{})
			server := testenv.OwnRedis(t, settings...)
			views := openBeside(t, log, server.Database(t))
			runViews(ctx, t, views, spine.Config{})
			for range 4 {
				feed(ctx, t, log, random, 400)
				var before eventstore.Position
				until(ctx, t, "a view goes on", func() bool {
					r, err := views.Roster(ctx, "transfers_v1")
					now := r.Position()
					if before == 0 {
						before = now + 1
					}
					return err == nil && now > before
				})
				server.Kill(t)
				server.Start(t)
			}
			t.Log(serves(ctx, t, log, views))
		})
	}
}

// DropBeside removes what is kept, and views that run begin anew. A log is left alone.
func TestDropBesideRemovesNoLog(t *testing.T) {
	t.Parallel()
	ctx, random := within(t), rand.New(rand.NewPCG(5, 6))
	log := memory.Open(memory.Config{})
	dsn := testenv.Redis(t).Database(t)
	views := openBeside(t, log, dsn)
	runViews(ctx, t, views, spine.Config{})
	feed(ctx, t, log, random, 100)
	serves(ctx, t, log, views)
	if err := redis.DropBeside(ctx, dsn, redis.Config{}); err != nil {
		t.Fatal(err)
	}
	feed(ctx, t, log, random, 100)
	until(ctx, t, "the views can be read again", func() bool { return whole(ctx, views) })
	t.Log(serves(ctx, t, log, views))

	if _, err := redis.Open(ctx, dsn, redis.Config{}); err == nil || !strings.Contains(err.Error(), "beside-1") {
		t.Errorf("opened as a log: %v", err)
	}
	plain := testenv.Redis(t).Database(t)
	openStore(t, plain, redis.Config{})
	if _, err := redis.OpenBeside(ctx, log, plain, redis.Config{}); err == nil || !strings.Contains(err.Error(), "format 1") {
		t.Errorf("a log was opened as what is beside one: %v", err)
	}
	if err := redis.DropBeside(ctx, plain, redis.Config{}); err == nil || !strings.Contains(err.Error(), "it is a log") {
		t.Errorf("a log was dropped: %v", err)
	}
}

// Whoever had a lease before Redis lost all it had cannot commit by it afterwards, though his partition stands where it stood then.
func TestNoEpochComesAgainAfterALoss(t *testing.T) {
	t.Parallel()
	ctx := within(t)
	log := memory.Open(memory.Config{})
	dsn := testenv.Redis(t).Database(t)
	views := openBeside(t, log, dsn)
	leaser := views.Backend().(eventstore.Leaser)
	claim := func() eventstore.Lease {
		t.Helper()
		if _, err := leaser.Define(ctx, eventstore.Consumer{Name: "c", Partitions: 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := leaser.Renew(ctx, eventstore.Member{ID: "m", Consumers: []string{"c"}}, time.Minute); err != nil {
			t.Fatal(err)
		}
		leases, err := leaser.Claim(ctx, "m", "c", 1, []int{0})
		if err != nil {
			t.Fatal(err)
		}
		return leases[0]
	}
	feed(ctx, t, log, rand.New(rand.NewPCG(12, 13)), 10)
	before := claim()
	lose(ctx, t, dsn, "")
	if after := claim(); after.Epoch <= before.Epoch || after.Position != 0 {
		t.Errorf("the lease is %+v, and was %+v", after, before)
	}
	c := eventstore.Commit{Checkpoints: []eventstore.Checkpoint{{Consumer: "c", Epoch: before.Epoch, To: 10}}}
	if _, err := views.Commit(ctx, c); !errors.Is(err, eventstore.ErrFenced) {
		t.Errorf("the former owner commits: %v", err)
	}
}
