package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/necrostack/necrostack/backends/redis"
	"github.com/necrostack/necrostack/eventstore"
)

// offline is a context with which nothing can be connected to.
func offline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestAnAddressThatCannotBeOneIsInvalid(t *testing.T) {
	t.Parallel()
	const secret = "xyzzyplugh"
	for dsn, want := range map[string]string{
		"":                                                "neither redis:// nor rediss://",
		"localhost:6379":                                  "neither redis:// nor rediss://",
		"postgres://localhost":                            "neither redis:// nor rediss://",
		"redis://user:" + secret + "@host:port":           "cannot be taken apart",
		"redis://user:xyz@zyplugh@host":                   "has an @",
		"redis://user:xyzzy/plugh@host":                   "has an @",
		"redis://user:" + secret + "@host/zero":           "a database, or a setting",
		"redis://user:" + secret + "@host?xyzzyplugh=1":   "a database, or a setting",
		"redis://user:" + secret + "@host?read_timeout=x": "a database, or a setting",
		"redis://host?accept_volatile=perhaps":            "neither true nor false",
		"redis://host?log=a{b}":                           "has a brace",
		"redis://host?log=%20":                            "log",
	} {
		_, err := redis.Open(offline(t), dsn, redis.Config{})
		if !errors.Is(err, eventstore.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", dsn, err, want)
		}
		for e := err; e != nil; e = errors.Unwrap(e) {
			if shown := fmt.Sprintf("%v %#v", e, e); strings.Contains(shown, "xyz") || strings.Contains(shown, "plugh") {
				t.Errorf("%q: the error shows the password: %s", dsn, shown)
			}
		}
	}
}

func TestAFaultyConfigIsInvalid(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]redis.Config{
		"log":      {Log: " "},
		"brace":    {Log: "a}b"},
		"replicas": {WaitReplicas: -1},
		"timeout":  {WaitTimeout: -1},
		"store":    {Store: eventstore.Config{MaxEvents: -1}},
	} {
		if _, err := redis.Open(offline(t), "redis://localhost", cfg); !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
