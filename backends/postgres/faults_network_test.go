package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

// connectionsAreCut cuts all connections after the server has written commits that nobody was told of, or before the
// commits have come to it.
func connectionsAreCut(t *testing.T) {
	t.Helper()
	server := testenv.Postgres(t)
	dsn := server.Database(t)
	proxy := testenv.NewProxy(t, server.Addr())
	l := startLoad(t, loadConfig{dsn: dsn, through: proxy.DSN(t, dsn), commits: loadCommits})
	unheard := 0
	for i, percent := range []int{10, 20, 30, 40, 50, 60, 70, 80} {
		l.reach(percent)
		if i%2 == 0 {
			unheard += cutAnswers(l, proxy)
		} else {
			<-proxy.HalfOpen(testenv.ToServer)
			proxy.Cut()
		}
		proxy.Restore(t)
	}
	if unheard == 0 {
		t.Error("no commit was written without its writer's knowing")
	}
	l.finish("8 times all connections through %s were cut in mid-commit, half of them before the answer, for which %d events waited", proxy.Addr(), unheard)
	if l.unknown == 0 {
		t.Error("no outcome was unknown")
	}
}

// cutAnswers cuts the connections when the log has grown by something that nobody is told, and returns by how much.
func cutAnswers(l *load, proxy *testenv.Proxy) int {
	l.Helper()
	proxy.HalfOpen(testenv.ToClient)
	before, err := l.store.Head(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	after, err := l.store.Wait(l.Context(), eventstore.Pulse{Head: before})
	if err != nil {
		l.Fatal(err)
	}
	proxy.Cut()
	return int(after.Head - before)
}

// networkIsSlow has latency, and directions in which nothing comes through for a while.
func networkIsSlow(t *testing.T) {
	t.Helper()
	server := testenv.Postgres(t)
	dsn := server.Database(t)
	proxy := testenv.NewProxy(t, server.Addr())
	l := startLoad(t, loadConfig{dsn: dsn, through: proxy.DSN(t, dsn), commits: loadCommits})
	l.reach(5)
	proxy.Delay(5 * time.Millisecond)
	for i, percent := range []int{20, 35, 50, 65} {
		l.reach(percent)
		proxy.HalfOpen(testenv.Way(i % 2))
		time.Sleep(200 * time.Millisecond) // the fault itself
		proxy.Restore(t)
		proxy.Delay(5 * time.Millisecond)
	}
	l.finish("latency of 5 ms each way, and 4 times connections that were half-open for 200 ms, through %s", proxy.Addr())
}

// answerIsLost has the connection cut after the commit was written and before its answer arrives, and then before the
// commit arrives. Both times its outcome is unknown, and a resend settles it.
func answerIsLost(t *testing.T) {
	t.Helper()
	server := testenv.Postgres(t)
	dsn := server.Database(t)
	proxy := testenv.NewProxy(t, server.Addr())
	direct, through := openStore(t, dsn), openStore(t, proxy.DSN(t, dsn))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const cuts = 20
	checked, commits := 0, script(0, cuts+1)
	if _, err := direct.Commit(ctx, commits[0]); err != nil {
		t.Fatal(err)
	}
	for n, c := range commits[1:] {
		// A commit that is known already has the connection stand, and its statements prepared.
		if _, err := through.Commit(ctx, commits[n]); err != nil {
			t.Fatal(err)
		}
		before, err := direct.Head(ctx)
		if err != nil {
			t.Fatal(err)
		}
		written := n%2 == 0
		err = cutCommit(ctx, t, proxy, direct, through, c, before, written)
		unknown, ok := errors.AsType[*eventstore.OutcomeUnknownError](err)
		if !ok || !errors.Is(err, eventstore.ErrOutcomeUnknown) || errors.Is(err, eventstore.ErrConflict) || !eventstore.IsRetryable(err) {
			t.Fatalf("commit %d: %v, want an unknown outcome", n, err)
		}
		first, err := through.Commit(ctx, unknown.Commit)
		if err != nil {
			t.Fatalf("commit %d, sent again: %v", n, err)
		}
		again, err := direct.Commit(ctx, c)
		if err != nil || again.First != first.First || again.Position != first.Position {
			t.Errorf("commit %d, sent a third time: %v, %v, want %v", n, again, err, first)
		}
		if first.First != before+1 {
			t.Errorf("commit %d, written %t: its first result begins at %d, want %d", n, written, first.First, before+1)
		}
		head, err := direct.Head(ctx)
		if err != nil || head != first.Position {
			t.Errorf("commit %d: the head is %d, %v, want %d: it was written again", n, head, err, first.Position)
		}
		checked = int(head)
	}
	t.Logf("fault: %d times the connection through %s was cut in mid-commit; each outcome was unknown, and a resend had the first result; "+
		"checked %d events, 0 skipped, 0 doubled, 0 inverted", cuts, proxy.Addr(), checked)
}

// cutCommit has a commit's connection cut: when it is written and its answer is held back, or before it arrives.
func cutCommit(
	ctx context.Context, t *testing.T, proxy *testenv.Proxy, direct, through *eventstore.Store, c eventstore.Commit,
	before eventstore.Position, written bool,
) error {
	t.Helper()
	stopped := testenv.ToServer
	if written {
		stopped = testenv.ToClient
	}
	held := proxy.HalfOpen(stopped)
	failed := make(chan error, 1)
	go func() {
		_, err := through.Commit(ctx, c)
		failed <- err
	}()
	for at := before; written && at == before && ctx.Err() == nil; {
		pulse, err := direct.Wait(ctx, eventstore.Pulse{Head: before})
		if err != nil {
			t.Fatal(err)
		}
		at = pulse.Head
	}
	select {
	case <-held:
	case <-ctx.Done():
		t.Error("the commit was neither written nor held back")
	}
	proxy.Cut()
	err := <-failed
	proxy.Restore(t)
	return err
}
