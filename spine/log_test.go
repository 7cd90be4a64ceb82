package spine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/goldentest"
	"github.com/necrostack/necrostack/spine"
	"github.com/necrostack/necrostack/spine/spinetest"
)

// placeholders stand for what differs from run to run: ids by the order in which they appear.
type placeholders struct{ ids []string }

var uuids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

func (p *placeholders) id(s string) string {
	i := slices.Index(p.ids, s)
	if i < 0 {
		i = len(p.ids)
		p.ids = append(p.ids, s)
	}
	return fmt.Sprintf("ID-%d", i+1)
}

// replace holds a line to what every line must have, and hides what differs from run to run.
func (p *placeholders) replace(t *testing.T, line string) string {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal([]byte(line), &fields); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	at, _ := fields["time"].(string)
	if _, err := time.Parse(time.RFC3339Nano, at); err != nil || !strings.HasSuffix(at, "Z") {
		t.Errorf("the time %q is not UTC in %s", at, line)
	}
	for _, key := range []string{"level", "event_id", "correlation_id", "organ"} {
		if fields[key] == nil {
			t.Errorf("%s is missing in %s", key, line)
		}
	}
	line = strings.Replace(line, `"time":"`+at+`"`, `"time":"UTC"`, 1)
	line = regexp.MustCompile(`"duration":\d+`).ReplaceAllString(line, `"duration":"…"`)
	return uuids.ReplaceAllStringFunc(line, p.id)
}

// TestLogOfOneEventThroughTwoOrgans runs elsewhere than in UTC: a logger of its own accord would log that.
// It is not parallel, for the time zone is everybody's.
func TestLogOfOneEventThroughTwoOrgans(t *testing.T) { //nolint:paralleltest // it changes time.Local
	local := time.Local
	time.Local = time.FixedZone("elsewhere", 5*60*60)
	defer func() { time.Local = local }()
	var out bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	first := spinetest.On("first", "order placed", spinetest.Copy("", "order checked"))
	second := spinetest.On("second", "order checked", spinetest.Copy("", "order shipped"))
	first.Policy.Partitions, second.Policy.Partitions = 1, 1
	st := memory.Open(memory.Config{})
	sp, err := spine.New(st, spine.Config{Logger: logger}, first, second)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Commit(t.Context(), spinetest.Out(spinetest.Event("order-42", "order placed", 1)).Commit); err != nil {
		t.Fatal(err)
	}
	if _, err := sp.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []string
	var hide placeholders
	for line := range strings.Lines(out.String()) {
		if strings.Contains(line, "event_id") {
			got = append(got, hide.replace(t, strings.TrimSpace(line)))
		}
	}
	var ordered []string // by organ: the first is not done when the second begins
	for _, organ := range []string{"first", "second"} {
		for _, line := range got {
			if strings.Contains(line, `"organ":"`+organ+`"`) {
				ordered = append(ordered, line)
			}
		}
	}
	goldentest.Check(t, "log.golden", strings.Join(ordered, "\n")+"\n")
}

func TestLogOfFailures(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var out bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&locked{mu: &mu, out: &out}, nil))
	st := memory.Open(memory.Config{})
	store := spinetest.On("storing", "in", func(context.Context, spine.Input) (spine.Output, error) { panic("boom") })
	skip := spinetest.On("logging", "in", func(context.Context, spine.Input) (spine.Output, error) {
		return spine.Output{}, errors.New("no luck")
	})
	skip.Policy.OnError = spine.ErrorLog
	sp, err := spine.New(st, spine.Config{Logger: logger}, store, skip)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Commit(t.Context(), spinetest.Out(spinetest.Event("a-1", "in", 1)).Commit); err != nil {
		t.Fatal(err)
	}
	if _, err := sp.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for line := range strings.Lines(out.String()) {
		var l struct {
			Level, Msg, Organ, Error, Stack string
			Attempt                         int
			EventID                         string `json:"event_id"`
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		stack := strings.Contains(l.Stack, "log_test.go")
		got[fmt.Sprintf("%s %s %s %s attempt=%d stack=%t", l.Level, l.Msg, l.Organ, l.Error, l.Attempt, stack)] = l.EventID != ""
	}
	for _, want := range []string{
		"WARN failed storing panic: boom attempt=1 stack=true", "ERROR parked storing panic: boom attempt=0 stack=true",
		"WARN failed logging no luck attempt=1 stack=false", "ERROR skipped logging no luck attempt=0 stack=false",
	} {
		if !got[want] {
			t.Errorf("%q is missing in %v", want, got)
		}
	}
	if len(got) != 4 {
		t.Errorf("more was logged at INFO than what goes wrong: %v", got)
	}
}

