package redis_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/backends/redis"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
	"github.com/necrostack/necrostack/projections/viewtest"
	"github.com/necrostack/necrostack/spine"
)

// viewsVariable holds the addresses of a log and of the views of it, for a process that is to run them.
const viewsVariable = "NECROSTACK_TEST_VIEWS"

// viewsProgram runs views until its input ends.
func viewsProgram(addresses string) int {
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	if err := keepViews(ctx, addresses); err != nil && ctx.Err() == nil { // else it ended before it had begun
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func keepViews(ctx context.Context, addresses string) error {
	at, beside, _ := strings.Cut(addresses, " ")
	log, err := postgres.Open(ctx, at, postgres.Config{})
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	views, err := redis.OpenBeside(ctx, log, beside, redis.Config{})
	for eventstore.IsRetryable(err) && ctx.Err() == nil { // the server was killed while it was opened
		views, err = redis.OpenBeside(ctx, log, beside, redis.Config{})
	}
	if err != nil {
		return err
	}
	defer func() { _ = views.Close() }()
	sp, err := spine.New(views, spine.Config{Lease: time.Second, Logger: slog.New(slog.DiscardHandler)}, viewtest.Views(viewPartitions)...)
	if err != nil {
		return err
	}
	return sp.Run(ctx)
}

// process is a process that runs views.
type process struct {
	*exec.Cmd

	in io.Closer
}

func startViews(tb testing.TB, log, beside string) *process {
	tb.Helper()
	p := &process{Cmd: exec.CommandContext(tb.Context(), os.Args[0])} //nolint:gosec // it is this program
	p.Env = append(os.Environ(), viewsVariable+"="+log+" "+beside)
	p.Stderr = os.Stderr
	in, err := p.StdinPipe()
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		tb.Fatal(err)
	}
	p.in = in
	return p
}

// kill ends the process by SIGKILL.
func (p *process) kill(tb testing.TB) {
	tb.Helper()
	if err := p.Process.Kill(); err != nil {
		tb.Fatal(err)
	}
	_ = p.Wait() // it was killed
}

func (p *process) stop(tb testing.TB) {
	tb.Helper()
	if err := p.in.Close(); err != nil {
		tb.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		tb.Error(err)
	}
}

// Two processes keep views in Redis of a log in PostgreSQL, which others write to. Both are killed again and again in the middle of a
// rebuild, and so is Redis; and each event counts once.
func TestViewsBesideALogOutliveKills(t *testing.T) {
	t.Parallel()
	const kills, events, seed = 24, 4000, 11
	ctx, random := within(t), rand.New(rand.NewPCG(seed, seed))
	at := testenv.Postgres(t).Database(t)
	server := testenv.OwnRedis(t)
	dsn := server.Database(t)
	log := openPostgres(t, at)
	defer log.Close()
	var all []eventstore.Append
	for i := range events {
		stream, payload := viewtest.Event(random, 60, i)
		a, err := log.NewAppend(stream, eventstore.Any, payload)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	for len(all) > 0 {
		n := min(len(all), 400)
		if _, err := log.Commit(ctx, eventstore.Commit{Appends: all[:n]}); err != nil {
			t.Fatal(err)
		}
		all = all[n:]
	}
	views := openBeside(t, log, dsn)
	processes := []*process{startViews(t, at, dsn), startViews(t, at, dsn)}
	var pids []int
	for n := range kills {
		before, known := moved(ctx, views)
		until(ctx, t, "the views go on", func() bool {
			now, is := moved(ctx, views)
			if !known || now < before { // they begin anew
				before, known = now, is
			}
			return is && now >= before+eventstore.Position(random.IntN(1000))
		})
		if n%8 == 7 {
			server.Kill(t)
			server.Start(t)
			continue
		}
		if n%8 == 3 { // from the beginning
			for _, c := range viewConsumers {
				if err := views.Reset(ctx, c, 0); err != nil {
					t.Fatal(err)
				}
			}
		}
		i := random.IntN(len(processes))
		pids = append(pids, processes[i].Process.Pid)
		processes[i].kill(t)
		processes[i] = startViews(t, at, dsn)
		feed(ctx, t, log, random, 20)
	}
	t.Logf("seed %d: SIGKILL to the processes %v, and to Redis; %v", seed, pids, serves(ctx, t, log, views))
	for _, p := range processes {
		p.stop(t)
	}
}

// moved is how far all partitions of all views are, together.
func moved(ctx context.Context, views *eventstore.Store) (sum eventstore.Position, known bool) {
	for _, c := range viewConsumers {
		r, err := views.Roster(ctx, c)
		if err != nil {
			return 0, false
		}
		for _, p := range r.Partitions {
			sum += p.Position
		}
	}
	return sum, true
}
