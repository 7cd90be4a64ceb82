package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/necrostack/necrostack/sagas"
	"github.com/necrostack/necrostack/sagas/sagatest"
)

const cases = 1000

func sagaTestFigures() []figure {
	return []figure{{
		name: "saga-test", unit: "µs", ours: sagaTest,
		what:  "half of the given/when/then cases of a three-step saga, from its start to its end, took no longer",
		value: func(ours, _ measured) float64 { return ours.percentile(50).Seconds() * 1e6 },
	}}
}

// caseTB is the test that a case is told of.
type caseTB struct {
	testing.TB

	failed error
	ends   []func()
}

func (*caseTB) Helper()            {}
func (t *caseTB) Cleanup(f func()) { t.ends = append(t.ends, f) }
func (t *caseTB) Errorf(format string, args ...any) {
	t.failed = errors.Join(t.failed, fmt.Errorf(format, args...))
}

// sagaTest measures one case after the other.
func sagaTest(ctx context.Context) (m measured, err error) {
	start := time.Now()
	for range cases {
		began, t := time.Now(), &caseTB{}
		sagatest.Given(t, fulfilmentSaga()).
			WhenSent(fulfil{"1"}).ThenSends(reserve{"1", "article-4711"}).
			When(reserved{"C-17"}).ThenSends(pay{"1", 18553}).
			When(paid{"receipt-123456"}).ThenSends(ship{"1", "receipt-123456"}).
			When(shipped{"parcel-98765"}).ThenIs(sagas.Completed)
		for _, end := range t.ends {
			end()
		}
		m.took = append(m.took, time.Since(began))
		if err := errors.Join(t.failed, ctx.Err()); err != nil {
			return m, err
		}
	}
	slices.Sort(m.took)
	m.rate = cases / time.Since(start).Seconds()
	return m, nil
}
