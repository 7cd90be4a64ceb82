package postgres_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// writersConfig is what a process of writers is told.
type writersConfig struct {
	DSN     string
	First   int    // of its writers
	Commits int    // of each
	Journal string // a file: what it has sent and was told, so that it can go on after its death
}

// writersProgram commits the scripts of several writers. It says when it is connected, and begins when it hears anything.
func writersProgram(ctx context.Context, p *parent) error {
	var cfg writersConfig
	if err := p.hear(&cfg); err != nil {
		return err
	}
	s, err := connectAnyhow(ctx, cfg.DSN, 3)
	if err != nil {
		return err
	}
	j, err := openJournal(cfg.Journal, p)
	if err != nil {
		return err
	}
	var begin any
	if err := errors.Join(p.tell("connected"), p.hear(&begin)); err != nil {
		return err
	}
	var running sync.WaitGroup
	faults := make([]error, loadWriters)
	for i := range loadWriters {
		running.Go(func() { faults[i] = write(ctx, s, j, cfg.First+i, cfg.Commits) })
	}
	running.Wait()
	return errors.Join(faults...)
}

// write commits one writer's script. What a journal of the past calls sent, and no more, is sent again first.
func write(ctx context.Context, s *eventstore.Store, j *journal, writer, commits int) error {
	all := script(writer, commits)
	for n := j.next[writer]; n < commits; n++ {
		t := told{Writer: writer, Commit: n}
		if err := j.note(t); err != nil {
			return err
		}
		if err := insist(ctx, s, all[n], &t); err != nil {
			t.Fault = err.Error()
		}
		t.Known = true
		if err := j.note(t); err != nil || t.Fault != "" {
			return err
		}
	}
	return nil
}

// insist sends the same commit until it knows what has become of it. Some callers are impatient, now and then.
func insist(ctx context.Context, s *eventstore.Store, c eventstore.Commit, t *told) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		impatient, cancel := context.WithCancel(ctx)
		if t.Commit%16 == t.Writer && t.Unknown+t.Refused == 0 {
			time.AfterFunc(time.Millisecond, cancel)
		}
		r, err := s.Commit(impatient, c)
		left := impatient.Err() != nil
		cancel()
		switch {
		case err == nil:
			t.First, t.Last, t.Versions = r.First, r.Position, r.Versions
			return nil
		case errors.Is(err, eventstore.ErrOutcomeUnknown):
			t.Unknown++
		case eventstore.IsRetryable(err), left && errors.Is(err, context.Canceled):
			t.Refused++
		default:
			return err
		}
		time.Sleep(pause)
	}
}

// A journal is what a process knows that must outlive it. The parent hears everything that is known, too.
type journal struct {
	parent *parent
	next   map[int]int // by writer: the first commit that is not known to be done
	mu     sync.Mutex
	file   *os.File
}

func openJournal(name string, p *parent) (*journal, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{parent: p, next: map[int]int{}, file: file}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var t told
		if json.Unmarshal(lines.Bytes(), &t) != nil {
			continue // a line that death has cut short
		}
		if t.Known {
			j.next[t.Writer] = t.Commit + 1
		}
		if err := p.tell(t); err != nil {
			return nil, err
		}
	}
	return j, lines.Err()
}

func (j *journal) note(t told) error {
	line, err := json.Marshal(t)
	if err != nil {
		return err
	}
	j.mu.Lock()
	_, err = j.file.Write(append(line, '\n'))
	j.mu.Unlock()
	if err != nil {
		return err
	}
	return j.parent.tell(t)
}

// connectAnyhow connects to a server that may be broken for a while.
func connectAnyhow(ctx context.Context, dsn string, conns int32) (s *eventstore.Store, err error) {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if s, err = connect(ctx, dsn, conns); err == nil || time.Now().After(deadline) {
			break
		}
	}
	if err != nil {
		err = fmt.Errorf("connecting for %v: %w", patience, err)
	}
	return s, err
}
