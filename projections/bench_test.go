package projections_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/spine"
)

type moved struct {
	Account string `json:"account"`
	Group   string `json:"group"`
	Cents   int64  `json:"cents"`
	Note    string `json:"note"`
}

func (moved) EventType() string { return "moved" }

type turnover struct {
	Cents     int64
	Movements int
	Last      time.Time
}

// BenchmarkRebuild folds a log in memory into views of a row for each of 1,000 groups, all from one reading of the log.
func BenchmarkRebuild(b *testing.B) {
	const events, groups = 50_000, 1_000
	st := eventstore.New(memory.New(), eventstore.Config{})
	defer st.Close()
	for i := 0; i < events; {
		batch := make([]eventstore.Payload, 500)
		for n := range batch {
			batch[n] = moved{fmt.Sprint(i), fmt.Sprint(i % groups), int64(i), "standing order of the first of the month, as agreed with the owner"}
			i++
		}
		if _, err := st.Append(b.Context(), eventstore.Stream(fmt.Sprint("account-", i)), eventstore.Any, batch...); err != nil {
			b.Fatal(err)
		}
	}
	for _, views := range []int{1, 5} {
		b.Run(fmt.Sprintf("views=%d", views), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				organs := make([]spine.Organ, views)
				for i := range organs {
					organs[i] = projections.View[turnover]{Name: fmt.Sprint("turnover_", i), On: projections.Folds[turnover]{projections.OnKey(
						func(e eventstore.Recorded[moved]) string { return e.Payload.Group },
						func(s *turnover, e eventstore.Recorded[moved]) {
							s.Cents, s.Movements, s.Last = s.Cents+e.Payload.Cents, s.Movements+1, e.Time
						},
					)}}
					if consumers, err := st.Consumers(b.Context()); err != nil {
						b.Fatal(err)
					} else if len(consumers) > i {
						if err := st.Reset(b.Context(), fmt.Sprintf("turnover_%d_v1", i), 0); err != nil {
							b.Fatal(err)
						}
					}
				}
				sp, err := spine.New(st, spine.Config{Logger: slog.New(slog.DiscardHandler)}, organs...)
				if err != nil {
					b.Fatal(err)
				}
				ctx, stop := context.WithCancel(b.Context())
				ended := make(chan error, 1)
				go func() { ended <- sp.Run(ctx) }()
				for i := range organs {
					if err := sp.WaitFor(ctx, fmt.Sprintf("turnover_%d_v1", i), events); err != nil {
						b.Fatal(err)
					}
				}
				stop()
				if err := <-ended; err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/events, "ns/event")
		})
	}
}
