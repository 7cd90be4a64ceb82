package report

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
)

// Text writes a report for people: who was reached, what failed, what is parked and why, what is done, what is still open, what of the
// input was rejected, and the totals. What comes from outside and would steer a terminal is quoted.
func Text(w io.Writer, s Summary) error {
	var p page
	p.section("Delivered", s.Requests, func(r *Request) (rows [][]string) {
		for _, d := range r.Delivered {
			rows = append(rows, []string{string(d.Channel), d.To})
		}
		return rows
	})
	p.section("Failed", s.Requests, func(r *Request) (rows [][]string) {
		for _, reason := range r.Failed {
			rows = append(rows, []string{reason})
		}
		return rows
	})
	p.section("Parked", s.Requests, func(r *Request) (rows [][]string) {
		for _, k := range r.Parked {
			rows = append(rows, []string{k.Event, "by " + k.Organ, k.Reason})
		}
		return rows
	})
	p.section("Completed", s.Requests, func(r *Request) [][]string {
		if !r.Completed {
			return nil
		}
		return [][]string{{names(r.Channels)}}
	})
	p.section("Not completed", s.Requests, func(r *Request) [][]string {
		if r.Completed || len(r.Channels) == 0 {
			return nil
		}
		return [][]string{{"waits for " + names(r.outstanding())}}
	})
	if len(s.Rejected) > 0 {
		p.WriteString("Rejected\n")
		for _, text := range s.Rejected {
			p.WriteString("  " + plain(text, maxText) + "\n")
		}
		p.WriteString("\n")
	}
	p.totals(s.Counts())
	return p.flush(w)
}

// Totals writes the counters only.
func Totals(w io.Writer, s Summary) error {
	var p page
	p.totals(s.Counts())
	return p.flush(w)
}

// page collects text, so that there is one write that can fail.
type page struct{ bytes.Buffer }

// section writes what tell tells about each request, in columns under a title; nothing if there is nothing to tell.
func (p *page) section(title string, requests []*Request, tell func(*Request) [][]string) {
	t := tabwriter.NewWriter(&p.Buffer, 0, 0, 2, ' ', 0)
	empty := true
	for _, r := range requests {
		for _, row := range tell(r) {
			if empty {
				fmt.Fprintln(&p.Buffer, title)
				empty = false
			}
			cells := []string{"  " + r.Place, plain(r.User, maxUser)}
			for _, c := range row {
				cells = append(cells, plain(c, maxText))
			}
			fmt.Fprintln(t, strings.Join(cells, "\t"))
		}
	}
	_ = t.Flush() // a buffer takes everything
	if !empty {
		fmt.Fprintln(&p.Buffer)
	}
}

func (p *page) totals(c Counters) {
	fmt.Fprintln(&p.Buffer, "Totals")
	for _, row := range []struct {
		name  string
		count int64
	}{
		{"requested", c.Requested},
		{"delivered", c.Delivered},
		{"failed", c.Failed},
		{"parked", c.Parked},
		{"completed", c.Completed},
		{"rejected", c.Rejected},
		{"processed", c.Processed},
		{"emitted", c.Emitted},
	} {
		fmt.Fprintf(&p.Buffer, "  %-9s %6d\n", row.name, row.count)
	}
}

func (p *page) flush(w io.Writer) error {
	if _, err := w.Write(p.Bytes()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// How much of a text from outside is shown.
const (
	maxText = 2000
	maxUser = 40
)

// plain shortens a text from outside, and quotes it when it contains what a terminal would not print.
func plain(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}
