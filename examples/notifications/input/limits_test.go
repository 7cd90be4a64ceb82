package input

import (
	"io"
	"strings"
	"testing"
)

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// reader is a reader of some format, with a file of n rows for it.
type reader struct {
	read func(io.Reader) (rows int, err error)
	file func(n int) string
}

func readers(b bounds) map[string]reader {
	requests := func(r io.Reader) (int, error) {
		rows, faults, err := b.requests("x", r)
		return len(rows) + len(faults), err
	}
	contacts := func(r io.Reader) (int, error) {
		all, faults, err := b.contacts(r)
		return len(all) + len(faults), err
	}
	return map[string]reader{
		"csv": {requests, func(n int) string {
			return "user_id,channels,message,priority\n" + strings.Repeat("a,sms,hi,\n\nx\n", n/2)
		}},
		"json":     {requests, func(n int) string { return `{"notifications":[` + strings.Repeat("7,{},", n/2-1) + "7,{}]}" }},
		"contacts": {contacts, func(n int) string { return "user_id,email,phone,device\n" + strings.Repeat("x\n\n", n) }},
	}
}

func TestFilesAreBoundedInSize(t *testing.T) {
	t.Parallel()
	for name, r := range readers(bounds{bytes: 10_000, rows: 10}) {
		if _, err := r.read(endless{}); err == nil || err.Error() != "the file is larger than 10000 bytes" {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestFilesAreBoundedInRows(t *testing.T) {
	t.Parallel()
	for name, r := range readers(bounds{bytes: 10_000, rows: 10}) {
		if n, err := r.read(strings.NewReader(r.file(10))); err != nil || n != 10 {
			t.Errorf("%s of 10 rows: got %d, %v", name, n, err)
		}
		if n, err := r.read(strings.NewReader(r.file(12))); err == nil || err.Error() != "the file has more than 10 rows" || n != 0 {
			t.Errorf("%s of 12 rows: got %d, %v", name, n, err)
		}
	}
}
