package spine

import (
	"sync/atomic"
	"time"
)

// Stats is what a Spine has done since New, and how its organs stand.
type Stats struct {
	Processed int64 // events handled and acknowledged, once for each organ and partition that handled them
	Emitted   int64 // events that organs have put into the log
	Failed    int64 // attempts that failed
	Parked    int64 // events set aside
	Abandoned int64 // handlers that still ignore the end of their time
	Organs    []OrganStats
}

// OrganStats is the part of one organ.
type OrganStats struct {
	Name      string
	Processed int64
	Emitted   int64
	Failed    int64
	Parked    int64
	Conflicts int64         // decisions made anew because someone else wrote first
	Lanes     int           // partitions that this process works now
	Lag       int64         // positions between the slowest of them and the head, as far as this process has seen
	Behind    time.Duration // age of the oldest event that they have taken up and not acknowledged; 0 for none
}

// tally counts for one organ.
type tally struct {
	name                                             string
	processed, emitted, failed, parkings, conflicted atomic.Int64
}

// Stats returns the present numbers. It does no I/O.
func (s *Spine) Stats() Stats {
	st := Stats{Abandoned: s.abandoned.Load()}
	e := s.engine.Load()
	for _, t := range s.tallies {
		o := OrganStats{
			Name: t.name, Processed: t.processed.Load(), Emitted: t.emitted.Load(), Failed: t.failed.Load(),
			Parked: t.parkings.Load(), Conflicts: t.conflicted.Load(),
		}
		if e != nil {
			o.Lanes, o.Lag, o.Behind = e.feed.standing(t.name)
		}
		st.Processed, st.Emitted = st.Processed+o.Processed, st.Emitted+o.Emitted
		st.Failed, st.Parked = st.Failed+o.Failed, st.Parked+o.Parked
		st.Organs = append(st.Organs, o)
	}
	return st
}

// standing is how many lanes of a consumer are ours, and how far the slowest is behind.
func (f *feed) standing(consumer string) (lanes int, lag int64, behind time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range f.lanes {
		if l.consumer.Name == consumer {
			lanes++
			lag = max(lag, int64(max(f.tail, l.checkpoint)-l.checkpoint))
			if !l.since.IsZero() {
				behind = max(behind, time.Since(l.since))
			}
		}
	}
	return lanes, lag, behind
}
