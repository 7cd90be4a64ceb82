package report

import "strings"

// Summary is what became of the requests of one input. The zero value is an input without any.
type Summary struct {
	Source    string     // what the requests come from
	Requests  []*Request // in the order of the input
	Rejected  []string   // rows that could not be understood, each with its file, its place and the reason
	Processed int64      // events about the requests in the log
	Emitted   int64      // those of them that organs put out
	Known     int        // requests that were in the log before the run
}

// Counters count what became of the requests.
type Counters struct {
	Processed int64 `json:"processed"` // events about the requests in the log
	Emitted   int64 `json:"emitted"`   // those of them that organs put out
	Requested int64 `json:"requested"` // requests in the log
	Delivered int64 `json:"delivered"` // messages, so one for each channel
	Failed    int64 `json:"failed"`    // requests of which nothing went out
	Parked    int64 `json:"parked"`    // events set aside
	Completed int64 `json:"completed"` // requests that went out by all of their channels
	Rejected  int64 `json:"rejected"`  // rows that did not become requests
}

// Counts counts.
func (s Summary) Counts() Counters {
	c := Counters{Processed: s.Processed, Emitted: s.Emitted, Rejected: int64(len(s.Rejected))}
	for _, r := range s.Requests {
		if r.Requested {
			c.Requested++
		}
		if len(r.Failed) > 0 {
			c.Failed++
		}
		if r.Completed {
			c.Completed++
		}
		c.Delivered += int64(len(r.Delivered))
		c.Parked += int64(len(r.Parked))
	}
	return c
}

// Problems lists what somebody has to see to in the input: rejected rows and failed requests, a line each, fit for a terminal.
func (s Summary) Problems() []string {
	var out []string
	for _, text := range s.Rejected {
		out = append(out, "rejected: "+plain(text, maxText))
	}
	for _, r := range s.Requests {
		if len(r.Failed) > 0 {
			out = append(out, "failed: "+plain(s.Source, maxText)+": "+r.Place+": "+plain(strings.Join(r.Failed, "; "), maxText))
		}
	}
	return out
}
