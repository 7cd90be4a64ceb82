// Package backends opens a store by its address, for programs that are told at start-up where their log is.
//
// It links every backend and its driver. A program that knows its backend imports that backend's package alone, and has
// all of its Config there.
package backends

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/backends/redis"
	"github.com/necrostack/necrostack/eventstore"
)

// known is what an address begins with.
const known = "memory:, postgres://, postgresql://, redis:// or rediss://"

// Open opens the store at an address:
//
//   - "memory:" is an empty log in this process, which ends with it: see package memory.
//   - "postgres://…" and "postgresql://…" are a log in the schema necrostack of that database, which is created or
//     upgraded: see package postgres.
//   - "redis://…" and "rediss://…", which is by TLS, are a log in that Redis server, cluster or what its Sentinels watch, named
//     by the setting log or else necrostack: see package redis.
//
// An address that cannot be one, and a faulty cfg, is an ErrInvalid, and nothing was connected to. No error holds a
// password, however the address is written. Close the store to disconnect.
func Open(ctx context.Context, dsn string, cfg eventstore.Config) (*eventstore.Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if dsn == "" {
		return nil, unusable("is empty: it has to begin with %s", known)
	}
	scheme, rest, found := strings.Cut(dsn, ":")
	if !found || !isScheme(scheme) {
		return nil, unusable("names no scheme: it has to begin with %s", known)
	}
	switch strings.ToLower(scheme) {
	case "memory":
		if rest != "" {
			return nil, unusable("of scheme %q has something after the colon: a log in memory has no place or name", scheme)
		}
		return memory.Open(memory.Config{Store: cfg}), nil
	case "postgres", "postgresql":
		return openPostgres(ctx, rest, cfg)
	case "redis", "rediss":
		return openRedis(ctx, strings.ToLower(scheme), rest, cfg)
	default:
		return nil, unusable("has scheme %q: it has to begin with %s", scheme, known)
	}
}

// openPostgres opens what follows the scheme.
func openPostgres(ctx context.Context, rest string, cfg eventstore.Config) (*eventstore.Store, error) {
	address, slashes := strings.CutPrefix(rest, "//")
	if !slashes {
		return nil, unusable("of scheme %q lacks the slashes: postgres://user:password@host:port/database", "postgres")
	}
	store, err := postgres.Open(ctx, "postgres://"+address, postgres.Config{Store: cfg})
	if wrong, is := errors.AsType[*eventstore.InvalidError](err); is {
		return nil, unusable("of scheme %q %s", "postgres", wrong.Reason)
	}
	return store, err
}

// openRedis opens what follows the scheme.
func openRedis(ctx context.Context, scheme, rest string, cfg eventstore.Config) (*eventstore.Store, error) {
	if !strings.HasPrefix(rest, "//") {
		return nil, unusable("of scheme %q lacks the slashes: %s://user:password@host:port/database", scheme, scheme)
	}
	store, err := redis.Open(ctx, scheme+":"+rest, redis.Config{Store: cfg})
	if wrong, is := errors.AsType[*eventstore.InvalidError](err); is {
		return nil, unusable("of scheme %q %s", scheme, wrong.Reason)
	}
	return store, err
}

// unusable is an address that cannot be one. The format says nothing of it but its scheme: anything else may be a
// password, if only one that was put in the wrong place.
func unusable(format string, args ...any) error {
	return fmt.Errorf("open store: %w", &eventstore.InvalidError{Field: "DSN", Reason: fmt.Sprintf(format, args...)})
}

// isScheme follows RFC 3986, section 3.1.
func isScheme(text string) bool {
	for i, c := range []byte(text) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+-.", rune(c))) {
			return false
		}
	}
	return text != ""
}
