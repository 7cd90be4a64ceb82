package spinetest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func spillsFull(t *Trial) {
	path, cfg := spillPath(t)
	cfg.Spill.Most = 2000
	tap := t.outage()
	tap.down.Store(true)
	m := moodyOn()
	o := stores(On("organ", "in", m.handle))
	var events []eventstore.Event
	for i := range 40 {
		events = append(events, Event("s-1", "in", i))
	}
	t.Put(events[0])
	sp := t.Spine(t.Open(tap), cfg, o)
	done := make(chan error)
	go func() { done <- sp.Run(t.Ctx) }()
	t.Until("something is spilled", func() bool { return spilledLines(t, path) == 1 })
	t.Put(events[1:]...)
	if err := <-done; !errors.Is(err, spine.ErrSpillFull) || !strings.Contains(err.Error(), path) {
		t.Errorf("Run returned %v, want ErrSpillFull that names the file", err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 2000 {
		t.Errorf("the file is %+v, %v", info, err)
	}
	tap.down.Store(false)
	cfg.Spill.Most = 0
	sp = t.Spine(t.Open(tap), cfg, o)
	t.Drain(sp)
	t.redrive(40, eventstore.ParkedFilter{})
	t.Drain(sp)
	t.WantNumbers("copy.s-1", t.Numbers("s-1")...)
	t.WantParked("organ")
}

// spillsCompact has a line in the file that nobody will ever take out: it is of another organ.
func spillsCompact(t *Trial) {
	path, cfg := spillPath(t)
	other := `{"Entry":{"ID":"11111111-1111-1111-1111-111111111111","Consumer":"gone","Key":"k","Position":7},"Type":"in","Stream":"k"}` + "\n"
	if err := os.WriteFile(path, []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Spill.Most = 1500
	tap := t.outage()
	m := moodyOn()
	t.Start(t.Spine(t.Open(tap), cfg, stores(On("organ", "in", m.handle))))
	for i := range 20 {
		tap.down.Store(true)
		t.Put(Event(fmt.Sprint("s-", i), "in", i))
		t.Until("it is spilled", func() bool {
			return m.ran(i) == 1 && tap.tries.Load() > int64(i) && t.inFile(path, fmt.Sprint("copy.s-", i))
		})
		tap.down.Store(false)
		t.Until("it is parked", func() bool { return len(t.Parked("organ")) == i+1 })
	}
	if lines := spilledIn(t, path); len(lines) == 0 || lines[0].Entry.Consumer != "gone" {
		t.Errorf("the file has %+v", lines)
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 1500 {
		t.Errorf("the file is %+v, %v", info, err)
	}
}

func (t *Trial) inFile(path, text string) bool {
	data, err := os.ReadFile(path)
	return err == nil && strings.Contains(string(data), text)
}

// spillsTorn tears the last line, also if it is the only one, or only lacks its end.
func spillsTorn(t *Trial) {
	for name, keep := range map[string]func(lines []string) string{
		"in the middle": func(l []string) string { return l[0] + l[1] + l[2][:len(l[2])/2] },
		"at once":       func(l []string) string { return l[0] + l[1] + l[2][:1] },
		"at its end":    func(l []string) string { return l[0] + l[1] + strings.TrimSuffix(l[2], "\n") },
		"the only one":  func(l []string) string { return l[0][:len(l[0])/2] },
	} {
		one := NewTrial(t.T, t.harness)
		path, cfg, m := spilledFile(one)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		torn := keep(strings.SplitAfter(string(data), "\n"))
		if err := os.WriteFile(path, []byte(torn), 0o600); err != nil {
			t.Fatal(err)
		}
		whole := strings.Count(torn, "\n")
		tap := one.outage() // the next process spills, too, and is cut off
		tap.down.Store(true)
		stop := one.Start(one.Spine(one.Open(tap), cfg, stores(On("organ", "in", m.handle))))
		one.Put(Event("c-1", "in", 4))
		one.Until("more is spilled", func() bool { return one.inFile(path, "copy.c-1") })
		tap.Cut()
		if err := stop(); err != nil {
			t.Error(err)
		}
		sp := one.another(cfg, stores(On("organ", "in", m.handle)))
		one.Drain(sp)
		if n := len(one.Parked("organ")); n != 4 {
			t.Errorf("torn %s after %d lines, %d events are parked, want 4", name, whole, n)
		}
		one.redrive(4, eventstore.ParkedFilter{})
		one.Drain(sp)
		one.WantNumbers("copy.a-1", 1, 3)
		one.WantNumbers("copy.b-1", 2)
		one.WantNumbers("copy.c-1", 4)
	}
}

func must(data []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return data
}

func spillsCorrupt(t *Trial) {
	good := `{"Entry":{"ID":"11111111-1111-1111-1111-111111111111","Consumer":"organ","Key":"k","Position":7}}` + "\n"
	for _, c := range []struct {
		text string
		line int
	}{
		{good + "nonsense\n" + good, 2}, {"nonsense\n", 1}, {good + good + "{}\n", 3}, {good + "not of ours", 2}, {"my diary", 1}, {good + good[:20] + "\n" + good, 2},
	} {
		path, cfg := spillPath(t)
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		sp := t.Spine(t.Store, cfg, stores(On("organ", "in", Ignore)))
		err := sp.Run(t.Ctx)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%s line %d:", path, c.line)) {
			t.Errorf("with a file of %q, Run returned %v, want it to name line %d", c.text, err, c.line)
		}
		if got := string(must(os.ReadFile(path))); got != c.text {
			t.Errorf("a file of %q was changed to %q", c.text, got)
		}
	}
}

func spillsUnwritable(t *Trial) {
	_, cfg := spillPath(t)
	cfg.Spill.Path = filepath.Join(t.TempDir(), "no such folder", "spill")
	sp := t.Spine(t.Store, cfg, stores(On("organ", "in", Ignore)))
	if err := sp.Run(t.Ctx); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "spill file") {
		t.Errorf("Run returned %v", err)
	}
	cfg.Spill.Path = t.TempDir() // a folder
	sp = t.Spine(t.Store, cfg, stores(On("organ", "in", Ignore)))
	if err := sp.Run(t.Ctx); err == nil || !strings.Contains(err.Error(), cfg.Spill.Path) {
		t.Errorf("Run returned %v", err)
	}
}

// spillsNoRedrive has the store fail while a key is redriven: nothing of that is spilled.
func spillsNoRedrive(t *Trial) {
	path, cfg := spillPath(t)
	tap := t.outage()
	m := moodyOn(1)
	o := stores(On("organ", "in", m.handle))
	aside(t, m)
	m.cure(1)
	t.redrive(3, eventstore.ParkedFilter{})
	tap.down.Store(true)
	t.Start(t.Spine(t.Open(tap), cfg, o))
	t.Until("it has tried", func() bool { return tap.tries.Load() >= 3 })
	tap.down.Store(false)
	t.Until("all is worked off", func() bool { return len(t.Parked("organ")) == 0 })
	t.WantNumbers("copy.a-1", 1, 3, 5)
	if n := spilledLines(t, path); n != 0 {
		t.Errorf("%d lines are in the file", n)
	}
}

func spillsFaulty(t *Trial) {
	competing := stores(On("competing", "in", Ignore))
	competing.Policy.Delivery, competing.Policy.Partitions = spine.Competing, 0
	_, err := spine.New(t.Store, spine.Config{}, stores(On("pathless", "in", Ignore)))
	if err == nil || !strings.Contains(err.Error(), `organ "pathless": CommitStore needs Config.Spill.Path`) {
		t.Errorf("without a path New returned %v", err)
	}
	_, cfg := spillPath(t)
	if _, err = spine.New(t.Store, cfg, competing); err == nil || !strings.Contains(err.Error(), `organ "competing": CommitStore is for Ordered`) {
		t.Errorf("with Competing New returned %v", err)
	}
	cfg.Spill.Most = -1
	if _, err = spine.New(t.Store, cfg, stores(On("negative", "in", Ignore))); err == nil || !strings.Contains(err.Error(), "Spill.Most") {
		t.Errorf("with a negative bound New returned %v", err)
	}
}
