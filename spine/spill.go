package spine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// ErrSpillFull ends a Spine whose local file of CommitStore has no room left.
var ErrSpillFull = errors.New("the spill file is full")

// errSpill says that a commit has failed as often as CommitStore bears with it.
var errSpill = errors.New("to be spilled")

// spill is the local file of CommitStore: a line of JSON for every event that is to be parked. What was parked is
// taken out when no other is left, or when room is needed.
type spill struct {
	path string
	most int64

	mu    sync.Mutex
	file  *os.File
	size  int64
	lines map[uuid.UUID]spilled // by parked entry
}

// spilled is one line: an event, and what came of it.
type spilled struct {
	Entry  eventstore.Parked
	Type   string
	Stream eventstore.Stream
	Output []spilledEvent `json:",omitempty"` // of the whole commit that the event was handled in; with its first event
}

type spilledEvent struct {
	Stream eventstore.Stream
	Type   string
	Data   json.RawMessage
	Due    time.Time `json:",omitzero"` // of one that was to be scheduled
}

// spill checks what CommitStore needs.
func (r *registration) spill() {
	s := r.spine
	for _, c := range s.consumers {
		switch {
		case c.Policy.OnCommitError != CommitStore:
		case s.cfg.Spill.Path == "":
			r.faultf("organ %q: CommitStore needs Config.Spill.Path", c.Name)
		case c.Policy.Delivery == Competing:
			r.faultf("organ %q: CommitStore is for Ordered organs: a Competing one has its delivery made again", c.Name)
		case s.parker == nil:
			r.faultf("organ %q: CommitStore parks events, which backend %T does not keep", c.Name, s.store.Backend())
		default:
			s.spill = &spill{path: s.cfg.Spill.Path, most: s.cfg.Spill.Most}
		}
	}
}

// open reads what an earlier run has left.
func (s *spill) open() (err error) {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = map[uuid.UUID]spilled{}
	if s.file, err = os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		return fmt.Errorf("spill file: %w", err)
	}
	if err = s.load(); err == nil {
		err = syncFolder(filepath.Dir(s.path)) // the file may be new
	}
	if err != nil {
		return fmt.Errorf("spill file: %w", errors.Join(err, s.file.Close()))
	}
	return nil
}

// load reads the file. A last line without an end is one that the process was writing when it ended, so nobody
// relies on it: it is taken out, or what comes next would be a part of it.
func (s *spill) load() error {
	data, err := os.ReadFile(s.path)
	if err != nil {
		return err
	}
	n := 0
	s.size = 0
	for text := range bytes.Lines(data) {
		n++
		if !bytes.HasSuffix(text, []byte("\n")) {
			if !bytes.HasPrefix(text, []byte(lineStart)) && !strings.HasPrefix(lineStart, string(text)) {
				return fmt.Errorf("%s line %d: is not of a spill file", s.path, n)
			}
			return s.file.Truncate(s.size)
		}
		var line spilled
		if err := json.Unmarshal(text, &line); err != nil {
			return fmt.Errorf("%s line %d: %w", s.path, n, err)
		}
		if line.Entry.ID == uuid.Nil {
			return fmt.Errorf("%s line %d: has no parked entry", s.path, n)
		}
		s.lines[line.Entry.ID] = line
		s.size += int64(len(text))
	}
	return nil
}

// lineStart is how every line begins.
const lineStart = `{"Entry":`

func (s *spill) close() error {
	if s == nil || s.file == nil {
		return nil
	}
	return s.file.Close()
}

// add writes lines, for good: they are on disk when it returns.
func (s *spill) add(lines []spilled) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, err := encodeLines(lines)
	if err != nil {
		return err
	}
	if s.size+int64(len(text)) > s.most {
		if err := s.compact(); err != nil {
			return fmt.Errorf("spill file: %w", err)
		}
		if s.size+int64(len(text)) > s.most {
			return fmt.Errorf("%w: %s has %d bytes, and %d more would exceed %d", ErrSpillFull, s.path, s.size, len(text), s.most)
		}
	}
	_, err = s.file.Write(text)
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("spill file: %w", errors.Join(err, s.file.Truncate(s.size))) // no half of a line stays
	}
	s.size += int64(len(text))
	for _, line := range lines {
		s.lines[line.Entry.ID] = line
	}
	return nil
}

func encodeLines(lines []spilled) ([]byte, error) {
	var text bytes.Buffer
	for _, line := range lines {
		data, err := json.Marshal(line)
		if err != nil {
			return nil, fmt.Errorf("spill file: %w", err)
		}
		text.Write(append(data, '\n'))
	}
	return text.Bytes(), nil
}

// forget takes out events that are parked now.
func (s *spill) forget(entries []eventstore.Parked) error {
	if s == nil || len(entries) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range entries {
		delete(s.lines, p.ID)
	}
	if len(s.lines) > 0 || s.size == 0 {
		return nil
	}
	if err := s.file.Truncate(0); err != nil {
		return fmt.Errorf("spill file: %w", err)
	}
	s.size = 0
	return nil
}

// compact writes the file anew, without what was taken out.
func (s *spill) compact() error {
	lines := slices.SortedFunc(maps.Values(s.lines), func(x, y spilled) int { return int(x.Entry.Position - y.Entry.Position) })
	text, err := encodeLines(lines)
	if err != nil {
		return err
	}
	next := s.path + ".new"
	f, err := os.OpenFile(next, os.O_RDWR|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(text); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(next, s.path)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	old := s.file
	s.file, s.size = f, int64(len(text))
	return errors.Join(old.Close(), syncFolder(filepath.Dir(s.path)))
}

// syncFolder makes a rename durable.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// any reports whether there are events in the file.
func (s *spill) any() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lines) > 0
}

// waiting returns the entry of an event that an earlier run has spilled, if it still is to be parked.
func (s *spill) waiting(id uuid.UUID) (eventstore.Parked, bool) {
	if s == nil {
		return eventstore.Parked{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	line, ok := s.lines[id]
	return line.Entry, ok
}
