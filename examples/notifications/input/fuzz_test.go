package input_test

import (
	"encoding/csv"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/necrostack/necrostack/examples/notifications/input"
	"github.com/necrostack/necrostack/examples/notifications/notification"
)

// FuzzRequests holds what is true of every answer, whatever the file was.
func FuzzRequests(f *testing.F) {
	f.Add("x.csv", header+"ann,email|sms,\"Hi, \"\"Ann\"\"\",low\n")
	f.Add("x", "\ufeffpriority,message,channels,user_id\r\n,\"\",||,\r\n\"\n")
	f.Add("x", `{"notifications":[`+element+`,{"message":null},7],"n":1}x`)
	f.Add("x.json", `{"notifications":[{"channels":[null]},`)
	f.Fuzz(func(t *testing.T, name, file string) {
		rows, faults, err := input.Requests(name, strings.NewReader(file))
		if err != nil && (rows != nil || faults != nil) {
			t.Fatalf("refused (%v), yet %d rows and %d faults", err, len(rows), len(faults))
		}
		last, end, seen := 0, strings.Count(file, "\n")+1, map[uuid.UUID]bool{}
		for _, r := range rows {
			if r.Line < last || r.Line < 1 || r.Line > end || seen[r.ID] {
				t.Fatalf("%+v after line %d of %d", r, last, end)
			}
			last, seen[r.ID] = r.Line, true
			notification.Check(r.Request, input.Contacts()) // must not panic
		}
		for _, x := range faults {
			if x.Reason == "" || x.Line < 1 || x.Line > end {
				t.Fatalf("fault %+v of %d lines", x, end)
			}
		}
	})
}

// FuzzCSVIsReadAsTheStandardLibraryDoes compares files of one row.
func FuzzCSVIsReadAsTheStandardLibraryDoes(f *testing.F) {
	f.Add(`ann,"sms","Hi ""Ann"", hi",low`)
	f.Add(`"a"b,c,d,e`)
	f.Fuzz(func(t *testing.T, row string) {
		if strings.ContainsAny(row, "\r\n") || strings.TrimSpace(row) == "" {
			return // not one row
		}
		rows, _, err := input.Requests("x.csv", strings.NewReader(header+row))
		if err != nil {
			t.Fatal(err)
		}
		want, err := csv.NewReader(strings.NewReader(header + row)).ReadAll()
		if len(rows) == 1 && (err != nil || strings.TrimSpace(want[1][2]) != rows[0].Request.Message) {
			t.Fatalf("%q: got %q, the standard library %q, %v", row, rows[0].Request.Message, want, err)
		}
	})
}
