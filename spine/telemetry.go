package spine

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/necrostack/necrostack/eventstore"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// scope names what reports telemetry.
const scope = "github.com/necrostack/necrostack/spine"

// telemetry reports spans and metrics through the OpenTelemetry API, by the semantic conventions for messaging,
// https://opentelemetry.io/docs/specs/semconv/messaging/. Names hold no ids: "process order" is the handling of an
// event of the category order. A span links to the one in which its event was appended.
type telemetry struct {
	tracer  trace.Tracer
	meter   metric.Meter
	metered meters
	system  attribute.KeyValue

	tracing bool // an SDK takes spans
}

// meters are the instruments. docs/telemetry.md lists them.
type meters struct {
	consumed, conflicts, retries, aside, leases metric.Int64Counter
	handling, commits                           metric.Float64Histogram
	lag                                         metric.Int64ObservableGauge
	behind                                      metric.Float64ObservableGauge
	lanes                                       metric.Int64ObservableGauge
}

// newTelemetry makes the instruments. Without an SDK they do nothing.
func newTelemetry(cfg *Config) (*telemetry, error) {
	traces, metrics := cfg.Tracing, cfg.Metrics
	if traces == nil {
		traces = otel.GetTracerProvider()
	}
	if metrics == nil {
		metrics = otel.GetMeterProvider()
	}
	t := &telemetry{tracer: traces.Tracer(scope), meter: metrics.Meter(scope), system: attribute.String("messaging.system", "necrostack")}
	t.tracing = !idle(traces)
	m := t.meter
	var errs [10]error
	t.metered.consumed, errs[0] = m.Int64Counter("messaging.client.consumed.messages", metric.WithUnit("{message}"),
		metric.WithDescription("Events that were handled and acknowledged."))
	t.metered.handling, errs[1] = m.Float64Histogram("messaging.process.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of handling an event."))
	t.metered.commits, errs[2] = m.Float64Histogram("necrostack.commit.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of a commit, with the time it waits for others."))
	t.metered.conflicts, errs[3] = m.Int64Counter("necrostack.conflicts", metric.WithUnit("{conflict}"),
		metric.WithDescription("Decisions made anew because someone else wrote first."))
	t.metered.retries, errs[4] = m.Int64Counter("necrostack.retries", metric.WithUnit("{attempt}"),
		metric.WithDescription("Attempts at an event but for the first."))
	t.metered.aside, errs[5] = m.Int64Counter("necrostack.set_aside", metric.WithUnit("{message}"),
		metric.WithDescription("Events that were parked, skipped, spilled or put off."))
	t.metered.leases, errs[6] = m.Int64Counter("necrostack.lease.changes", metric.WithUnit("{change}"),
		metric.WithDescription("Partitions that were taken or lost."))
	t.metered.lag, errs[7] = m.Int64ObservableGauge("necrostack.consumer.lag", metric.WithUnit("{message}"),
		metric.WithDescription("Positions between the slowest partition of this process and the head, as far as it has seen."))
	t.metered.behind, errs[8] = m.Float64ObservableGauge("necrostack.consumer.lag.time", metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest event that a partition of this process has taken up and not acknowledged."))
	t.metered.lanes, errs[9] = m.Int64ObservableGauge("necrostack.consumer.partitions", metric.WithUnit("{partition}"),
		metric.WithDescription("Partitions that this process works."))
	return t, errors.Join(errs[:]...)
}

// idle reports whether a provider drops all spans: it is the API's own. That is only to save work.
func idle(p trace.TracerProvider) bool {
	of := reflect.TypeOf(p)
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	return of.PkgPath() == "go.opentelemetry.io/otel/internal/global" || of.PkgPath() == "go.opentelemetry.io/otel/trace/noop"
}

// on reports whether anybody wants to know.
func (t *telemetry) on(ctx context.Context) bool { return t.tracing || t.metered.handling.Enabled(ctx) }

