package backends_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/necrostack/necrostack/backends"
	"github.com/necrostack/necrostack/backends/redis"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(testenv.Main(m)) }

type happened struct{}

func (happened) EventType() string { return "happened" }

// head opens a store, appends an event to it and returns where the log ends then.
func head(t *testing.T, dsn string) eventstore.Position {
	t.Helper()
	store, err := backends.Open(t.Context(), dsn, eventstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	r, err := store.Append(t.Context(), "s-1", eventstore.Any, happened{})
	if err != nil {
		t.Fatal(err)
	}
	return r.Position
}

func TestMemoryIsEmptyEveryTime(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"memory:", "memory:", "MEMORY:"} {
		if p := head(t, dsn); p != 1 {
			t.Errorf("%s: the first event is at %d", dsn, p)
		}
	}
}

func TestAServerKeepsTheLogUnderEverySpellingOfItsScheme(t *testing.T) {
	t.Parallel()
	for server, schemes := range map[*testenv.Server][]string{
		testenv.Postgres(t): {"postgres", "postgresql", "PostgreSQL"},
		testenv.Redis(t):    {"redis", "Redis"},
	} {
		_, rest, _ := strings.Cut(server.Database(t), "://")
		for i, scheme := range schemes {
			if p := head(t, scheme+"://"+rest); p != eventstore.Position(i+1) {
				t.Errorf("%s: the event is at %d, want %d", scheme, p, i+1)
			}
		}
	}
}

func TestLogsOfOneRedisServerAreKeptApartByTheirNames(t *testing.T) {
	t.Parallel()
	for range 2 {
		if p := head(t, testenv.Redis(t).Database(t)); p != 1 {
			t.Errorf("the first event of a log is at %d", p)
		}
	}
}

func TestRedisByTLSIsAskedForNoLessThanACertificateThatIsTrusted(t *testing.T) {
	t.Parallel()
	server, _ := testenv.OwnRedisTLS(t)
	_, err := backends.Open(t.Context(), server.Database(t), eventstore.Config{})
	if err == nil || errors.Is(err, eventstore.ErrInvalid) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v", err)
	}
}

func TestARedisServerThatWouldLoseTheLogIsRefusedUnlessTheAddressAcceptsThat(t *testing.T) {
	t.Parallel()
	server := testenv.OwnRedis(t, "appendonly no")
	dsn := server.Database(t)
	if _, err := backends.Open(t.Context(), dsn, eventstore.Config{}); !errors.Is(err, redis.ErrVolatile) || errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if p := head(t, dsn+"&accept_volatile=true"); p != 1 {
		t.Errorf("the event is at %d, want 1", p)
	}
}

