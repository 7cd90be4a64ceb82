package postgres_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

// payloads are what other stores change, refuse or choke on.
func payloads() map[string]string {
	return map[string]string{
		"NUL":               `{"a":"\u0000","\u0000":1}`,
		"lone surrogates":   `{"a":"\ud800","b":"\udc00 \udbff"}`,
		"order and spaces":  " {\"b\" : 1 ,\n\t\"a\":2, \"b\":3}  ",
		"numbers":           `[1.0, 1e400, -0, 0.1000, 12345678901234567890123456789012345678901234567890]`,
		"beyond the BMP":    `"𝒳 🏴󠁧󠁢󠁳󠁣󠁴󠁿 👩‍👩‍👧 𠜎"`,
		"combining":         "\"e\u0301 is not \u00e9, and Z\u0351\u036b\u0343\"",
		"right to left":     "\"\u202eשלום مرحبا\u202c\"",
		"line separators":   "\"\u2028\u2029\u0085\ufeff\"",
		"escapes":           `"\/ \" \\ \b\f\n\r\t <>&"`,
		"null":              `null`,
		"empty":             `{}`,
		"a megabyte":        `"` + strings.Repeat("x", 1<<20-2) + `"`,
		"a megabyte of ä":   `"` + strings.Repeat("ä", 1<<19-1) + `"`,
		"deep":              strings.Repeat("[", 1000) + strings.Repeat("]", 1000),
		"like a composite":  `{"a":"(1,\"{}\"),{NULL,''},\\N\t$1 $$"}`,
		"like an array":     `"{\"x\",NULL}"`,
		"names of the text": `{"日本語":"\u65e5","ÿ":"","":null}`,
	}
}

func TestPayloadsComeBackByteForByte(t *testing.T) {
	t.Parallel()
	st := openLog(t, testenv.Postgres(t).Database(t))
	for name, data := range payloads() {
		stream := eventstore.Stream("payload-" + name)
		tag := "tag of " + name + " \\ \" ' { } , 𝒳 e\u0301 \u202e"
		e := eventstore.Event{
			ID: uuid.New(), Type: "type of " + name + " 🏴󠁧󠁢󠁳󠁣󠁴󠁿", Tags: []string{tag}, Data: json.RawMessage(data),
			Metadata: eventstore.Metadata{User: map[string]string{"k\u0301 'ß'": "v \\ \" 𝒳"}},
		}
		appended := eventstore.Append{Stream: stream, Events: []eventstore.Event{e}}
		if _, err := st.Commit(t.Context(), eventstore.Commit{Appends: []eventstore.Append{appended}}); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		e.ID = uuid.New()
		appended = eventstore.Append{Stream: stream + " scheduled", Events: []eventstore.Event{e}}
		due := eventstore.Schedule{ID: uuid.New(), Due: time.Now().Add(-time.Second), Append: appended}
		if _, err := st.Commit(t.Context(), eventstore.Commit{Schedules: []eventstore.Schedule{due}}); err != nil {
			t.Errorf("%s, scheduled: %v", name, err)
		}
	}
	scheduler, ok := st.Backend().(eventstore.Scheduler)
	if !ok {
		t.Fatal("it schedules nothing")
	}
	if n, _, err := scheduler.Fire(t.Context(), 1000); n != len(payloads()) || err != nil {
		t.Errorf("%d schedules have fired, %v, want %d", n, err, len(payloads()))
	}
	for name, data := range payloads() {
		tag := "tag of " + name + " \\ \" ' { } , 𝒳 e\u0301 \u202e"
		n := 0
		for e, err := range st.Read(t.Context(), eventstore.WithTags(tag), eventstore.Range{}) {
			n++
			if err != nil || string(e.Data) != data {
				t.Errorf("%s: came back as %.200q, %v", name, e.Data, err)
			}
			if e.Type != "type of "+name+" 🏴󠁧󠁢󠁳󠁣󠁴󠁿" || e.Tags[0] != tag || e.Metadata.User["k\u0301 'ß'"] != "v \\ \" 𝒳" {
				t.Errorf("%s: came back as %s with %q and %v", name, e.Type, e.Tags, e.Metadata)
			}
		}
		if n != 2 {
			t.Errorf("%s: %d events, want one that was appended and one that was scheduled", name, n)
		}
	}
}

func TestAStreamOfAMillionEventsIsReadInBoundedMemory(t *testing.T) {
	t.Parallel()
	const n = 1_000_000
	dsn := testenv.Postgres(t).Database(t)
	st := openLog(t, dsn)
	execute(t, connection(t, dsn), fmt.Sprintf(`INSERT INTO necrostack.events (position, stream, version, id, type, data, metadata, time, first)
		SELECT n, 'long-1', n, gen_random_uuid(), 'happened', '{"some":"payload of a usual length, more or less"}', '{}', clock_timestamp(), n
		FROM generate_series(1, %d) n`, n))
	execute(t, connection(t, dsn), "ANALYZE necrostack.events")
	heads(t, st, n)

	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	begun, read, most := time.Now(), eventstore.Version(0), uint64(0)
	for e, err := range st.Read(t.Context(), eventstore.InStream("long-1"), eventstore.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		if read++; e.Version != read {
			t.Fatalf("version %d follows version %d", e.Version, read-1)
		}
		if read%100_000 == 0 {
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapInuse)
		}
	}
	if read != n {
		t.Errorf("%d events, want %d", read, n)
	}
	grown := int64(most) - int64(before.HeapInuse) //nolint:gosec // no heap is that large
	t.Logf("%d events in %v, heap grown by at most %.1f MiB", read, time.Since(begun).Round(time.Millisecond), float64(grown)/(1<<20))
	// Other tests of this process run beside it; held at once, the events would take more than 300 MiB.
	if grown > 128<<20 {
		t.Errorf("the heap has grown by %d MiB", grown>>20)
	}
}
