package sagas

import (
	"testing"
	"time"
)

func TestInstanceIsNotWokenBeforeItsTimeByAClockThatCountsInMicroseconds(t *testing.T) {
	t.Parallel()
	odd := taking("odd")
	odd.Timeout = time.Second + 1
	w := beginOf(t, Saga[[]string]{Steps: Sequence[[]string]{odd}, Deadline: time.Hour + 1})
	for range 20 { // how long it waits in between is any number of nanoseconds
		if w.inst.status.Ended() {
			break
		}
		w.pass() // it fails if the instance is woken at the same time again
	}
	r := Retry{Base: 2<<34 + 1, Most: time.Hour} // the bits of which fall out of a number one by one
	for attempts := 1; attempts < 200; attempts++ {
		if d := r.wait(attempts); d < r.Base/2 || d > r.Most || attempts > 10 && d < r.Most/2 {
			t.Errorf("after %d attempts it waits %s", attempts, d)
		}
	}
}
