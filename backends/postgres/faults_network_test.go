package postgres_test

import (
	"bytes"
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
	l := &lost{T: t, proxy: testenv.NewProxy(t, server.Addr()), direct: openStore(t, dsn)}
	l.through = openStore(t, l.proxy.DSN(t, dsn))
	const cuts = 20
	for n := range cuts {
		l.lose(n%2 == 0)
	}
	t.Logf("fault: %d times the connection through %s was cut in mid-commit; each outcome was unknown, and a resend had the first result; %v",
		cuts, l.proxy.Addr(), checkStore(t, l.direct))
}

// lost is a store behind a proxy, and another one on the same log that is not.
type lost struct {
	*testing.T
	proxy           *testenv.Proxy
	direct, through *eventstore.Store
}

// lose has a commit's connection cut when it is written and its answer is held back, or before it arrives.
func (l *lost) lose(written bool) {
	l.Helper()
	ctx, cancel := context.WithTimeout(l.Context(), patience)
	defer cancel()
	before, err := l.direct.Head(ctx)
	if err != nil {
		l.Fatal(err)
	}
	c := order{Events: 3}.commit()
	id := c.Appends[0].Events[0].ID
	arrived := l.proxy.HalfOpenWithin(testenv.ToServer, func(_ int, chunk []byte) int {
		if bytes.Contains(chunk, id[:]) {
			return 0
		}
		return len(chunk)
	})
	failed := make(chan error, 1)
	go func() {
		_, err := l.through.Commit(ctx, c)
		failed <- err
	}()
	select {
	case <-arrived:
	case err := <-failed:
		l.Fatalf("the commit was never sent: %v", err)
	}
	if written {
		l.proxy.HalfOpen(testenv.ToClient)
		l.proxy.Resume(testenv.ToServer)
		l.await(ctx, before)
	}
	l.proxy.Cut()
	err = <-failed
	l.proxy.Restore(l.T)
	unknown, ok := errors.AsType[*eventstore.OutcomeUnknownError](err)
	if !ok || !errors.Is(err, eventstore.ErrOutcomeUnknown) || errors.Is(err, eventstore.ErrConflict) || !eventstore.IsRetryable(err) {
		l.Fatalf("the connection was cut: %v, want an unknown outcome", err)
	}
	first := l.resend(ctx, unknown.Commit)
	again, err := l.direct.Commit(ctx, c)
	if err != nil || again.First != first.First || again.Position != first.Position {
		l.Errorf("sent a third time: %v, %v, want %v", again, err, first)
	}
	if first.First != before+1 {
		l.Errorf("written %t: the first result begins at %d, want %d", written, first.First, before+1)
	}
	if head, err := l.direct.Head(ctx); err != nil || head != first.Position {
		l.Errorf("the head is %d, %v, want %d: it was written again", head, err, first.Position)
	}
}

// await returns when the log has grown.
func (l *lost) await(ctx context.Context, before eventstore.Position) {
	l.Helper()
	for at := before; at == before; {
		pulse, err := l.direct.Wait(ctx, eventstore.Pulse{Head: before})
		if err != nil || ctx.Err() != nil {
			l.Fatalf("the commit was never written: %v", err)
		}
		at = pulse.Head
	}
}

// resend sends a commit until its outcome is known: the pool may still hold connections that were cut.
func (l *lost) resend(ctx context.Context, c eventstore.Commit) eventstore.Result {
	l.Helper()
	for {
		r, err := l.through.Commit(ctx, c)
		switch {
		case err == nil:
			return r
		case !eventstore.IsRetryable(err), ctx.Err() != nil:
			l.Fatalf("a commit that is sent again: %v", err)
		}
	}
}
