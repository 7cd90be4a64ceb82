package spine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
	"github.com/necrostack/necrostack/spine/spinetest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	api "go.opentelemetry.io/otel/trace"
)

// observatory is a Spine that reports to SDKs in memory.
type observatory struct {
	store *eventstore.Store
	sp    *spine.Spine
	spans *tracetest.SpanRecorder
	read  *metric.ManualReader
	trace *trace.TracerProvider
}

func observe(t *testing.T, cfg spine.Config, organs ...spine.Organ) *observatory {
	t.Helper()
	o := &observatory{store: memory.Open(memory.Config{}), spans: tracetest.NewSpanRecorder(), read: metric.NewManualReader()}
	o.trace = trace.NewTracerProvider(trace.WithSpanProcessor(o.spans))
	cfg.Logger, cfg.Tracing = slog.New(slog.DiscardHandler), o.trace
	cfg.Metrics = metric.NewMeterProvider(metric.WithReader(o.read))
	var err error
	if o.sp, err = spine.New(o.store, cfg, organs...); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *observatory) drain(t *testing.T) {
	t.Helper()
	if _, err := o.sp.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// named returns the ended spans of a name.
func (o *observatory) named(name string) (spans []trace.ReadOnlySpan) {
	for _, s := range o.spans.Ended() {
		if s.Name() == name {
			spans = append(spans, s)
		}
	}
	return spans
}

// points are the metrics with their attributes, without durations.
func (o *observatory) points(t *testing.T) (lines []string) {
	t.Helper()
	var data metricdata.ResourceMetrics
	if err := o.read.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	add := func(name string, set attribute.Set, value any) {
		lines = append(lines, fmt.Sprintf("%s{%s} %v", name, set.Encoded(attribute.DefaultEncoder()), value))
	}
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					add(m.Name, p.Attributes, p.Value)
				}
			case metricdata.Gauge[int64]:
				for _, p := range d.DataPoints {
					add(m.Name, p.Attributes, p.Value)
				}
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					add(m.Name, p.Attributes, fmt.Sprint("count ", p.Count))
				}
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func attr(s trace.ReadOnlySpan, key string) string {
	for _, a := range s.Attributes() {
		if string(a.Key) == key {
			return a.Value.String()
		}
	}
	return ""
}

func (observed) EventType() string { return "observed" }

type observed struct{ N int }

// The trace goes from whoever emits, through the log, into the handlers, and on with what they return.
func TestSpansLinkToTheOneInWhichTheirEventWasAppended(t *testing.T) {
	t.Parallel()
	var inside []api.SpanContext
	first := spinetest.On("first", "observed", func(ctx context.Context, _ spine.Input) (spine.Output, error) {
		inside = append(inside, api.SpanContextFromContext(ctx))
		return spinetest.Out(spinetest.Event("copy-1", "copied", 1)), nil
	})
	second := spinetest.On("second", "copied", spinetest.Ignore)
	o := observe(t, spine.Config{}, first, second)
	ctx, outer := o.trace.Tracer("test").Start(t.Context(), "request")
	if _, err := o.sp.Emit(ctx, eventstore.In("order-7", observed{1})); err != nil {
		t.Fatal(err)
	}
	outer.End()
	o.drain(t)
	emit, process, last := o.named("emit events"), o.named("process order"), o.named("process copy")
	if len(emit) != 1 || len(process) != 1 || len(last) != 1 {
		t.Fatalf("spans are %d emit, %d process order, %d process copy, want one each", len(emit), len(process), len(last))
	}
	if emit[0].Parent().SpanID() != outer.SpanContext().SpanID() {
		t.Error("the span of Emit is not in the caller's")
	}
	linked := func(s, to trace.ReadOnlySpan) bool {
		return len(s.Links()) == 1 && s.Links()[0].SpanContext.SpanID() == to.SpanContext().SpanID() &&
			s.Links()[0].SpanContext.TraceID() == to.SpanContext().TraceID() && !s.Parent().IsValid()
	}
	if !linked(process[0], emit[0]) {
		t.Errorf("process order links to %+v, want the span of Emit", process[0].Links())
	}
	if !linked(last[0], process[0]) {
		t.Errorf("process copy links to %+v, want process order", last[0].Links())
	}
	if len(inside) != 1 || inside[0].SpanID() != process[0].SpanContext().SpanID() {
		t.Error("the handler does not run in its span")
	}
}