// watch reports the standing of consumers, until stop.
func (t *telemetry) watch(s *Spine) (stop func() error, err error) {
	of := func(name string) metric.ObserveOption {
		return metric.WithAttributes(t.system, attribute.String("messaging.consumer.group.name", name))
	}
	r, err := t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, c := range s.Stats().Organs {
			o.ObserveInt64(t.metered.lag, c.Lag, of(c.Name))
			o.ObserveInt64(t.metered.lanes, int64(c.Lanes), of(c.Name))
			o.ObserveFloat64(t.metered.behind, c.Behind.Seconds(), of(c.Name))
		}
		return nil
	}, t.metered.lag, t.metered.lanes, t.metered.behind)
	if err != nil {
		return nil, err
	}
	return r.Unregister, nil
}

// Observe implements Observer.
func (t *telemetry) Observe(ctx context.Context, o Observation) context.Context {
	organ := attribute.String("messaging.consumer.group.name", o.Organ)
	switch o.Step {
	case EventDispatched:
		if o.Attempt > 1 {
			t.metered.retries.Add(ctx, 1, metric.WithAttributes(t.system, organ))
		}
		return t.begin(ctx, &o, organ)
	case EventCompleted, HandlerFailed:
		t.end(ctx, &o, organ)
	case EventAcked:
		t.metered.consumed.Add(ctx, 1, metric.WithAttributes(t.system, organ, t.operation("process")))
	case EventParked, EventRetried, EventSkipped, EventSpilled:
		t.metered.aside.Add(ctx, 1, metric.WithAttributes(t.system, organ, attribute.String("necrostack.outcome", string(o.Step))))
	case CommitConflict:
		t.metered.conflicts.Add(ctx, 1, metric.WithAttributes(t.system, organ))
	case LeaseTaken, LeaseLost:
		t.metered.leases.Add(ctx, 1, metric.WithAttributes(t.system, organ, attribute.String("necrostack.change", string(o.Step))))
	}
	return ctx
}

func (t *telemetry) operation(name string) attribute.KeyValue {
	return attribute.String("messaging.operation.name", name)
}

// begin starts the span of an attempt at an event.
func (t *telemetry) begin(ctx context.Context, o *Observation, organ attribute.KeyValue) context.Context {
	if !t.tracing {
		return ctx
	}
	e := o.Event
	options := []trace.SpanStartOption{
		trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(
			t.system, t.operation("process"), attribute.String("messaging.operation.type", "process"), organ,
			attribute.String("messaging.destination.name", e.Stream.Category()),
			attribute.String("messaging.destination.partition.id", fmt.Sprint(o.Partition)),
			attribute.String("messaging.message.id", e.ID.String()),
			attribute.String("messaging.message.conversation_id", e.Metadata.Correlation.String()),
			attribute.String("necrostack.event.type", e.Type), attribute.String("necrostack.stream", string(e.Stream)),
			attribute.Int64("necrostack.position", int64(e.Position)), attribute.Int("necrostack.attempt", o.Attempt),
		),
	}
	if from := spanOf(&e.Metadata); from.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: from}))
	}
	ctx, _ = t.tracer.Start(ctx, "process "+e.Stream.Category(), options...)
	return ctx
}

// end ends it.
func (t *telemetry) end(ctx context.Context, o *Observation, organ attribute.KeyValue) {
	attrs := []attribute.KeyValue{
		t.system, organ, t.operation("process"), attribute.String("messaging.destination.name", o.Event.Stream.Category()),
	}
	if o.Err != nil {
		attrs = append(attrs, attribute.String("error.type", kindOf(o.Err)))
	}
	t.metered.handling.Record(ctx, o.Duration.Seconds(), metric.WithAttributes(attrs...))
	if !t.tracing {
		return
	}
	span := trace.SpanFromContext(ctx)
	fail(span, o.Err)
	span.SetAttributes(attribute.Int("necrostack.emitted", o.Emitted))
	span.End()
}

