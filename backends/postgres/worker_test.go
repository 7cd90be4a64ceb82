package postgres_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
)

// programVariable has this test binary run a program in place of tests. So a test has processes that it can kill.
const programVariable = "NECROSTACK_TEST_PROGRAM"

// programs are what a child may run. Each ends with its error, or when its parent does.
func programs() map[string]func(context.Context, *parent) error {
	return map[string]func(context.Context, *parent) error{
		"writers":   writersProgram,
		"readers":   readersProgram,
		"committer": committerProgram,
		"racers":    racersProgram,
		"history":   historyProgram,
		"worker":    workerProgram,
	}
}

// runProgram is the main function of a child, and returns its exit code.
func runProgram(name string) int {
	run, ok := programs()[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "no such program: %q\n", name)
		return 2
	}
	if err := run(context.Background(), newParent(os.Stdin, os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// A parent is what a child knows of the test that has started it: lines of JSON to and from it.
type parent struct {
	lines <-chan []byte
	mu    sync.Mutex
	out   *json.Encoder
}

// newParent begins to listen. The child ends when its parent has, or has closed its input.
func newParent(in io.Reader, out io.Writer) *parent {
	lines := make(chan []byte, 64)
	go func() {
		from := json.NewDecoder(in)
		for {
			var line json.RawMessage
			if err := from.Decode(&line); err != nil {
				os.Exit(0)
			}
			lines <- line
		}
	}()
	return &parent{lines: lines, out: json.NewEncoder(out)}
}

// hear waits for the next line.
func (p *parent) hear(into any) error { return json.Unmarshal(<-p.lines, into) }

func (p *parent) tell(x any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Encode(x)
}

// A child is a process that a test has started. It is killed when the test ends, unless it has ended before.
type child struct {
	tb     testing.TB
	name   string
	cmd    *exec.Cmd
	stdin  io.Closer
	in     *json.Encoder
	out    *json.Decoder
	errors bytes.Buffer
	once   sync.Once
	ended  error
	killed bool // by the test
}

// spawn starts a program in a process of its own, and tells it its configuration.
func spawn(tb testing.TB, program string, config any) *child {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	c := &child{tb: tb, name: program, cmd: exec.Command(self)} //nolint:noctx // its cleanup ends it
	c.cmd.Env = append(os.Environ(), programVariable+"="+program)
	c.cmd.Stderr = &c.errors
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	c.stdin, c.in, c.out = stdin, json.NewEncoder(stdin), json.NewDecoder(stdout)
	tb.Cleanup(c.kill)
	c.tell(config)
	return c
}

func (c *child) pid() int { return c.cmd.Process.Pid }

func (c *child) tell(x any) {
	c.tb.Helper()
	if err := c.in.Encode(x); err != nil {
		c.tb.Errorf("%s, process %d: %v", c.name, c.pid(), err)
	}
}

// hear reads the next line, and reports whether there was one. Only one goroutine may listen.
func (c *child) hear(into any) bool { return c.out.Decode(into) == nil }

// must is hear where the child has no reason to end.
func (c *child) must(into any) {
	c.tb.Helper()
	if !c.hear(into) {
		c.kill()
		c.tb.Fatalf("%s, process %d, has ended: %s", c.name, c.pid(), c.errors.String())
	}
}

// kill ends the process by SIGKILL.
func (c *child) kill() {
	c.killed = true
	c.cmd.Process.Kill() //nolint:errcheck // it has ended, then
	c.wait()             //nolint:errcheck // it was killed
}

// wait returns when the process has ended, with the reason if it has failed. Nobody may listen to it meanwhile.
func (c *child) wait() error {
	c.once.Do(func() {
		c.stdin.Close()
		if err := c.cmd.Wait(); err != nil {
			c.ended = fmt.Errorf("%s, process %d: %w: %s", c.name, c.pid(), err, c.errors.String())
		}
	})
	return c.ended
}

// connect opens a store on a pool of its own, as any process has one. Nobody closes it but the end of a child; a test
// calls openStore.
func connect(ctx context.Context, dsn string, conns int32) (*eventstore.Store, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = conns
	cfg.ConnConfig.ConnectTimeout = 5 * time.Second
	p, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return postgres.OpenPool(ctx, p, postgres.Config{})
}
