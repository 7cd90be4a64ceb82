package redis_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/backends/redis"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
	goredis "github.com/redis/go-redis/v9"
)

// openStore opens a log, and closes it when the test ends.
func openStore(tb testing.TB, dsn string, cfg redis.Config) *eventstore.Store {
	tb.Helper()
	s, err := redis.Open(tb.Context(), dsn, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func TestAServerThatWouldLoseTheLogIsRefusedUnlessThatIsAccepted(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]string{
		"appendonly no":                    "appendonly",
		"maxmemory-policy allkeys-lru":     "maxmemory-policy allkeys-lru",
		"maxmemory-policy volatile-random": "maxmemory-policy volatile-random",
	} {
		server := testenv.OwnRedis(t, setting)
		dsn := server.Database(t)
		if _, err := redis.Open(t.Context(), dsn, redis.Config{}); !errors.Is(err, redis.ErrVolatile) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", setting, err)
		}
		openStore(t, dsn+"&accept_volatile=true", redis.Config{})
		var logged bytes.Buffer
		store := openStore(t, dsn, redis.Config{AcceptVolatile: true, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
		if !strings.Contains(logged.String(), want) {
			t.Errorf("%s, accepted: logged is %q", setting, logged.String())
		}
		h, err := redis.CheckHealth(t.Context(), store)
		if err != nil || !strings.Contains(fmt.Sprint(h.Warnings), want) {
			t.Errorf("%s: the health is %+v, %v", setting, h, err)
		}
	}
}

func TestHealthShowsWhatTheServerPromises(t *testing.T) {
	t.Parallel()
	server := testenv.OwnRedis(t, "appendfsync everysec", "maxmemory 100mb")
	store := openStore(t, server.Database(t), redis.Config{})
	if _, err := store.Append(t.Context(), "a-1", eventstore.NoStream, happened{}); err != nil {
		t.Fatal(err)
	}
	h, err := redis.CheckHealth(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	d := h.Durability
	if !h.Reachable || h.Server != server.Addr() || h.Role != "master" || h.Head != 1 || h.ID == "" || h.Version == "" || h.Latency <= 0 {
		t.Errorf("the health is %+v", h)
	}
	if !d.AppendOnly || d.AppendFsync != "everysec" || d.Eviction != "noeviction" || d.MaxMemory != 100<<20 || d.Replicas != 0 {
		t.Errorf("its durability is %+v", d)
	}
	if w := fmt.Sprint(h.Warnings); !strings.Contains(w, "everysec") {
		t.Errorf("warned is %s", w)
	}
	server.Kill(t)
	if h, err = redis.CheckHealth(t.Context(), store); err == nil || h.Reachable || !strings.Contains(err.Error(), server.Addr()) {
		t.Errorf("of a server that was killed: %+v, %v", h, err)
	}
	other := memory.Open(memory.Config{})
	defer other.Close()
	if _, err := redis.CheckHealth(t.Context(), other); err == nil || !strings.Contains(err.Error(), "not on Redis") {
		t.Errorf("of a log in memory: %v", err)
	}
}

// A user who may do no more than docs/redis.md lists can do all that the log needs, on its own keys alone.
func TestAUserWithFewRightsWillDo(t *testing.T) {
	t.Parallel()
	server := testenv.OwnRedis(t, "user app on >secret ~{books}:* "+rights)
	at := "redis://app:secret@" + server.Addr() + "/0"
	var logged bytes.Buffer
	store := openStore(t, at+"?log=books", redis.Config{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	if !strings.Contains(logged.String(), "CONFIG GET") {
		t.Errorf("nobody may read the settings, and logged is %q", logged.String())
	}
	if _, err := store.Append(t.Context(), "a-1", eventstore.NoStream, happened{}); err != nil {
		t.Error(err)
	}
	if p, err := store.Wait(t.Context(), eventstore.Pulse{}); err != nil || p.Head != 1 {
		t.Errorf("waited for %+v, %v", p, err)
	}
	for _, err := range store.Read(t.Context(), eventstore.InStream("a-1"), eventstore.Range{}) {
		if err != nil {
			t.Error(err)
		}
	}
	if _, err := redis.Open(t.Context(), at+"?log=other", redis.Config{}); err == nil || !strings.Contains(err.Error(), "lacks a right") {
		t.Errorf("another log: %v", err)
	}
}

// Whoever lacks a right that only some commits need is told when he opens the log, not in the middle of one of these.
func TestAUserWithTooFewRightsIsToldAtOnce(t *testing.T) {
	t.Parallel()
	for _, lacks := range []string{"-xclaim", "-zadd", "-hincrby", "-time"} {
		server := testenv.OwnRedis(t, "user app on >secret ~* "+rights+" "+lacks)
		if _, err := redis.Open(t.Context(), "redis://app:secret@"+server.Addr()+"/0", redis.Config{}); err == nil || !strings.Contains(err.Error(), "lacks a right") {
			t.Errorf("%s: %v", lacks, err)
		}
	}
}

// rights are those that docs/redis.md lists.
const rights = "+@read +@write +@scripting +@connection -@dangerous +time +info +wait +client|unblock"

type happened struct{}

func (happened) EventType() string { return "happened" }

// A log of which a part is gone is not opened, lest commits fail in their middle.
func TestADamagedLogIsNotOpened(t *testing.T) {
	t.Parallel()
	for _, lost := range []string{"pulse", "log"} {
		dsn := testenv.Redis(t).Database(t)
		if _, err := openStore(t, dsn, redis.Config{}).Append(t.Context(), "a-1", eventstore.NoStream, happened{}); err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		if err := testenv.RedisClient(t, dsn).Del(t.Context(), "{"+u.Query().Get("log")+"}:"+lost).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := redis.Open(t.Context(), dsn, redis.Config{}); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("without its %s: %v", lost, err)
		}
	}
}

// A client of one's own says what an address cannot, and stays one's own to close.
func TestAClientOfOnesOwnMayUseCertificates(t *testing.T) {
	t.Parallel()
	server, config := testenv.OwnRedisTLS(t, "tls-auth-clients yes")
	opt, err := goredis.ParseURL(server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	opt.TLSConfig = config
	client := goredis.NewClient(opt)
	defer client.Close()
	for n := range 2 {
		store, err := redis.OpenClient(t.Context(), client, redis.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Append(t.Context(), "a-1", eventstore.Exact(eventstore.Version(n)), happened{}); err != nil {
			t.Error(err)
		}
		if _, err := store.Wait(t.Context(), eventstore.Pulse{}); err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Errorf("of the client, when all stores are closed: %v", err)
	}
	if _, err := redis.Open(t.Context(), server.DSN(), redis.Config{}); err == nil {
		t.Error("the store is open without the certificate")
	}
}
