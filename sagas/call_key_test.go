package sagas_test

import (
	"log/slog"
	"testing"

	"github.com/google/uuid"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/organs"
	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/spine"
)

type chargeCard struct{ Trip string }

func (chargeCard) CommandType() string { return "charge card" }
func (c chargeCard) StreamID() string  { return c.Trip }

// The reply to the command must not be taken for the answer of the call.
func TestKeyOfACallMayBeTheIDOfACommandInTheSameLog(t *testing.T) {
	t.Parallel()
	st := memory.Open(memory.Config{})
	defer st.Close()
	cfg := spine.Config{Logger: slog.New(slog.DiscardHandler)}
	cards, err := spine.New(st, cfg, organs.Aggregate[bool]{Category: "card", Decide: organs.Decide[bool]{
		organs.Handle(func(bool, chargeCard) (organs.Events, error) { return nil, nil }),
	}})
	if err != nil {
		t.Fatal(err)
	}
	w := world{charge: func(key uuid.UUID) (string, error) {
		_, err := cards.Send(t.Context(), spine.WithID(key, chargeCard{"42"}))
		return key.String(), err
	}}
	sp, err := spine.New(st, cfg, w.organs()...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sp.Send(t.Context(), bookTrip{"42"}); err != nil {
		t.Fatal(err)
	}
	if _, err := sp.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	told, err := w.saga().Instances(st).Show(t.Context(), "42")
	if err != nil || told.State != sagas.Completed {
		t.Errorf("%v, want %s:\n%s", err, sagas.Completed, told)
	}
}
