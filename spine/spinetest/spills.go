package spinetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func spills() []promise {
	return []promise{
		{"while the store fails, handlers go on, and the file has every event and output", spillsOn},
		{"when the store comes back, what was spilled is parked in order, with the checkpoint, and the file is empty", spillsParked},
		{"more than one commit can take is spilled and parked whole", spillsMany},
		{"an event that fails, or is set aside with output, is spilled with what came of it", spillsFailures},
		{"a commit that landed though nobody knew is not parked", spillsLanded},
		{"after a crash, what was spilled is parked and not handled again", spillsCrash},
		{"a full file ends Run with ErrSpillFull, and nothing is lost", spillsFull},
		{"a file is written anew when only what is still to be parked fits", spillsCompact},
		{"a torn last line is dropped, and what comes next is not lost with it", spillsTorn},
		{"a line that makes no sense ends Run, naming file and line", spillsCorrupt},
		{"a file that cannot be written ends Run", spillsUnwritable},
		{"a redrive waits for the store", spillsNoRedrive},
		{"CommitStore without a path, or with Competing, is a registration fault", spillsFaulty},
	}
}

// outage is a tap whose commits fail while it is down; all else works.
type outage struct {
	*Tap

	down  atomic.Bool
	tries atomic.Int64 // while it was down
	land  atomic.Bool  // a commit lands though it is down, once
}

func (t *Trial) outage() *outage {
	o := &outage{Tap: t.Tap()}
	o.OnCommit = func(batch []eventstore.Commit, write func() ([]eventstore.Outcome, error)) ([]eventstore.Outcome, error) {
		if !o.down.Load() {
			return write()
		}
		o.tries.Add(1)
		if len(batch[0].Checkpoints) > 0 && len(batch[0].Appends) > 0 && o.land.CompareAndSwap(true, false) {
			return unnoticed(write)
		}
		return nil, errDisk
	}
	return o
}

// spilledLine is a line of the file, as an operator reads it.
type spilledLine struct {
	Entry  eventstore.Parked
	Type   string
	Stream string
	Output []struct {
		Stream, Type string
		Data         json.RawMessage
	}
}

// spilledIn reads a file.
func spilledIn(t testing.TB, path string) (lines []spilledLine) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	for text := range bytes.Lines(data) {
		var l spilledLine
		if err := json.Unmarshal(text, &l); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		lines = append(lines, l)
	}
	return lines
}

// spilledLines counts the lines of a file.
func spilledLines(t testing.TB, path string) int {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	return bytes.Count(data, []byte("\n"))
}

// stores makes an organ CommitStore, with few quick attempts.
func stores(o Organ) Organ {
	o.Policy.OnCommitError, o.Policy.Partitions = spine.CommitStore, 1
	o.Policy.Retry = spine.Retry{Attempts: 1}
	return o
}

func spillPath(t testing.TB) (string, spine.Config) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "spill")
	return path, spine.Config{Spill: spine.Spill{Path: path}, Lease: time.Minute}
}

// spillsOn looks into the file from within the handlers: whatever was handled before is in it.
func spillsOn(t *Trial) {
	path, cfg := spillPath(t)
	tap := t.outage()
	const n = 1300 // more than the Spine reads at once
	var mu sync.Mutex
	early, handled := 0, 0
	o := stores(On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
		mu.Lock()
		defer mu.Unlock()
		handled++
		if N(in.Event)%100 == 0 && N(in.Event) > 0 {
			had := spilledLines(t, path)
			if had < N(in.Event)-256 { // those of its own commit are not spilled yet
				early++
			}
		}
		return Copy("copy.", "mid")(ctx, in)
	}))
	stop := t.Start(t.Spine(t.Open(tap), cfg, o))
	t.Until("it runs", func() bool {
		return len(t.Roster("organ").Partitions) == 1 && t.Roster("organ").Partitions[0].Owner != ""
	})
	tap.down.Store(true)
	var events []eventstore.Event
	for i := range n {
		events = append(events, Event(fmt.Sprint("s-", i), "in", i))
	}
	t.Put(events...)
	t.Until("all is handled", func() bool { return spilledLines(t, path) == n })
	for i, l := range spilledIn(t, path) {
		if l.Entry.Event != events[i].ID || l.Type != "in" || l.Stream != fmt.Sprint("s-", i) || l.Entry.Attempts != 1 ||
			!strings.Contains(l.Entry.Failures[0].Error, errDisk.Error()) {
			t.Fatalf("line %d is %+v", i+1, l)
		}
	}
	out := 0
	for _, l := range spilledIn(t, path) {
		for _, e := range l.Output {
			if e.Stream != fmt.Sprint("copy.s-", out) || e.Type != "mid" || string(e.Data) != fmt.Sprintf(`{"N":%d}`, out) {
				t.Fatalf("output %d is %+v", out, e)
			}
			out++
		}
	}
	if out != n || handled != n || early > 0 {
		t.Errorf("%d of %d outputs are in the file after %d runs; %d handlers ran before it had what came earlier", out, n, handled, early)
	}
	t.WantParked("organ")
	if at := t.Roster("organ").Position(); at != 0 {
		t.Errorf("the consumer stands at %d", at)
	}
	tap.down.Store(false)
	t.Until("all is parked", func() bool { return len(t.Parked("organ")) == n })
	if err := stop(); err != nil {
		t.Error(err)
	}
	if spilledLines(t, path) != 0 || len(t.Events(eventstore.OfType("mid"))) != 0 || handled != n {
		t.Errorf("%d lines are left, %d outputs are in the log, after %d runs", spilledLines(t, path), len(t.Events(eventstore.OfType("mid"))), handled)
	}
}