// fail marks a span as failed, if it is.
func fail(span trace.Span, err error) {
	if err == nil {
		return
	}
	span.SetAttributes(attribute.String("error.type", kindOf(err)))
	span.RecordError(err)
	span.SetStatus(codes.Error, err.Error())
}

// kindOf says what an error is, in few different words.
func kindOf(err error) string {
	_, panicked := errors.AsType[*PanicError](err)
	_, refused := errors.AsType[*RejectedError](err)
	switch {
	case panicked:
		return "panic"
	case refused:
		return "rejected"
	case errors.Is(err, ErrDeadline):
		return "timeout"
	case errors.Is(err, ErrDepth):
		return "runaway"
	case errors.Is(err, eventstore.ErrConflict):
		return "conflict"
	case errors.Is(err, eventstore.ErrOutcomeUnknown):
		return "outcome unknown"
	case errors.Is(err, eventstore.ErrFenced):
		return "fenced"
	default:
		return "_OTHER"
	}
}

// span starts the span of a call from outside, such as "send order".
func (t *telemetry) span(ctx context.Context, kind trace.SpanKind, operation, name string) (context.Context, trace.Span) {
	if !t.tracing {
		return ctx, trace.SpanFromContext(context.Background()) // which does nothing
	}
	return t.tracer.Start(ctx, operation+" "+name, trace.WithSpanKind(kind),
		trace.WithAttributes(t.system, t.operation(operation), attribute.String("messaging.operation.type", "send")))
}

// commit writes to the log, and reports how long it took.
func (s *Spine) commit(ctx context.Context, organ string, c eventstore.Commit, into eventstore.Pending) (r eventstore.Result, err error) {
	start := time.Now()
	if into != nil {
		r, err = s.store.CommitWith(ctx, into, c)
	} else {
		r, err = s.store.Commit(ctx, c)
	}
	if !s.telemetry.metered.commits.Enabled(ctx) {
		return r, err
	}
	attrs := []attribute.KeyValue{s.telemetry.system, attribute.String("messaging.consumer.group.name", organ)}
	if err != nil {
		attrs = append(attrs, attribute.String("error.type", kindOf(err)))
	}
	s.telemetry.metered.commits.Record(ctx, time.Since(start).Seconds(), metric.WithAttributes(attrs...))
	return r, err
}

// traceOf puts the span of a context into what follows from it, as W3C Trace Context,
// https://www.w3.org/TR/trace-context/. Without a span, the trace is what it was.
func traceOf(ctx context.Context, m *eventstore.Metadata) {
	if at := trace.SpanContextFromContext(ctx); at.IsValid() {
		m.TraceParent = fmt.Sprintf("00-%s-%s-%s", at.TraceID(), at.SpanID(), at.TraceFlags())
		m.TraceState = at.TraceState().String()
	}
}

// spanOf is the span in which an event was appended.
func spanOf(m *eventstore.Metadata) trace.SpanContext {
	version, rest, _ := strings.Cut(m.TraceParent, "-")
	parts := strings.Split(rest, "-")
	if len(version) != 2 || version == "ff" || len(parts) < 3 {
		return trace.SpanContext{}
	}
	traceID, err := trace.TraceIDFromHex(parts[0])
	if err != nil {
		return trace.SpanContext{}
	}
	spanID, err := trace.SpanIDFromHex(parts[1])
	if err != nil {
		return trace.SpanContext{}
	}
	state, _ := trace.ParseTraceState(m.TraceState) // one that cannot be read is dropped, as W3C wants it
	var flags trace.TraceFlags
	if parts[2] == "01" {
		flags = trace.FlagsSampled
	}
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: spanID, TraceFlags: flags, TraceState: state, Remote: true})
}

// traced is a context whose events are appended in its span.
func traced(ctx context.Context) context.Context {
	m := eventstore.MetadataFrom(ctx)
	before := m.TraceParent
	traceOf(ctx, &m)
	if m.TraceParent == before {
		return ctx
	}
	return eventstore.WithMetadata(ctx, m)
}
