package postgres_test

import (
	"testing"
	"time"

	"github.com/necrostack/necrostack/sagas/rulestest"
	"github.com/necrostack/necrostack/spine/spinetest"
)

func TestSagas(t *testing.T) {
	t.Parallel()
	rulestest.Run(t, rulestest.Harness{Harness: spinetest.Harness{Open: open, Patience: patience, Lease: time.Second}})
}

func TestSagaModel(t *testing.T) {
	t.Parallel()
	rulestest.Model(t, rulestest.Harness{Harness: spinetest.Harness{Open: open, Patience: patience, Lease: time.Second}}, 6)
}
