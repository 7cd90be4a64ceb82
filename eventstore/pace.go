package eventstore

import (
	"math"
	"time"
)

// Pace is how a consumer got on between two statuses.
type Pace struct {
	Rate  float64       // positions a second, on average over its partitions; below 0 after a Reset
	Left  time.Duration // until the lag is gone, if all goes on as between the two
	Nears bool          // the lag is gone or shrinks, or else Left is not known
}

// Since compares two statuses of one consumer, the first of which was taken before. What is left to do is judged by the
// lag, so that it heeds what is written meanwhile, and a partition that stands still. If the two cannot be compared, Rate
// is 0 and Left not known, unless no lag is left.
func (s Status) Since(before Status) Pace {
	pace := Pace{Nears: s.Lag == 0 && s.Consumer != ""}
	passed := s.At.Sub(before.At)
	if s.Consumer != before.Consumer || passed <= 0 {
		return pace
	}
	pace.Rate = (s.done() - before.done()) / passed.Seconds()
	if shrunk := before.Lag - s.Lag; s.Lag > 0 && shrunk > 0 {
		left := float64(s.Lag) / float64(shrunk) * float64(passed)
		pace.Nears, pace.Left = true, time.Duration(math.MaxInt64)
		if left < math.MaxInt64 {
			pace.Left = time.Duration(left)
		}
	}
	return pace
}

// Done is the share of the log that is done, on average over the partitions: from 0 to 1, which an empty log is.
func (s Status) Done() float64 {
	if s.Head == 0 {
		return 1
	}
	return min(1, max(0, s.done()/float64(s.Head)))
}

// done is how many positions are done, on average over the partitions.
func (s Status) done() float64 {
	if len(s.Partitions) == 0 {
		return 0
	}
	sum := 0.0
	for _, p := range s.Partitions {
		sum += float64(p.Position)
	}
	return sum/float64(len(s.Partitions)) - float64(s.Window)
}
