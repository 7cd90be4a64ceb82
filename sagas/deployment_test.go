package sagas_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

func TestOlderProgramsLeaveInstancesToANewerOneOfTheSameStepsWhileItIsDeployed(t *testing.T) {
	t.Parallel()
	st := memory.Open(memory.Config{})
	defer st.Close()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	w := world{charge: func(uuid.UUID) (string, error) { return "r1", nil }}
	all := w.organs()
	newest := w.saga()
	newest.Version, newest.Former = 2, []sagas.Saga[trip]{w.saga()}
	run := func(organs ...spine.Organ) *spine.Spine {
		sp, err := spine.New(st, spine.Config{Logger: slog.New(slog.DiscardHandler), Lease: 3 * time.Second}, organs...)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- sp.Run(ctx) }()
		t.Cleanup(func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		return sp
	}
	book := func(sp *spine.Spine, from, to int) {
		for i := from; i < to; i++ {
			if _, err := sp.Send(ctx, bookTrip{fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	rows := newest.Instances(st)
	completed := func(n int64) {
		t.Helper()
		var seen eventstore.Pulse
		for {
			var err error
			if got, err := rows.Count(ctx, sagas.Which{State: sagas.Completed}); err == nil && got == n {
				return
			}
			for p, err := range st.Parked(ctx, eventstore.ParkedFilter{}) {
				t.Fatal("an instance is set aside", p, err)
			}
			if seen, err = st.Wait(ctx, seen); err != nil {
				t.Fatal(err)
			}
		}
	}
	book(run(all...), 0, 10)
	completed(10)
	younger := append([]spine.Organ{newest}, all[1:]...)
	sp := run(younger...)
	book(sp, 10, 60)
	completed(60)
}