func spillsParked(t *Trial) {
	path, cfg := spillPath(t)
	tap := t.outage()
	m := moodyOn()
	t.Start(t.Spine(t.Open(tap), cfg, stores(On("organ", "in", m.handle))))
	t.Put(Event("a-1", "in", 1))
	t.Until("it works", func() bool { return len(t.Numbers("copy.a-1")) == 1 })
	tap.down.Store(true)
	t.Put(Event("a-1", "in", 2), Event("b-1", "in", 3))
	t.Until("they are spilled", func() bool { return spilledLines(t, path) == 2 })
	t.Put(Event("a-1", "in", 4))
	t.Until("it is spilled, too", func() bool { return spilledLines(t, path) == 3 })
	tap.down.Store(false)
	t.Until("all is parked", func() bool { return len(t.Parked("organ")) == 3 })
	t.Put(Event("a-1", "in", 5), Event("c-1", "in", 6))
	t.Until("it goes on", func() bool { return len(t.Numbers("copy.c-1")) == 1 })
	t.WantParked("organ", "a-1@3!", "b-1@4!", "a-1@5", "a-1@6")
	t.WantNumbers("copy.a-1", 1)
	t.Until("the file is empty", func() bool { return spilledLines(t, path) == 0 })
	if fmt.Sprint(m.runs) != "map[1:1 2:1 3:1 6:1]" {
		t.Errorf("handlers ran %v", m.runs)
	}
	t.redrive(4, eventstore.ParkedFilter{})
	t.Until("all is worked off", func() bool { return len(t.Parked("organ")) == 0 })
	t.WantNumbers("copy.a-1", 1, 2, 4, 5)
	t.WantNumbers("copy.b-1", 3)
}

// spillsMany spills more than a commit may park.
func spillsMany(t *Trial) {
	const n = 2600
	path, cfg := spillPath(t)
	tap := t.outage()
	o := stores(On("organ", "in", Ignore))
	t.Start(t.Spine(t.Open(tap), cfg, o))
	t.Until("it runs", func() bool {
		return len(t.Roster("organ").Partitions) == 1 && t.Roster("organ").Partitions[0].Owner != ""
	})
	tap.down.Store(true)
	var events []eventstore.Event
	for i := range n {
		events = append(events, Event(fmt.Sprint("s-", i), "in", i))
	}
	t.Put(events...)
	t.Until("all is spilled", func() bool { return spilledLines(t, path) == n })
	tap.down.Store(false)
	t.Until("all is parked", func() bool { return t.Roster("organ").Position() == n })
	for i, p := range t.Parked("organ") {
		if p.Position != eventstore.Position(i+1) {
			t.Fatalf("entry %d is of position %d", i+1, p.Position)
		}
	}
	t.Until("the file is empty", func() bool { return spilledLines(t, path) == 0 })
}

