package launch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/necrostack/necrostack/internal/testenv/images"
)

// logName is the parameter of a DSN that names a log. The server knows nothing of it.
const logName = "log"

// Redis returns the product Redis. Its servers write every change to an append-only file, and wait for the disk, before
// they answer. Settings, lines of redis.conf, come after the product's own and overrule them.
//
// What stands for a database is the name of a log, in the DSN's parameter "log": the log's keys have it as their hash
// tag, and so they are told from all others.
func Redis(settings ...string) Product { return redisProduct("redis", nil, settings) }

// RedisTLS returns the product Redis, by TLS alone, with a certificate of an authority's.
func RedisTLS(authority *Authority, settings ...string) Product {
	return redisProduct("rediss", authority, settings)
}

func redisProduct(scheme string, authority *Authority, settings []string) Product {
	product := redisProgram("redis.conf")
	product.DSN = func(addr, password string) string {
		dsn := url.URL{Scheme: scheme, User: url.UserPassword("default", password), Host: addr, Path: "/0"}
		return dsn.String()
	}
	product.Ping = func(ctx context.Context, dsn string) error {
		return withRedis(dsn, authority, func(client *redis.Client) error { return client.Ping(ctx).Err() })
	}
	product.Create = func(_ context.Context, dsn, name string) (string, error) { return withLog(dsn, name) }
	product.Drop = func(ctx context.Context, dsn, name string) error {
		return withRedis(dsn, authority, func(client *redis.Client) error { return unlink(ctx, client, "*{"+name+"}*") })
	}
	product.Files = func(place Place) map[string]string {
		lines := []string{
			"bind " + place.Host, "port " + place.Port, "dir " + place.Data, "requirepass " + place.Password,
			"appendonly yes", "appendfsync always", `save ""`, "enable-debug-command yes", "enable-protected-configs yes",
		}
		files := map[string]string{}
		if authority != nil {
			files = map[string]string{"ca.pem": authority.CA, "cert.pem": authority.Certificate, "key.pem": authority.Key}
			lines = append(lines, "port 0", "tls-port "+place.Port, "tls-auth-clients no", "tls-ca-cert-file "+place.Data+"/ca.pem",
				"tls-cert-file "+place.Data+"/cert.pem", "tls-key-file "+place.Data+"/key.pem")
		}
		lines = append(lines, settings...)
		files["redis.conf"] = strings.Join(append(lines, ""), "\n")
		return files
	}
	return product
}

// redisProgram is how redis-server runs on a file of its data directory, with more arguments.
func redisProgram(conf string, args ...string) Product {
	const data = "/data"
	return Product{
		Name: "redis", Variable: "NECROSTACK_REDIS",
		Addr: addrRedis,
		Container: Container{
			Image: "redis:8", Own: "localhost/necrostack-redis:8",
			Root: images.Root{
				Suite: "trixie", Packages: []string{"redis-server"}, User: "redis", Data: data, Entrypoint: "redis.sh",
			},
			Port:    "6379/tcp",
			Command: append([]string{"redis-server", data + "/" + conf}, args...),
		},
		Process: Process{
			Programs: []string{"redis-server"},
			Packages: []string{"redis-server"},
			User:     "nobody",
			Serve: func(data, _ string) []string {
				return append([]string{"redis-server", data + "/" + conf}, args...)
			},
		},
	}
}

// RedisOptions returns what a client of the server of a DSN takes. The errors do not hold the DSN.
func RedisOptions(dsn string) (*redis.Options, error) {
	u, err := parseRedis(dsn)
	if err != nil {
		return nil, err
	}
	query := u.Query()
	query.Del(logName)
	u.RawQuery = query.Encode()
	return redis.ParseURL(u.String())
}

// withRedis acts by a client that trusts an authority, if there is one.
func withRedis(dsn string, authority *Authority, act func(*redis.Client) error) error {
	options, err := RedisOptions(dsn)
	if err != nil {
		return err
	}
	options.MaxRetries = -1
	if authority != nil {
		if options.TLSConfig, err = authority.Client(); err != nil {
			return err
		}
	}
	client := redis.NewClient(options)
	defer client.Close() //nolint:errcheck // the outcome is known by then
	return act(client)
}

// unlink removes all keys that match a pattern.
func unlink(ctx context.Context, client *redis.Client, pattern string) error {
	var cursor uint64
	for {
		keys, next, err := client.Scan(ctx, cursor, pattern, 1000).Result()
		if err == nil && len(keys) > 0 {
			err = client.Unlink(ctx, keys...).Err()
		}
		if err != nil {
			return fmt.Errorf("removing the keys %s: %w", pattern, err)
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// withLog returns dsn with the name of another log.
func withLog(dsn, name string) (string, error) {
	u, err := parseRedis(dsn)
	if err != nil {
		return "", err
	}
	query := u.Query()
	query.Set(logName, name)
	u.RawQuery = query.Encode()
	return u.String(), nil
}

func addrRedis(dsn string) (string, error) {
	u, err := parseRedis(dsn)
	switch {
	case err != nil:
		return "", err
	case u.Scheme == "unix":
		return u.Path, nil
	default:
		return net.JoinHostPort(cmp.Or(u.Hostname(), "localhost"), cmp.Or(u.Port(), "6379")), nil
	}
}

func parseRedis(dsn string) (*url.URL, error) {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix" {
		return nil, errors.New("the DSN is no URL redis://, rediss:// or unix://")
	}
	return u, nil
}
