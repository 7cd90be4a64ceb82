package launch_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/necrostack/necrostack/internal/testenv/launch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestServersHoldTheirPromises starts one server of each kind from each source that this machine offers, and leads it
// through all that may happen to it.
func TestServersHoldTheirPromises(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		sources := launch.Offered(t.Context(), kind.product)
		if len(sources) == 0 {
			t.Errorf("this machine has neither a Docker engine nor %s: no source can be tested", kind.product.Name)
		}
		t.Logf("this machine offers %s from %v", kind.product.Name, sources)
		for _, source := range sources {
			t.Run(kind.product.Name+" from "+string(source), func(t *testing.T) {
				t.Parallel()
				holdsItsPromises(t, kind, source)
			})
		}
	}
}

func holdsItsPromises(t *testing.T, kind kind, source launch.Source) {
	t.Helper()
	server, err := launch.Start(t.Context(), kind.product, t.Logf, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	t.Run("it listens on loopback only", func(t *testing.T) { listensOnLoopbackOnly(t, server) })
	t.Run("killed, it keeps what was committed", func(t *testing.T) { keepsWhatWasCommitted(t, kind, server, server.Kill) })
	t.Run("stopped, it keeps what was committed", func(t *testing.T) { keepsWhatWasCommitted(t, kind, server, server.Stop) })
	t.Run("paused, it answers nobody until it is resumed", func(t *testing.T) { answersNobody(t, kind, server) })
	t.Run("paused, it can be killed", func(t *testing.T) {
		keepsWhatWasCommitted(t, kind, server, func(ctx context.Context) error {
			return errors.Join(server.Pause(ctx), server.Kill(ctx))
		})
	})
	t.Run("paused, it can be removed and leaves nothing", func(t *testing.T) { leavesNothing(t, server) })
}

func listensOnLoopbackOnly(t *testing.T, server *launch.Server) {
	t.Helper()
	_, port, err := net.SplitHostPort(server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range addrs {
		network, ok := addr.(*net.IPNet)
		if !ok || network.IP.IsLoopback() || network.IP.IsLinkLocalUnicast() {
			continue
		}
		var dialer net.Dialer
		conn, err := dialer.DialContext(t.Context(), "tcp", net.JoinHostPort(network.IP.String(), port))
		if err == nil {
			conn.Close()
			t.Errorf("it listens on %s", network.IP)
		}
	}
}

func keepsWhatWasCommitted(t *testing.T, kind kind, server *launch.Server, end func(context.Context) error) {
	t.Helper()
	before, err := server.Pids(t.Context())
	if err != nil || len(before) < kind.processes {
		t.Fatalf("processes %v, %v: want %d at least", before, err, kind.processes)
	}
	var want, got int64
	err = ask(t, kind, server, time.Minute, func(ctx context.Context, client client) (err error) {
		if err := client.Add(ctx); err != nil {
			return err
		}
		want, err = client.Count(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	do(t, end)
	if err := ask(t, kind, server, time.Second, ping); err == nil {
		t.Error("it still answers")
	}
	do(t, server.Start)
	err = ask(t, kind, server, time.Minute, func(ctx context.Context, client client) (err error) {
		got, err = client.Count(ctx)
		return err
	})
	if err != nil || got != want {
		t.Errorf("it has kept %d, %v, want %d", got, err, want)
	}
	after, err := server.Pids(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range before {
		if slices.Contains(after, pid) {
			t.Errorf("process %d lives on", pid)
		}
	}
}

func answersNobody(t *testing.T, kind kind, server *launch.Server) {
	t.Helper()
	client, err := kind.dial(t.Context(), server.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close(t.Context())
	do(t, server.Pause)
	if err := ask(t, kind, server, 200*time.Millisecond, ping); err == nil {
		t.Error("it answers a new connection")
	}
	answer := make(chan error, 1)
	go func() { answer <- client.Ping(t.Context()) }()
	select {
	case err := <-answer:
		t.Errorf("it answers an open connection: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	do(t, server.Resume)
	if err := <-answer; err != nil {
		t.Errorf("the open connection after the pause: %v", err)
	}
	if err := ask(t, kind, server, time.Minute, ping); err != nil {
		t.Errorf("a new connection after the pause: %v", err)
	}
}

func leavesNothing(t *testing.T, server *launch.Server) {
	t.Helper()
	pids, err := server.Pids(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	do(t, server.Pause)
	do(t, server.Close)
	if left := launch.Left(t, server); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	for _, pid := range pids {
		if launch.Running(t.Context(), pid) {
			t.Errorf("process %d lives on", pid)
		}
	}
}

func TestAServerThatCannotStartShowsItsLog(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		for _, source := range launch.Offered(t.Context(), kind.product) {
			t.Run(kind.product.Name+" from "+string(source), func(t *testing.T) {
				t.Parallel()
				server, err := launch.Start(t.Context(), kind.faulty, t.Logf, source)
				if err == nil {
					t.Fatal(server.Close(t.Context()), "it started")
				}
				if !strings.Contains(err.Error(), kind.says) {
					t.Errorf("the error does not show the log: %v", err)
				}
			})
		}
	}
}

func TestTheErrorNamesEverythingThatWasTried(t *testing.T) {
	t.Parallel()
	product := launch.Postgres()
	product.Variable = "NECROSTACK_NOTHING"
	product.Container.Image, product.Container.Own = "localhost/necrostack-nothing:0", "localhost/necrostack-nothing:1"
	product.Container.Root.Packages = nil
	product.Container.Root.Suite = "no-such-suite"
	product.Process.Programs, product.Process.Packages = []string{"no-such-server"}, nil
	_, err := launch.Start(t.Context(), product, t.Logf, launch.Docker, launch.Local)
	if err == nil {
		t.Fatal("it started")
	}
	for _, want := range []string{"\n  docker: ", "\n  local: ", "no-such-server", "set NECROSTACK_NOTHING to"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not have %q: %v", want, err)
		}
	}
}

func TestTheEnvironmentNamesAServer(t *testing.T) { //nolint:paralleltest // it sets environment variables
	for _, kind := range kinds() {
		t.Run(kind.product.Name, func(t *testing.T) {
			namesAServer(t, kind)
		})
	}
}

func namesAServer(t *testing.T, kind kind) {
	t.Helper()
	sources, err := launch.Sources()
	if err != nil {
		t.Fatal(err)
	}
	started, err := launch.Start(t.Context(), kind.product, t.Logf, sources...)
	if err != nil {
		t.Fatal(err)
	}
	defer do(t, started.Close)
	t.Setenv(kind.product.Variable, started.DSN)
	server, err := launch.Shared(t.Context(), kind.product, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	if server.DSN != started.DSN || server.Addr != started.Addr {
		t.Errorf("another server: %s, want %s", server.Addr, started.Addr)
	}
	if err := server.Kill(t.Context()); err == nil {
		t.Error("somebody else's server was killed")
	}
	do(t, server.Close)
	if err := kind.product.Ping(t.Context(), started.DSN); err != nil {
		t.Errorf("somebody else's server was closed: %v", err)
	}

	t.Setenv(kind.product.Variable, kind.nowhere)
	_, err = launch.Shared(t.Context(), kind.product, t.Logf)
	if err == nil || !strings.Contains(err.Error(), kind.product.Variable) || strings.Contains(err.Error(), "secret") {
		t.Errorf("no server there: %v, want an error with the variable and without the password", err)
	}
}

func TestTheEnvironmentForcesASource(t *testing.T) { //nolint:paralleltest // it sets environment variables
	for value, want := range map[string][]launch.Source{
		"": {launch.Docker, launch.Local}, "docker": {launch.Docker}, "local": {launch.Local}, "cloud": nil,
	} {
		t.Setenv("NECROSTACK_TESTENV", value)
		got, err := launch.Sources()
		if !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%q: %v, %v, want %v", value, got, err, want)
		}
	}
}

// ask acts by a connection of its own, within a limit.
func ask(
	t *testing.T, kind kind, server *launch.Server, limit time.Duration, act func(context.Context, client) error,
) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	client, err := kind.dial(ctx, server.DSN)
	if err != nil {
		return err
	}
	defer client.Close(ctx)
	return act(ctx, client)
}

func ping(ctx context.Context, client client) error { return client.Ping(ctx) }

func do(t *testing.T, act func(context.Context) error) {
	t.Helper()
	if err := act(t.Context()); err != nil {
		t.Fatal(err)
	}
}
