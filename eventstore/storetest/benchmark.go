package storetest

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/necrostack/necrostack/eventstore"
)

// Benchmark measures a backend on fresh logs that h opens: appends of single events by one goroutine and by
// 64, appends of ten events by eight, reads of the whole log and of one type in ten, the load of a stream of
// 1,000 events, and commits on a condition. Payloads have 120 bytes. Every result is also given in events
// (or commits) per second.
func Benchmark(b *testing.B, h Harness) {
	b.Helper()
	for _, x := range []struct {
		name string
		run  func(b *testing.B, s *eventstore.Store)
	}{
		{"append/writers=1", func(b *testing.B, s *eventstore.Store) { benchAppend(b, s, 1, 1) }},
		{"append/writers=64", func(b *testing.B, s *eventstore.Store) { benchAppend(b, s, 64, 1) }},
		{"append/writers=8/events=10", func(b *testing.B, s *eventstore.Store) { benchAppend(b, s, 8, 10) }},
		{"read/all", func(b *testing.B, s *eventstore.Store) { benchRead(b, s, eventstore.All(), benchLog) }},
		{"read/type", func(b *testing.B, s *eventstore.Store) { benchRead(b, s, eventstore.OfType("type 3"), benchLog/10) }},
		{"load/events=1000", benchLoad},
		{"condition/writers=1", func(b *testing.B, s *eventstore.Store) { benchCondition(b, s, 1) }},
		{"condition/writers=64", func(b *testing.B, s *eventstore.Store) { benchCondition(b, s, 64) }},
	} {
		b.Run(x.name, func(b *testing.B) {
			s := eventstore.New(h.Open(b)(), eventstore.Config{})
			b.Cleanup(func() {
				if err := s.Close(); err != nil {
					b.Errorf("close the store: %v", err)
				}
			})
			b.ReportAllocs()
			x.run(b, s)
		})
	}
}

// benchLog is how many events a log holds that is read.
const benchLog = 20_000

// benchEvent has a payload of 120 bytes, in one of ten types.
func benchEvent(n int, tags ...string) eventstore.Event {
	e := event(fmt.Sprint("type ", n%10), tags...)
	e.Data = fmt.Appendf(nil, `{"account":"a-%08d","amount":%d,"currency":"EUR","reference":"2f1c8a52-7d0e-4b58-9f10-3c5d6e7f8091","note":""}`, n, 10_000_000+n)
	return e
}

// parallel has writers share b.N calls of write.
func parallel(b *testing.B, writers int, write func(writer, n int) error) {
	b.Helper()
	var next atomic.Int64
	b.ResetTimer()
	together(writers, func(w int) {
		for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
			if err := write(w, int(n)); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.StopTimer()
}

func perSecond(b *testing.B, each int, unit string) {
	b.Helper()
	b.ReportMetric(float64(b.N)*float64(each)/b.Elapsed().Seconds(), unit+"/s")
}

func benchAppend(b *testing.B, s *eventstore.Store, writers, events int) {
	b.Helper()
	parallel(b, writers, func(w, n int) error {
		list := make([]eventstore.Event, events)
		for i := range list {
			list[i] = benchEvent(n)
		}
		_, err := s.Commit(b.Context(), appends(to(eventstore.StreamOf("bench", fmt.Sprint(w)), list...)))
		return err
	})
	perSecond(b, events, "events")
}

// fillBench writes events to ten streams.
func fillBench(b *testing.B, s *eventstore.Store, events int, tags ...string) {
	b.Helper()
	for n := 0; n < events; {
		list := make([]eventstore.Event, min(1000, events-n))
		for i := range list {
			list[i] = benchEvent(n+i, tags...)
		}
		if _, err := s.Commit(b.Context(), appends(to(eventstore.StreamOf("bench", fmt.Sprint(n/1000%10)), list...))); err != nil {
			b.Fatal(err)
		}
		n += len(list)
	}
	b.ResetTimer()
}

func benchRead(b *testing.B, s *eventstore.Store, q eventstore.Query, events int) {
	b.Helper()
	fillBench(b, s, benchLog)
	for b.Loop() {
		n := 0
		for _, err := range s.Read(b.Context(), q, eventstore.Range{}) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != events {
			b.Fatalf("read %d events, not %d", n, events)
		}
	}
	perSecond(b, events, "events")
}

func benchLoad(b *testing.B, s *eventstore.Store) {
	b.Helper()
	fillBench(b, s, 10_000)
	for b.Loop() {
		version := eventstore.Version(0)
		for e, err := range s.Read(b.Context(), eventstore.InStream("bench-7"), eventstore.Range{}) {
			if err != nil {
				b.Fatal(err)
			}
			version = e.Version
		}
		if version != 1000 {
			b.Fatalf("loaded up to version %d, not 1000", version)
		}
	}
	perSecond(b, 1000, "events")
}

// benchCondition commits on conditions by a type and two tags, in a log with many events of each.
func benchCondition(b *testing.B, s *eventstore.Store, writers int) {
	b.Helper()
	fillBench(b, s, benchLog, "course:c1", "term:2")
	parallel(b, writers, func(w, n int) error {
		q := eventstore.Match(eventstore.Item{Types: []string{"type 3"}, Tags: []string{"course:c1", fmt.Sprint("student:", n)}})
		c := unless(appends(to(eventstore.StreamOf("student", fmt.Sprint(w)), benchEvent(n, "course:c1", fmt.Sprint("student:", n)))), q, 0)
		_, err := s.Commit(b.Context(), c)
		return err
	})
	perSecond(b, 1, "commits")
}