func TestTheConfigIsTheStores(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"memory:", testenv.Postgres(t).Database(t), testenv.Redis(t).Database(t)} {
		store, err := backends.Open(t.Context(), dsn, eventstore.Config{MaxEvents: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Append(t.Context(), "s-1", eventstore.Any, happened{}, happened{}); !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("two events in a commit of at most one: %v", err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
}

// offline is a context with which nothing can be connected to.
func offline() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestAnAddressThatCannotBeOneIsInvalidBeforeAnythingIsConnectedTo(t *testing.T) {
	t.Parallel()
	const which = "memory:, postgres://, postgresql://, redis:// or rediss://"
	for _, c := range []struct {
		dsn   string
		cfg   eventstore.Config
		wants []string
	}{
		{dsn: "", wants: []string{"is empty", which}},
		{dsn: "memory", wants: []string{"names no scheme", which}},
		{dsn: "/var/lib/log", wants: []string{"names no scheme", which}},
		{dsn: ":memory:", wants: []string{"names no scheme", which}},
		{dsn: "host=db password=se:cret", wants: []string{"names no scheme", which}},
		{dsn: "memory://", wants: []string{`"memory"`, "after the colon"}},
		{dsn: "memory://x", wants: []string{`"memory"`, "after the colon"}},
		{dsn: "memory:x", wants: []string{`"memory"`, "after the colon"}},
		{dsn: "redis:localhost:6379", wants: []string{`"redis"`, "redis://user:password@host:port/database"}},
		{dsn: "redis://localhost:port", wants: []string{`"redis"`, "cannot be taken apart"}},
		{dsn: "rediss://localhost/0?read_timeout=soon", wants: []string{`"rediss"`, "a setting"}},
		{dsn: "redis://localhost?log=a{b}", wants: []string{`"redis"`, "has a brace"}},
		{dsn: "postgre://localhost/db", wants: []string{`scheme "postgre"`, which}},
		{dsn: "mysql://localhost/db", wants: []string{`scheme "mysql"`, which}},
		{dsn: "postgres:localhost/db", wants: []string{`"postgres"`, "postgres://user:password@host:port/database"}},
		{dsn: "postgres://localhost:port/db", wants: []string{`"postgres"`, "invalid port"}},
		{dsn: "postgres://localhost/db?connect_timeout=soon", wants: []string{`"postgres"`, "connect_timeout"}},
		{dsn: "postgres://localhost/db?pool_max_conns=0", wants: []string{`"postgres"`, "pool_max_conns"}},
		{dsn: "memory:", cfg: eventstore.Config{MaxEvents: -1}, wants: []string{"store config"}},
		{dsn: "postgres://localhost/db", cfg: eventstore.Config{MaxEvents: -1}, wants: []string{"store config"}},
	} {
		store, err := backends.Open(offline(), c.dsn, c.cfg)
		if store != nil {
			t.Errorf("%q: there is a store", c.dsn)
		}
		if !errors.Is(err, eventstore.ErrInvalid) || errors.Is(err, context.Canceled) {
			t.Errorf("%q: %v, want an ErrInvalid", c.dsn, err)
			continue
		}
		for _, want := range append(c.wants, "open store: ") {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: no %s in: %v", c.dsn, want, err)
			}
		}
	}
}

// leaks reports whether an error, or one that it wraps, shows three characters in a row of a secret.
func leaks(err error, secret string) bool {
	shown := fmt.Sprintf("%v %+v %#v", err, err, err)
	for ; err != nil; err = errors.Unwrap(err) {
		shown += fmt.Sprintf(" %v %#v", err, err)
	}
	for i := 0; i+3 <= len(secret); i++ {
		if strings.Contains(shown, secret[i:i+3]) {
			return true
		}
	}
	return false
}

func TestNoErrorShowsAnyPartOfAPasswordHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	// No three characters in a row of these are part of anything else that an error says.
	for _, password := range []string{
		"QXW7JK", "QXW%7JK", "QXW%ZZJK", "%QXWJK%", "QXW@7JK", "QXW@ZJK", "@QXWJK@", "QXW JKV", " QXWJKV", "QXW/JKV", "77/QXWJKV",
		"77@QXW/JKV", "77?QXWJKV", "77#QXWJKV", "77#QX@WJKV", "QXW:JKV", "77:QXWJKV", "QXW[JKV", "QXW]JKV", "QXW`JKV", "QXW`: JKV", `QXW"JKV`,
		"QXW'JKV", `QXW\JKV`, "QXW&JKV", "QXW=JKV", "QXW&JKV=ZVK", "QXW\nJKV", "QXW\x00JKV", "QXW\xffJKV", "ÄÖQXWJKV", "QXW<JKV>", "QXW{JKV}|^",
	} {
		for what, dsn := range map[string]string{
			"as it is":             "postgres://user:" + password + "@127.0.0.1:1/db",
			"escaped":              "postgres://" + url.UserPassword("user", password).String() + "@127.0.0.1:1/db",
			"other scheme":         "postgresql://user:" + password + "@127.0.0.1:1/db",
			"bad port":             "postgres://user:" + password + "@127.0.0.1:one/db",
			"bad setting":          "postgres://user:" + password + "@127.0.0.1:1/db?connect_timeout=x",
			"bad escape elsewhere": "postgres://user:" + password + "@127.0.0.1:1/db%zz",
			"several hosts":        "postgres://user:" + password + "@127.0.0.1:1,127.0.0.1:2/db",
			"no host":              "postgres://user:QXW" + strings.ReplaceAll(password, "@", "-"),
			"no host but a name":   "postgres://user:QXW" + strings.ReplaceAll(password, "@", "-") + "/db",
			"no user":              "postgres://:" + password + "@127.0.0.1:1/db",
			"setting":              "postgres://user@127.0.0.1:1/db?password=" + password,
			"setting, then faulty": "postgres://user@127.0.0.1:1/db?password=" + password + "&connect_timeout=x",
			"setting, escaped":     "postgres://user@127.0.0.1:1/db?password=" + url.QueryEscape(password) + "&connect_timeout=x",
			"no slashes":           "postgres:user:" + password + "@127.0.0.1:1/db",
			"unknown scheme":       "mysql://user:" + password + "@127.0.0.1:1/db",
			"no scheme":            "user=user password=" + password,
			"memory":               "memory://user:" + password + "@127.0.0.1:1/db",

			"Redis":                        "redis://user:" + password + "@127.0.0.1:1/0",
			"Redis, escaped":               "rediss://" + url.UserPassword("user", password).String() + "@127.0.0.1:1/0",
			"Redis, bad port":              "redis://user:" + password + "@127.0.0.1:one/0",
			"Redis, bad database":          "redis://user:" + password + "@127.0.0.1:1/one",
			"Redis, no host":               "redis://user:QXW" + strings.ReplaceAll(password, "@", "-"),
			"Redis, no user":               "redis://:" + password + "@127.0.0.1:1/0",
			"Redis, bad setting":           "redis://user:" + password + "@127.0.0.1:1/0?read_timeout=x",
			"Redis, setting":               "redis://127.0.0.1:1/0?password=" + password,
			"Redis, of Sentinels":          "redis://127.0.0.1:1/0?master_name=m&password=" + url.QueryEscape(password),
			"Redis, of Sentinels, faulty":  "redis://127.0.0.1:1/0?master_name=m&read_timeout=x&password=" + password,
			"Redis, of a cluster":          "redis://user:" + password + "@127.0.0.1:1?addr=127.0.0.1:2",
			"Redis, of a cluster, no port": "redis://user:" + password + "@127.0.0.1?addr=x&read_timeout=x",
		} {
			all.Go(func() { // what is not refused is tried for seconds
				store, err := backends.Open(t.Context(), dsn, eventstore.Config{})
				if err == nil {
					t.Errorf("%s, %q: there is a store", what, password)
					_ = store.Close()
				} else if leaks(err, password) {
					t.Errorf("%s, %q: %v", what, password, err)
				}
			})
		}
	}
	all.Wait()
}

func TestAPasswordMayBeEscapedByteByByte(t *testing.T) {
	t.Parallel()
	for _, server := range []*testenv.Server{testenv.Postgres(t), testenv.Redis(t)} {
		at, err := url.Parse(server.Database(t))
		if err != nil {
			t.Fatal("the server's DSN is no URL")
		}
		password, _ := at.User.Password()
		var escaped strings.Builder
		for _, b := range []byte(password) {
			fmt.Fprintf(&escaped, "%%%02x", b)
		}
		name := at.User.Username()
		at.User = nil
		if p := head(t, at.Scheme+"://"+name+":"+escaped.String()+"@"+strings.TrimPrefix(at.String(), at.Scheme+"://")); p != 1 {
			t.Errorf("%s: the event is at %d, want 1", at.Scheme, p)
		}
	}
}

func TestAServerThatIsDownIsNamedAndIsNoInvalidAddress(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"postgres", "redis", "rediss"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			_, err := backends.Open(t.Context(), scheme+"://user:QXW7JK@127.0.0.1:1/0", eventstore.Config{})
			if err == nil || errors.Is(err, eventstore.ErrInvalid) || !strings.Contains(err.Error(), "127.0.0.1:1") || leaks(err, "QXW7JK") {
				t.Errorf("got %v", err)
			}
		})
	}
}
