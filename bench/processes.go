package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/necrostack/necrostack/backends/postgres"
)

// jobVariable is set for a process that the benchmark has started beside itself; it holds a job.
const jobVariable = "NECROSTACK_BENCH_JOB"

// A job is what such a process does.
type job struct {
	DSN, Schema, Category string
	Writers               int
	Projects              bool // in place of appending
}

// done is what it prints in the end.
type done struct {
	Commits int
	Rate    float64
	Took    []time.Duration
}

// appendingProcesses measures four processes of 16 writers each.
func appendingProcesses(ctx context.Context, l *log) (s measured, err error) {
	const processes, writers = 4, 16
	jobs := make([]*process, processes)
	defer func() {
		for _, p := range jobs {
			if p != nil {
				err = errors.Join(err, p.end())
			}
		}
	}()
	for i := range jobs {
		if jobs[i], err = l.begin(ctx, job{DSN: l.server.dsn, Schema: l.schema, Category: fmt.Sprint("p", i), Writers: writers}); err != nil {
			return s, err
		}
	}
	for _, p := range jobs {
		if err := p.warm(); err != nil {
			return s, err
		}
	}
	results, err := finish(jobs)
	if err != nil {
		return s, err
	}
	commits := 0
	for _, r := range results {
		commits, s.rate, s.took = commits+r.Commits, s.rate+r.Rate, append(s.took, r.Took...)
	}
	slices.Sort(s.took)
	return s, l.server.count(ctx, l.table(), commits)
}

// finish lets all of them go, and waits for each.
func finish(jobs []*process) ([]done, error) {
	for _, p := range jobs {
		if _, err := io.WriteString(p.in, "go\n"); err != nil {
			return nil, err
		}
	}
	results := make([]done, len(jobs))
	for i, p := range jobs {
		if err := json.NewDecoder(p.out).Decode(&results[i]); err != nil {
			return nil, fmt.Errorf("process %d: %w", p.cmd.Process.Pid, err)
		}
	}
	return results, nil
}

// A process is one that the benchmark has started.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func (l *log) begin(ctx context.Context, j job) (*process, error) {
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.CommandContext(ctx, self)}
	p.cmd.Env, p.cmd.Stderr = append(os.Environ(), jobVariable+"="+string(text)), os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	return p, p.cmd.Start()
}

// warm waits until the process is ready to begin.
func (p *process) warm() error {
	if line, err := p.out.ReadString('\n'); err != nil || line != "ready\n" {
		return fmt.Errorf("process %d: says %q: %w", p.cmd.Process.Pid, line, err)
	}
	return nil
}

// end closes the process's input, which ends it wherever it is.
func (p *process) end() error {
	return errors.Join(p.in.Close(), p.cmd.Wait())
}

// ready says so, and returns when the process shall go on.
func ready() error {
	fmt.Println("ready")
	_, err := bufio.NewReader(os.Stdin).ReadString('\n')
	return err
}

// work does a job, in a process of its own.
func work(ctx context.Context, text string) (err error) {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	store, err := postgres.Open(ctx, j.DSN, postgres.Config{Schema: j.Schema, ManualMigration: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if j.Projects {
		return project(ctx, store)
	}
	x := appenders(store, j.Category, j.Writers, 1)
	x.ready = ready
	s, commits, err := x.measure(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(done{Commits: commits, Rate: s.rate, Took: s.took})
}
