package spine_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"regexp"
	"testing"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/goldentest"
	"github.com/necrostack/necrostack/spine"
	"github.com/necrostack/necrostack/spine/spinetest"
)

// secretive is a command with something in it that must not be logged.
type secretive struct{ Entity, PIN string }

func (secretive) CommandType() string { return "open safe" }
func (c secretive) StreamID() string  { return c.Entity }

func TestLoggingNamesCommandsAndNeverWhatIsInThem(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	safe := spinetest.Organ{Wiring: spine.Wiring{Name: "safe", Decides: []spine.CommandHandler{{
		Type: "open safe", Decode: spine.DecodeCommand[secretive],
		Decide: func(_ context.Context, in spine.Request) (spine.Output, error) {
			switch in.Command.StreamID() {
			case "wrong":
				return spine.Output{}, spine.Reject(in, errors.New("wrong PIN"))
			case "broken":
				return spine.Output{}, errors.New("the door is stuck")
			}
			e := spinetest.Event("safe-1", "opened", 1)
			e.Data = []byte(`{"PIN":"73316"}`)
			return spinetest.Out(e), nil
		},
	}}, Policy: spine.Policy{Partitions: 1, Retry: spine.Retry{Attempts: 1}}}}
	st := memory.Open(memory.Config{})
	sp, err := spine.New(st, spine.Config{Middleware: []spine.Middleware{spine.Logging(log)}, Logger: slog.New(slog.DiscardHandler)}, safe)
	if err != nil {
		t.Fatal(err)
	}
	ctx := eventstore.WithMetadata(t.Context(), eventstore.Metadata{Actor: "ada"})
	for i, entity := range []string{"right", "wrong", "broken"} {
		c := spine.WithID(uuid.UUID{15: byte(i + 1)}, secretive{entity, "73316"})
		_, _ = sp.Send(ctx, c)
		if _, err := sp.Post(ctx, spine.WithID(uuid.UUID{15: byte(i + 7)}, secretive{entity, "73316"})); err != nil {
			t.Fatal(err)
		}
		if _, err := sp.Drain(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if bytes.Contains(out.Bytes(), []byte("73316")) {
		t.Errorf("the PIN is in the log:\n%s", out.String())
	}
	text := regexp.MustCompile(`time=\S+ `).ReplaceAllString(out.String(), "")
	goldentest.Check(t, "logging.golden", regexp.MustCompile(`duration=\S+`).ReplaceAllString(text, "duration=…"))
}
