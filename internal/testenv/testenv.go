package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/necrostack/necrostack/internal/testenv/launch"
)

const (
	// preparing is how long a server may take to exist: its image may have to be built first.
	preparing = 10 * time.Minute
	// acting is how long anything else that is done to a server may take.
	acting = time.Minute
)

// shared is what the tests of this process have in common. That has to be a variable: all that tests share is their
// process.
var shared struct {
	sync.Mutex
	ends    bool // Main sees to the end
	started map[string]start
}

// A start is tried once for all tests, and they all get what came of it.
type start struct {
	server *launch.Server
	err    error
}

// Main returns m with the removal of the shared servers after the last test.
func Main(m *testing.M) interface{ Run() int } {
	return run(func() int {
		shared.Lock()
		shared.ends, shared.started = true, map[string]start{}
		shared.Unlock()
		code := m.Run()
		if err := closeShared(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return max(code, 1)
		}
		return code
	})
}

type run func() int

func (r run) Run() int { return r() }

func closeShared() error {
	shared.Lock()
	defer shared.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), acting)
	defer cancel()
	var faults []error
	for _, start := range shared.started {
		if start.err == nil {
			faults = append(faults, start.server.Close(ctx))
		}
	}
	return errors.Join(faults...)
}

// share returns the product's server that the tests of this process share.
func share(tb testing.TB, product launch.Product) *Server {
	tb.Helper()
	shared.Lock()
	defer shared.Unlock()
	if !shared.ends {
		tb.Fatal("testenv: nothing would remove the server: have TestMain call testenv.Main, as the package's doc.go shows")
	}
	known, ok := shared.started[product.Name]
	if !ok {
		ctx, cancel := within(tb, preparing)
		defer cancel()
		known.server, known.err = launch.Shared(ctx, product, tb.Logf)
		shared.started[product.Name] = known
	}
	if known.err != nil {
		tb.Fatalf("testenv: %v", known.err)
	}
	return &Server{launched: known.server, shared: true}
}

// own starts a server for this test alone, from the sources that the environment allows if none is named.
func own(tb testing.TB, product launch.Product, sources ...launch.Source) *OwnServer {
	tb.Helper()
	if len(sources) == 0 {
		var err error
		if sources, err = launch.Sources(); err != nil {
			tb.Fatalf("testenv: %v", err)
		}
	}
	ctx, cancel := within(tb, preparing)
	defer cancel()
	launched, err := launch.Start(ctx, product, tb.Logf, sources...)
	if err != nil {
		tb.Fatalf("testenv: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := within(tb, acting)
		defer cancel()
		if err := launched.Close(ctx); err != nil {
			tb.Errorf("testenv: %v", err)
		}
	})
	return &OwnServer{Server{launched: launched}}
}

// within returns a context of the test that serves its cleanups, too, when the test's own has ended.
func within(tb testing.TB, limit time.Duration) (context.Context, context.CancelFunc) {
	tb.Helper()
	return context.WithTimeout(context.WithoutCancel(tb.Context()), limit)
}

// until waits until something that comes about by itself is so: until it returns nil.
func until(tb testing.TB, what string, so func(context.Context) error) {
	tb.Helper()
	ctx, cancel := within(tb, acting)
	defer cancel()
	for {
		err := so(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			tb.Fatalf("testenv: waiting until %s: %v", what, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
