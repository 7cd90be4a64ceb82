package postgres_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

func TestLargePayloadsAreReadInLittleMemory(t *testing.T) {
	t.Parallel()
	st := eventstore.New(open(t)(), eventstore.Config{})
	defer st.Close()
	const events, size = 40, 1 << 20
	data := json.RawMessage(`"` + strings.Repeat("x", size-2) + `"`)
	for n := range events {
		c := eventstore.Commit{Appends: []eventstore.Append{{Stream: "large-1", Events: []eventstore.Event{
			{ID: uuid.Must(uuid.NewV7()), Type: "large", Tags: []string{fmt.Sprint("n:", n)}, Data: data},
		}}}}
		if _, err := st.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n, most := 0, uint64(0)
	for e, err := range st.Read(t.Context(), eventstore.InStream("large-1"), eventstore.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; len(e.Data) != size || e.Version != eventstore.Version(n) {
			t.Fatalf("event %d is of version %d and has %d bytes", n, e.Version, len(e.Data))
		}
		if n%20 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&during)
			most = max(most, during.HeapAlloc)
		}
	}
	if n != events {
		t.Errorf("read %d events, not %d", n, events)
	}
	if grown := int64(most) - int64(before.HeapAlloc); grown > events*size/2 {
		t.Errorf("the heap has grown by %d MiB while %d MiB were read", grown>>20, events*size>>20)
	}
}