func spillsFailures(t *Trial) {
	path, cfg := spillPath(t)
	tap := t.outage()
	o := stores(On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
		switch N(in.Event) {
		case 2:
			return spine.Output{}, errors.New("poison")
		case 3:
			return Out(Event("out-1", "refused", 3)), spine.Park(errors.New("blocked"))
		case 4:
			out, err := Copy("copy.", "mid")(ctx, in)
			out.Commit.Schedules = []eventstore.Schedule{{ID: uuid.New(), Due: time.Now().Add(time.Hour), Append: Out(Event("late-1", "late", 4)).Commit.Appends[0]}}
			return out, err
		}
		return Copy("copy.", "mid")(ctx, in)
	}))
	tap.down.Store(true)
	t.Start(t.Spine(t.Open(tap), cfg, o))
	for i := 1; i <= 4; i++ {
		t.Put(Event(fmt.Sprint("s-", i), "in", i))
	}
	t.Until("all is spilled", func() bool { return spilledLines(t, path) == 4 })
	var outputs, reasons []string
	for _, l := range spilledIn(t, path) {
		if l.Type != "in" || !strings.HasPrefix(l.Stream, "s-") {
			t.Errorf("a line is %+v", l)
		}
		for _, e := range l.Output {
			outputs = append(outputs, e.Type+" "+string(e.Data))
		}
		reasons = append(reasons, l.Entry.Failures[0].Error)
	}
	if got := strings.Join(outputs, ", "); got != `mid {"N":1}, refused {"N":3}, mid {"N":4}, late {"N":4}` {
		t.Errorf("the outputs in the file are %s", got)
	}
	if reasons[1] != "poison" || reasons[2] != "blocked" || !strings.Contains(reasons[0], errDisk.Error()) {
		t.Errorf("they are parked for %q", reasons)
	}
	tap.down.Store(false)
	t.Until("all is parked", func() bool { return len(t.Parked("organ")) == 4 })
	if head := t.Head(); head != 4 {
		t.Errorf("outputs are in the log: the head is %d", head)
	}
}

// spillsLanded has a commit land whose outcome stays unknown for as long as CommitStore bears with it.
func spillsLanded(t *Trial) {
	path, cfg := spillPath(t)
	tap := t.outage()
	m := moodyOn()
	t.Start(t.Spine(t.Open(tap), cfg, stores(On("organ", "in", m.handle))))
	t.Until("it runs", func() bool {
		return len(t.Roster("organ").Partitions) == 1 && t.Roster("organ").Partitions[0].Owner != ""
	})
	tap.land.Store(true)
	tap.down.Store(true)
	t.Put(Event("a-1", "in", 1), Event("b-1", "in", 2))
	t.Until("they are spilled", func() bool { return spilledLines(t, path) == 2 })
	t.Put(Event("c-1", "in", 3))
	t.Until("it is spilled, too", func() bool { return spilledLines(t, path) == 3 })
	tap.down.Store(false)
	t.Until("the last is parked", func() bool { return fmt.Sprint(t.ParkedKeys("organ")) == "[c-1@5!]" })
	t.Until("the file is empty", func() bool { return spilledLines(t, path) == 0 })
	t.WantNumbers("copy.a-1", 1)
	t.WantNumbers("copy.b-1", 2)
	t.WantNumbers("copy.c-1")
	if fmt.Sprint(m.runs) != "map[1:1 2:1 3:1]" {
		t.Errorf("handlers ran %v", m.runs)
	}
}

// spilledFile leaves a file with what a process has spilled before it was cut off: 1 of a-1, 2 of b-1 and 3 of a-1.
func spilledFile(t *Trial) (path string, cfg spine.Config, m *moody) {
	path, cfg = spillPath(t)
	tap := t.outage()
	m = moodyOn()
	short := cfg
	short.Lease, short.Grace = 200*time.Millisecond, time.Millisecond
	tap.down.Store(true)
	stop := t.Start(t.Spine(t.Open(tap), short, stores(On("organ", "in", m.handle))))
	t.Put(Event("a-1", "in", 1), Event("b-1", "in", 2), Event("a-1", "in", 3))
	t.Until("they are spilled", func() bool { return spilledLines(t, path) == 3 })
	tap.Cut()
	if err := stop(); err != nil {
		t.Error(err)
	}
	cfg.Lease = 200 * time.Millisecond
	return path, cfg, m
}

func spillsCrash(t *Trial) {
	path, cfg, m := spilledFile(t)
	t.Put(Event("a-1", "in", 4), Event("c-1", "in", 5))
	sp := t.another(cfg, stores(On("organ", "in", m.handle)))
	t.Drain(sp)
	t.WantParked("organ", "a-1@1!", "b-1@2!", "a-1@3!", "a-1@4")
	t.WantNumbers("copy.c-1", 5)
	t.WantNumbers("copy.a-1")
	if n := spilledLines(t, path); n != 0 {
		t.Errorf("%d lines are left in the file", n)
	}
	if m.ran(1) != 1 || m.ran(2) != 1 {
		t.Errorf("handlers ran %v", m.runs)
	}
	t.redrive(4, eventstore.ParkedFilter{})
	t.Drain(sp)
	t.WantNumbers("copy.a-1", 1, 3, 4)
	t.WantNumbers("copy.b-1", 2)
}
