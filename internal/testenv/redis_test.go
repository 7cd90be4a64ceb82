package testenv_test

import (
	"crypto/tls"
	"net/url"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/necrostack/necrostack/internal/testenv"
)

// Each test has a log of its own on the shared server, and what it leaves there goes with it.
func TestALogOfRedisIsItsTestsOwnAndGoneAfterwards(t *testing.T) {
	t.Parallel()
	server := testenv.Redis(t)
	client := testenv.RedisClient(t, server.DSN())
	other := "{other" + strings.ToLower(t.Name()) + "}:kept"
	set(t, client, other)
	var names []string
	t.Run(`a name's "hard" Ways`, func(t *testing.T) {
		for range 2 {
			dsn := server.Database(t)
			name := logOf(t, dsn)
			if !strings.HasPrefix(name, "testalogofredis") {
				t.Errorf("%s does not show which test it belongs to", name)
			}
			names = append(names, name)
			set(t, testenv.RedisClient(t, dsn), "{"+name+"}:a", "prefix:{"+name+"}:b")
		}
	})
	if names[0] == names[1] {
		t.Error("two logs have one name")
	}
	for _, name := range names {
		if left, err := client.Keys(t.Context(), "*"+name+"*").Result(); err != nil || len(left) > 0 {
			t.Errorf("%v are still there: %v", left, err)
		}
	}
	if n, err := client.Del(t.Context(), other).Result(); err != nil || n != 1 {
		t.Errorf("the key of another log is not there any more: %v", err)
	}
}

func TestAnOwnRedisIsBrokenAndRepaired(t *testing.T) {
	t.Parallel()
	said := &listener{TB: t}
	server := testenv.OwnRedis(said, "maxmemory 64mb")
	if server.Addr() == testenv.Redis(t).Addr() {
		t.Fatal("it is the shared one")
	}
	client := testenv.RedisClient(t, server.Database(t))
	settings(t, client, map[string]string{"appendonly": "yes", "appendfsync": "always", "save": "", "maxmemory": "67108864"})
	set(t, client, "kept")
	server.Kill(said)
	server.Start(t)
	server.Stop(t)
	server.Start(t)
	server.Pause(t)
	server.Resume(t)
	if n, err := client.Del(t.Context(), "kept").Result(); err != nil || n != 1 {
		t.Errorf("%d keys were kept: %v", n, err)
	}
	if strings.Contains(said.log.String(), client.Options().Password) {
		t.Error("the log has the password")
	}
}

func TestSettingsOfAnOwnRedisOverruleItsOwn(t *testing.T) {
	t.Parallel()
	server := testenv.OwnRedis(t, "appendonly no", "maxmemory 10mb", "maxmemory-policy allkeys-lru", "user ada on >secret ~ada* +@all")
	dsn, err := url.Parse(server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	settings(t, testenv.RedisClient(t, dsn.String()), map[string]string{"appendonly": "no", "maxmemory-policy": "allkeys-lru"})
	dsn.User = url.UserPassword("ada", "secret")
	ada := testenv.RedisClient(t, dsn.String())
	set(t, ada, "ada:1")
	if err := ada.Set(t.Context(), "bob:1", "", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
		t.Errorf("ada writes what is not hers: %v", err)
	}
}

func TestRedisByTLSServesThoseWhoTrustIt(t *testing.T) {
	t.Parallel()
	server, trusting := testenv.OwnRedisTLS(t, "tls-auth-clients yes")
	for _, tt := range []struct {
		name  string
		tls   *tls.Config
		wants string
	}{
		{"with its certificate", trusting, ""},
		{"without a certificate", &tls.Config{RootCAs: trusting.RootCAs, MinVersion: tls.VersionTLS12}, "certificate required"},
		{"that trusts others", &tls.Config{MinVersion: tls.VersionTLS12}, "certificate signed by unknown authority"},
		{"without TLS", nil, "EOF"},
	} {
		options, err := redis.ParseURL(server.DSN())
		if err != nil {
			t.Fatal(err)
		}
		options.TLSConfig, options.MaxRetries, options.DialerRetries = tt.tls, -1, 1
		client := redis.NewClient(options)
		err = client.Ping(t.Context()).Err()
		client.Close()
		if (err == nil) != (tt.wants == "") || err != nil && !strings.Contains(err.Error(), tt.wants) {
			t.Errorf("a client %s: %v, want %q", tt.name, err, tt.wants)
		}
	}
}

func logOf(t *testing.T, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil || u.Query().Get("log") == "" {
		t.Fatalf("the DSN names no log: %v", err)
	}
	return u.Query().Get("log")
}

func set(t *testing.T, client *redis.Client, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if err := client.Set(t.Context(), key, "value", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// settings compares some of a server's settings.
func settings(t *testing.T, client *redis.Client, want map[string]string) {
	t.Helper()
	for name, value := range want {
		got, err := client.ConfigGet(t.Context(), name).Result()
		if err != nil || got[name] != value {
			t.Errorf("%s is %q, %v, want %q", name, got[name], err, value)
		}
	}
}
