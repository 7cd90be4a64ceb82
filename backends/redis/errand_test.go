package redis_test

import (
	"context"
	"errors"
	"net/url"
	"testing"

	"github.com/necrostack/necrostack/backends/redis"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
	goredis "github.com/redis/go-redis/v9"
)

var errGaveUp = errors.New("gave up")

// A server that does not answer, or does not even read, keeps nobody who gives up: not for the minute that go-redis would wait here.
func TestWhoGivesUpOnACommitIsNotKept(t *testing.T) {
	t.Parallel()
	server := testenv.Redis(t)
	ours := func(t *testing.T, dsn string) *eventstore.Store {
		t.Helper()
		return openStore(t, dsn, redis.Config{})
	}
	theirs := func(t *testing.T, dsn string) *eventstore.Store {
		t.Helper()
		u, err := url.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		log := u.Query().Get("log")
		u.RawQuery = "read_timeout=1m"
		opt, err := goredis.ParseURL(u.String())
		if err != nil {
			t.Fatal(err)
		}
		client := goredis.NewClient(opt)
		t.Cleanup(func() { _ = client.Close() })
		store, err := redis.OpenClient(t.Context(), client, redis.Config{Log: log})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		return store
	}
	for name, open := range map[string]func(*testing.T, string) *eventstore.Store{"by our client": ours, "by theirs": theirs} {
		for way, stopped := range map[string]testenv.Way{"the answer": testenv.ToClient, "the commit": testenv.ToServer} {
			t.Run(name+", "+way+" is held up", func(t *testing.T) {
				t.Parallel()
				proxy := testenv.NewProxy(t, server.Addr())
				store := open(t, proxy.DSN(t, server.Database(t))+"&read_timeout=1m")
				defer proxy.Restore(t)
				commit := func(tags ...string) eventstore.Commit {
					a := eventstore.Append{Stream: "a-1"}
					for _, tag := range tags {
						a.Events = append(a.Events, event(t, store, tag))
					}
					return eventstore.Commit{Appends: []eventstore.Append{a}}
				}
				if _, err := store.Commit(t.Context(), commit("t:0")); err != nil {
					t.Fatal(err)
				}
				for n, c := range []eventstore.Commit{commit("t:1"), commit("t:2", "t:3")} {
					held := proxy.HalfOpen(stopped)
					ctx, cancel := context.WithCancelCause(t.Context())
					failed := make(chan error, 1)
					go func() {
						_, err := store.Commit(ctx, c)
						failed <- err
					}()
					<-held
					cancel(errGaveUp)
					if err := <-failed; !errors.Is(err, eventstore.ErrOutcomeUnknown) || !errors.Is(err, errGaveUp) {
						t.Errorf("%d: %v", n, err)
					}
					proxy.Restore(t)
					if r, _, err := insist(t.Context(), store, c); err != nil || r.Position != eventstore.Position(2+2*n) {
						t.Errorf("%d, sent again: %+v, %v", n, r, err)
					}
				}
				if n := checkLog(t, store); n != 4 {
					t.Errorf("the log has %d events", n)
				}
			})
		}
	}
}
