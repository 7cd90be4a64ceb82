// Package killtest runs the command of an example as a process of its own, and kills it.
//
// The process is the test's own binary, started again: a package's TestMain has to hand its command to Main.
package killtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/resume"
)

// Command is what an example does with its arguments; it returns an exit code.
type Command func(ctx context.Context, args []string, out, diagnostics io.Writer) int

// variable makes the test binary the command.
const variable = "NECROSTACK_EXAMPLE"

// Main runs the command and exits, if this process was started for that. Otherwise it does nothing.
func Main(command Command) {
	if os.Getenv(variable) != "" {
		resume.Hush()
		go func() { // the standard input ends with the test, however that ends
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(3)
		}()
		os.Exit(command(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
}

// Result is what a process has come to.
type Result struct {
	Code     int
	Out, Err string
}

// Run runs the command in a process of its own, to its end.
func Run(t *testing.T, args ...string) Result {
	t.Helper()
	return Start(t, args...).Wait(t)
}

// KillOften runs the command in processes of its own, one after another, and kills each by SIGKILL somewhere on the log's
// way to a position, where the command would end. It fails the test unless all but one were killed: one may be faster
// than we are.
func KillOften(t *testing.T, store *eventstore.Store, kills int, last eventstore.Position, args ...string) {
	t.Helper()
	killed := 0
	for n := range kills {
		head, err := store.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		step := (last - head) / eventstore.Position(kills-n+1)
		if killAt(t, store, head+1+rand.N(max(step, 1)), args) {
			killed++
		}
	}
	if killed < kills-1 {
		t.Errorf("only %d of %d processes were killed before they ended", killed, kills)
	}
}

// killAt reports false if the process has ended by itself.
func killAt(t *testing.T, store *eventstore.Store, at eventstore.Position, args []string) bool {
	t.Helper()
	p := Start(t, args...)
	for {
		head, err := store.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if head >= at {
			break
		}
		select {
		case <-p.ended:
			t.Logf("process %d has ended before position %d: %+v", p.command.Process.Pid, at, p.Wait(t))
			return false
		case <-time.After(time.Millisecond): // nothing announces a position that another process has come to
		}
	}
	r := p.Kill(t)
	head, err := store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("process %d: killed %t, and the log ends at position %d", p.command.Process.Pid, r.Code < 0, head)
	return r.Code < 0
}

// Process is one that runs the command.
type Process struct {
	command *exec.Cmd
	out     output
	err     bytes.Buffer
	ended   chan struct{}
	fault   error // of Wait, once ended is closed
}

// Start starts the command. It dies with the test.
func Start(t *testing.T, args ...string) *Process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{command: exec.CommandContext(t.Context(), self, args...), ended: make(chan struct{})} //nolint:gosec // ourselves
	p.out.first = make(chan struct{})
	p.command.Env = append(os.Environ(), variable+"=1")
	p.command.Stdout, p.command.Stderr = &p.out, &p.err
	if _, err := p.command.StdinPipe(); err != nil { // Wait closes it
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		p.fault = p.command.Wait()
	}()
	t.Cleanup(func() { // the test's context has ended by now, and so has the process, or does at once
		<-p.ended
	})
	return p
}

// Line waits for the first line of the command's output, and fails the test if it ends without one.
func (p *Process) Line(t *testing.T) string {
	t.Helper()
	select {
	case <-p.out.first:
	case <-p.ended:
	}
	line, _, found := strings.Cut(p.out.String(), "\n")
	if !found {
		t.Fatalf("it has ended without a line: %+v", p.Wait(t))
	}
	return line
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Kill ends the process by SIGKILL, unless it has ended by itself.
func (p *Process) Kill(t *testing.T) Result {
	t.Helper()
	if err := p.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	t.Logf("SIGKILL to process %d", p.command.Process.Pid)
	return p.Wait(t)
}

// Wait waits for the end. The exit code of a process that was killed is -1.
func (p *Process) Wait(t *testing.T) Result {
	t.Helper()
	<-p.ended
	if _, exited := errors.AsType[*exec.ExitError](p.fault); p.fault != nil && !exited {
		t.Fatal(p.fault)
	}
	return Result{p.command.ProcessState.ExitCode(), p.out.String(), p.err.String()}
}

// output is read while it is written.
type output struct {
	first chan struct{} // is closed when there is a line

	mu    sync.Mutex
	text  bytes.Buffer
	lines int
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := bytes.Count(p, []byte("\n")); n > 0 {
		if o.lines == 0 {
			close(o.first)
		}
		o.lines += n
	}
	return o.text.Write(p)
}

// String is what was written so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
