package postgres_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

// A store on a hot standby is warned of and reads, and writes from the moment on that the standby is promoted.
func TestAStoreOnAStandbyReadsAndWritesOnceItIsPromoted(t *testing.T) {
	t.Parallel()
	primary := testenv.OwnPostgres(t)
	dsn := primary.Database(t)
	first := openLog(t, dsn)
	if err := appends(t, first); err != nil {
		t.Fatal(err)
	}
	standby := primary.Standby(t)
	there := standby.DSNOf(t, dsn)

	var said strings.Builder
	st, err := postgres.Open(t.Context(), there, postgres.Config{Logger: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if !strings.Contains(said.String(), "level=WARN") || !strings.Contains(said.String(), "hot standby") {
		t.Errorf("Open said: %s", said.String())
	}
	if err := appends(t, first); err != nil { // it is streamed
		t.Fatal(err)
	}
	reads := func(want eventstore.Position) {
		t.Helper()
		for p, err := st.Wait(t.Context(), eventstore.Pulse{}); p.Head < want; p, err = st.Wait(t.Context(), p) {
			if err != nil {
				t.Fatal(err)
			}
		}
		n := eventstore.Position(0)
		for e, err := range st.Read(t.Context(), eventstore.All(), eventstore.Range{}) {
			if n++; err != nil || e.Position != n || e.Version != eventstore.Version(n) {
				t.Fatalf("event %d is at %d, version %d, %v", n, e.Position, e.Version, err)
			}
		}
		if n != want {
			t.Errorf("%d events were read, want %d", n, want)
		}
	}
	reads(2)
	health, err := postgres.CheckHealth(t.Context(), st)
	if err != nil || !health.InRecovery || !health.ReadOnly || health.Head != 2 {
		t.Errorf("its health is %+v, %v", health, err)
	}
	refusesAsStandby(t, st)
	reads(2) // nothing of that was written

	primary.Kill(t)
	refusesAsStandby(t, st)
	var promoted bool
	if err := connection(t, there).QueryRow(t.Context(), "SELECT pg_promote(true, 60)").Scan(&promoted); err != nil || !promoted {
		t.Fatalf("promoted: %t, %v", promoted, err)
	}
	for range 3 {
		if err := appends(t, st); err != nil {
			t.Fatalf("after the promotion: %v", err)
		}
	}
	reads(5)
}

// refusesAsStandby tries whatever writes in another way.
func refusesAsStandby(t *testing.T, st *eventstore.Store) {
	t.Helper()
	many, err := st.NewAppend("s-1", eventstore.Any, happened{}, happened{})
	if err != nil {
		t.Fatal(err)
	}
	_, batch := st.Commit(t.Context(), eventstore.Commit{Appends: []eventstore.Append{many}})
	_, member := st.Backend().(eventstore.Leaser).Renew(t.Context(), eventstore.Member{ID: "m"}, time.Minute)
	for what, err := range map[string]error{"an event": appends(t, st), "a batch": batch, "a member": member} {
		if !eventstore.IsRetryable(err) || !strings.Contains(err.Error(), "the server is a standby") {
			t.Errorf("%s: %v, want a retryable error that names the standby", what, err)
		}
	}
}
