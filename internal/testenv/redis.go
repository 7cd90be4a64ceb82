package testenv

import (
	"crypto/tls"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/necrostack/necrostack/internal/testenv/launch"
)

// Redis returns the Redis server that the tests of this process share. The first call starts it. Each log on it is a
// database: Server.Database returns a DSN whose parameter "log" is a name that no other test has, and when the test ends,
// all keys with that name as their hash tag are gone.
func Redis(tb testing.TB) *Server {
	tb.Helper()
	return share(tb, launch.Redis())
}

// OwnRedis starts a Redis server for this test alone, which is removed when it ends: use it to break it, and Redis for
// all else. It writes every change to an append-only file, and waits for the disk, unless settings say otherwise: they
// are lines of redis.conf, as in "appendfsync everysec", "maxmemory 10mb" or "user app on >secret ~* &* +@all".
func OwnRedis(tb testing.TB, settings ...string) *OwnServer {
	tb.Helper()
	return own(tb, launch.Redis(settings...))
}

// OwnRedisTLS is OwnRedis by TLS alone. What it returns besides is how clients connect: they trust the server's
// certificate, which nobody else does, and have one themselves, for which the server asks if the settings have
// "tls-auth-clients yes".
func OwnRedisTLS(tb testing.TB, settings ...string) (*OwnServer, *tls.Config) {
	tb.Helper()
	authority, err := launch.NewAuthority()
	if err != nil {
		tb.Fatalf("testenv: %v", err)
	}
	client, err := authority.Client()
	if err != nil {
		tb.Fatalf("testenv: %v", err)
	}
	return own(tb, launch.RedisTLS(authority, settings...)), client
}

// RedisClient returns a client of the server of a DSN, also of one with the name of a log. It is closed when the test
// ends.
func RedisClient(tb testing.TB, dsn string) *redis.Client {
	tb.Helper()
	options, err := launch.RedisOptions(dsn)
	if err != nil {
		tb.Fatalf("testenv: %v", err)
	}
	client := redis.NewClient(options)
	tb.Cleanup(func() { client.Close() }) //nolint:errcheck // it is of no use any more
	return client
}

// namedLog returns a DSN with the name of a log that no other test has.
func namedLog(tb testing.TB, dsn string) string {
	tb.Helper()
	ctx, cancel := within(tb, acting)
	defer cancel()
	named, err := launch.Redis().Create(ctx, dsn, databaseName(tb.Name()))
	if err != nil {
		tb.Fatalf("testenv: %v", err)
	}
	return named
}