func TestSpansFollowTheConventionsForMessaging(t *testing.T) {
	t.Parallel()
	o := observe(t, spine.Config{}, spinetest.On("desk", "observed", spinetest.Ignore))
	if _, err := o.sp.Emit(t.Context(), eventstore.In("order-7", observed{1})); err != nil {
		t.Fatal(err)
	}
	o.drain(t)
	s := o.named("process order")[0]
	var event eventstore.Event
	for e, err := range o.store.Read(t.Context(), eventstore.All(), eventstore.Range{}) {
		if event = e; err != nil {
			t.Fatal(err)
		}
	}
	for key, want := range map[string]string{
		"messaging.system": "necrostack", "messaging.operation.name": "process", "messaging.operation.type": "process",
		"messaging.consumer.group.name": "desk", "messaging.destination.name": "order", "messaging.message.id": event.ID.String(),
		"messaging.message.conversation_id": event.Metadata.Correlation.String(), "necrostack.stream": "order-7",
		"necrostack.event.type": "observed", "necrostack.position": "1", "necrostack.attempt": "1", "necrostack.emitted": "0",
	} {
		if got := attr(s, key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if s.SpanKind() != api.SpanKindConsumer {
		t.Errorf("its kind is %v, want consumer", s.SpanKind())
	}
	for _, s := range o.spans.Ended() {
		if strings.ContainsAny(s.Name(), "0123456789-") {
			t.Errorf("the name %q holds an id", s.Name())
		}
	}
}

type buy struct{ ID string }

func (buy) CommandType() string { return "buy" }
func (b buy) StreamID() string  { return b.ID }

func TestACommandIsDecidedInASpanThatItsEventsLinkTo(t *testing.T) {
	t.Parallel()
	refuse := false
	shop := spinetest.Organ{Wiring: spine.Wiring{Name: "shop", Decides: []spine.CommandHandler{{
		Type: "buy", Decide: func(context.Context, spine.Request) (spine.Output, error) {
			if refuse {
				return spine.Output{}, &spine.RejectedError{Command: "buy", Err: errors.New("sold out")}
			}
			return spinetest.Out(spinetest.Event("shop-1", "observed", 1)), nil
		},
	}}}}
	o := observe(t, spine.Config{}, shop, spinetest.On("desk", "observed", spinetest.Ignore))
	if _, err := o.sp.Send(t.Context(), buy{"1"}); err != nil {
		t.Fatal(err)
	}
	o.drain(t)
	decide, process := o.named("decide buy"), o.named("process shop")
	if len(decide) != 1 || len(process) != 1 || len(process[0].Links()) != 1 ||
		process[0].Links()[0].SpanContext.SpanID() != decide[0].SpanContext().SpanID() {
		t.Errorf("spans are %v and %v, want the second to link to the first", decide, process)
	}
	refuse = true
	if _, err := o.sp.Send(t.Context(), buy{"1"}); err == nil {
		t.Fatal("not refused")
	}
	if s := o.named("decide buy")[1]; attr(s, "error.type") != "rejected" || s.Status().Description == "" {
		t.Errorf("the refusal is %v %q", s.Status(), attr(s, "error.type"))
	}
}

func TestMetricsCountWhatHappens(t *testing.T) {
	t.Parallel()
	fails := spinetest.On("fails", "observed", func(_ context.Context, in spine.Input) (spine.Output, error) {
		if spinetest.N(in.Event) == 2 {
			return spine.Output{}, errors.New("poison")
		}
		return spine.Output{}, nil
	})
	fails.Policy = spine.Policy{Partitions: 1, Retry: spine.Retry{Attempts: 3, Base: time.Millisecond}}
	o := observe(t, spine.Config{}, fails)
	for n := range 3 {
		if _, err := o.sp.Emit(t.Context(), eventstore.In(eventstore.Stream(fmt.Sprint("s-", n)), observed{n + 1})); err != nil {
			t.Fatal(err)
		}
	}
	o.drain(t)
	got := o.points(t)
	const of = "messaging.consumer.group.name=fails,messaging."
	for _, want := range []string{
		"messaging.client.consumed.messages{" + of + "operation.name=process,messaging.system=necrostack} 3",
		"messaging.process.duration{" + of + "destination.name=s,messaging.operation.name=process,messaging.system=necrostack} count 2",
		"messaging.process.duration{error.type=_OTHER," + of + "destination.name=s,messaging.operation.name=process,messaging.system=necrostack} count 3",
		"necrostack.retries{" + of + "system=necrostack} 2",
		"necrostack.set_aside{" + of + "system=necrostack,necrostack.outcome=parked} 1",
		"necrostack.lease.changes{" + of + "system=necrostack,necrostack.change=leased} 1",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("nothing says %s in\n%s", want, strings.Join(got, "\n"))
		}
	}
	if !slices.ContainsFunc(got, func(s string) bool {
		return strings.HasPrefix(s, "necrostack.commit.duration{"+of+"system=necrostack}")
	}) {
		t.Errorf("commits are not measured in\n%s", strings.Join(got, "\n"))
	}
	for _, s := range o.named("process s") {
		if (attr(s, "error.type") != "") != (attr(s, "necrostack.stream") == "s-1") {
			t.Errorf("the span of %s has error %q", attr(s, "necrostack.stream"), attr(s, "error.type"))
		}
	}
}

func TestGaugesShowHowFarAConsumerIsBehindWhileItRuns(t *testing.T) {
	t.Parallel()
	busy, goOn := make(chan struct{}), make(chan struct{})
	slow := spinetest.On("slow", "observed", func(context.Context, spine.Input) (spine.Output, error) {
		close(busy)
		<-goOn
		return spine.Output{}, nil
	})
	slow.Policy.Partitions = 1
	o := observe(t, spine.Config{}, slow)
	if _, err := o.sp.Emit(t.Context(), observed{1}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := o.sp.Drain(context.Background()) //nolint:usetesting // it must outlive the collection
		done <- err
	}()
	<-busy
	const of = "{messaging.consumer.group.name=slow,messaging.system=necrostack}"
	for _, want := range []string{"necrostack.consumer.lag" + of + " 1", "necrostack.consumer.partitions" + of + " 1"} {
		got := o.points(t)
		// A lane may be at work before the Spine has counted it.
		for deadline := time.Now().Add(10 * time.Second); !slices.Contains(got, want) && time.Now().Before(deadline); got = o.points(t) {
			runtime.Gosched()
		}
		if !slices.Contains(got, want) {
			t.Errorf("nothing says %s in\n%s", want, strings.Join(got, "\n"))
		}
	}
	if st := o.sp.Stats().Organs[0]; st.Behind <= 0 {
		t.Errorf("it is %s behind, want the age of its event", st.Behind)
	}
	close(goOn)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if st := o.sp.Stats().Organs[0]; st.Behind != 0 || st.Lag != 0 {
		t.Errorf("it is %s and %d positions behind, want 0", st.Behind, st.Lag)
	}
}

func TestATraceThatCannotBeReadIsNoLink(t *testing.T) {
	t.Parallel()
	o := observe(t, spine.Config{}, spinetest.On("desk", "observed", spinetest.Ignore))
	for _, bad := range []string{
		"x", "00-0-0-01", "00-00000000000000000000000000000000-0000000000000000-01", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	} {
		ctx := eventstore.WithMetadata(t.Context(), eventstore.Metadata{TraceParent: bad})
		if _, err := o.store.Emit(ctx, eventstore.In("order-1", observed{1})); err != nil {
			t.Fatal(err)
		}
	}
	good := eventstore.Metadata{TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", TraceState: "vendor=1"}
	if _, err := o.store.Emit(eventstore.WithMetadata(t.Context(), good), eventstore.In("order-1", observed{1})); err != nil {
		t.Fatal(err)
	}
	o.drain(t)
	links := 0
	for _, s := range o.named("process order") {
		for _, l := range s.Links() {
			links++
			if l.SpanContext.TraceID().String() != "0af7651916cd43dd8448eb211c80319c" || !l.SpanContext.IsSampled() || l.SpanContext.TraceState().Get("vendor") != "1" {
				t.Errorf("it links to %+v", l.SpanContext)
			}
		}
	}
	if links != 1 {
		t.Errorf("there are %d links, want one", links)
	}
}
