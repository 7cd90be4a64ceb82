package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// asCommand in the environment makes this test binary the command that it tests.
const asCommand = "WITH_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestTheCommandHasServersAndItsExitCodeIsKept(t *testing.T) {
	t.Parallel()
	out, said, err := with(t, nil, "sh", "-c", `echo "$NECROSTACK_POSTGRES"; echo "$NECROSTACK_REDIS"; exit 7`)
	if ended, ok := errors.AsType[*exec.ExitError](err); !ok || ended.ExitCode() != 7 {
		t.Errorf("exit code: %v, want 7; it says %s", err, said)
	}
	dsns := strings.Split(strings.TrimSpace(out), "\n")
	if len(dsns) != 2 {
		t.Fatalf("the command has %d servers, want two: %s", len(dsns), said)
	}
	for _, dsn := range dsns {
		goes(t, dsn)
		if dsn, err := url.Parse(dsn); err == nil {
			if password, _ := dsn.User.Password(); strings.Contains(said, password) {
				t.Error("it says the password")
			}
		}
	}
}

func TestAServerGoesEvenIfItsProcessIsKilled(t *testing.T) {
	t.Parallel()
	out, said, err := with(t, nil, "sh", "-c", `echo "$NECROSTACK_POSTGRES"; kill -KILL $PPID`)
	if err == nil {
		t.Errorf("it was not killed: %s", said)
	}
	goes(t, out)
}

func TestAServerThatTheEnvironmentNamesIsUsed(t *testing.T) {
	t.Parallel()
	out, said, err := with(t, nil, "sh", "-c", `echo "$NECROSTACK_POSTGRES"; exec "$0" -- sh -c 'echo "$NECROSTACK_POSTGRES"'`, os.Args[0])
	if err != nil {
		t.Fatal(err, said)
	}
	if outer, inner, _ := strings.Cut(strings.TrimSpace(out), "\n"); outer == "" || inner != outer {
		t.Error("the inner command has another server than the outer one")
	}
}

func TestWithoutAServerTheCommandRunsAllTheSame(t *testing.T) {
	t.Parallel()
	none := []string{"NECROSTACK_TESTENV=docker", "NECROSTACK_POSTGRES_IMAGE=localhost/no/such:image", "NECROSTACK_REDIS_IMAGE=localhost/no/such:image"}
	out, said, err := with(t, none, "echo", "ran")
	if err != nil || out != "ran\n" {
		t.Errorf("%q, %v, want that it ran", out, err)
	}
	for _, product := range []string{"postgres", "redis"} {
		if !strings.Contains(said, "no "+product+" server for the tests; tried:\n  docker: ") {
			t.Errorf("it does not say why there is no %s: %s", product, said)
		}
	}
}

func TestWithoutACommandItSaysHowItIsUsed(t *testing.T) {
	t.Parallel()
	_, said, err := with(t, nil)
	if ended, ok := errors.AsType[*exec.ExitError](err); !ok || ended.ExitCode() != 2 || !strings.Contains(said, "usage:") {
		t.Errorf("%v: %s", err, said)
	}
}

// with runs the command in an environment that names no server.
func with(t *testing.T, env []string, args ...string) (out, said string, err error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], append([]string{"--"}, args...)...)
	command.Env = append(os.Environ(), asCommand+"=1", "NECROSTACK_POSTGRES=", "NECROSTACK_REDIS=")
	command.Env = append(command.Env, env...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err = command.Run()
	return stdout.String(), stderr.String(), err
}

// goes waits until nothing listens any more where a DSN says.
func goes(t *testing.T, dsn string) {
	t.Helper()
	server, err := url.Parse(strings.TrimSpace(dsn))
	if err != nil || server.Host == "" {
		t.Fatalf("the command had no server: %q, %v", dsn, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", server.Host)
		if err != nil && ctx.Err() == nil {
			return
		}
		if err != nil {
			t.Fatalf("a server still listens at %s", server.Host)
		}
		conn.Close()
		time.Sleep(10 * time.Millisecond)
	}
}