// locked is a buffer for many writers.
type locked struct {
	mu  *sync.Mutex
	out *bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

type spanKey struct{}

// tracer puts something into the context of every handler, and expects it back.
type tracer struct {
	mu    sync.Mutex
	steps map[string][]spine.Step // by organ and event
	lost  int
}

func (o *tracer) Observe(ctx context.Context, ob spine.Observation) context.Context {
	o.mu.Lock()
	defer o.mu.Unlock()
	if ob.Event == nil {
		return nil // allowed: it changes nothing
	}
	key := fmt.Sprint(ob.Organ, " ", ob.Event.ID)
	o.steps[key] = append(o.steps[key], ob.Step)
	switch ob.Step {
	case spine.EventDispatched:
		return context.WithValue(ctx, spanKey{}, key)
	case spine.EventCompleted, spine.HandlerFailed:
		if ctx.Value(spanKey{}) != key {
			o.lost++
		}
	}
	return ctx
}

func TestObserversSeeEveryStepInOrderAndLendTheirContext(t *testing.T) {
	t.Parallel()
	tr := &tracer{steps: map[string][]spine.Step{}}
	var mu sync.Mutex
	without := 0
	o := spinetest.On("organ", "in", func(ctx context.Context, in spine.Input) (spine.Output, error) {
		mu.Lock()
		defer mu.Unlock()
		if ctx.Value(spanKey{}) != fmt.Sprint("organ ", in.ID) {
			without++
		}
		if spinetest.N(in.Event) == 3 {
			return spine.Output{}, errors.New("poison")
		}
		return spinetest.Copy("copy.", "mid")(ctx, in)
	})
	quiet := spinetest.On("quiet", "in", spinetest.Ignore)
	st := memory.Open(memory.Config{})
	cfg := spine.Config{Logger: slog.New(slog.DiscardHandler), Observers: []spine.Observer{tr, spinetest.Watch(func(spine.Observation) {})}}
	sp, err := spine.New(st, cfg, o, quiet)
	if err != nil {
		t.Fatal(err)
	}
	var events []eventstore.Event
	for i := range 5 {
		events = append(events, spinetest.Event(fmt.Sprint("s-", i), "in", i))
	}
	if _, err := st.Commit(t.Context(), spinetest.Out(events...).Commit); err != nil {
		t.Fatal(err)
	}
	if _, err := sp.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, e := range events {
		want := "[received dispatched completed enqueued acked]"
		if i == 3 {
			want = "[received dispatched failed parked acked]"
		}
		if got := fmt.Sprint(tr.steps[fmt.Sprint("organ ", e.ID)]); got != want {
			t.Errorf("event %d took the steps %s, want %s", i, got, want)
		}
		if got := fmt.Sprint(tr.steps[fmt.Sprint("quiet ", e.ID)]); got != "[received dispatched completed acked]" {
			t.Errorf("event %d that led to nothing took the steps %s", i, got)
		}
	}
	if without+tr.lost > 0 {
		t.Errorf("%d handlers and %d observations were without the observer's context", without, tr.lost)
	}
}
