package input_test

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/necrostack/necrostack/examples/notifications/input"
	"github.com/necrostack/necrostack/examples/notifications/notification"
)

const header = "user_id,channels,message,priority\n"

// texts writes faults one by one.
func texts(faults []input.Fault) []string {
	s := make([]string, len(faults))
	for i, f := range faults {
		s[i] = f.String()
	}
	return s
}

// anonymous is a request without its id.
func anonymous(r input.Row) notification.Requested {
	r.Request.RequestID = ""
	return r.Request
}

func TestMalformedCSVRowsAreNamedAndTheRestComesThrough(t *testing.T) {
	t.Parallel()
	for row, want := range map[string]string{
		"ann,email,hi":                                            "line 3: the row has 3 fields where the header has 4 (a value with a comma needs quotes)",
		"ann,email,Hi, Ann,low":                                   "line 3: the row has 5 fields where the header has 4 (a value with a comma needs quotes)",
		`ann,email,"never closed,low`:                             "line 3: the row has a quote that is not doubled, or not closed on its line, at column 28",
		`ann,email,a "quote,low`:                                  "line 3: the row has a quote that is not doubled, or not closed on its line, at column 13",
		`ann,email,"a "quote",low`:                                "line 3: the row has a quote that is not doubled, or not closed on its line, at column 14",
		"ann,email,h\xffi,low":                                    "line 3: the row is not valid UTF-8",
		"ann,email,h\x1b[2Ji,low":                                 `line 3: message "h\x1b[2Ji" contains a control character`,
		"a\x00nn,e\x00,hi,l\x00":                                  `line 3: user_id "a\x00nn" contains a control character; priority "l\x00" contains a control character; channels "e\x00" contains a control character`,
		"ann," + strings.Repeat("email|", 16) + "sms,hi,low":      "line 3: channels are 17, more than 16",
		"ann,email," + strings.Repeat("m", input.MaxRow) + ",low": "line 3: the row is longer than 65536 bytes",
		"\x1b" + strings.Repeat("a", 1000) + strings.Repeat("ü", 99) + ",,,": `line 3: user_id "\x1b` + strings.Repeat("a", 59) + `" contains a control character`,
	} {
		good := "bob,email,hi,low\n"
		rows, faults, err := input.Requests("x.csv", strings.NewReader(header+good+row+"\n"+good))
		if got := texts(faults); err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%.40q: got %q, %v, want %q", row, got, err, want)
		}
		if len(rows) != 2 || rows[0].Line != 2 || rows[1].Line != 4 {
			t.Errorf("%.40q: got %+v", row, rows)
		}
	}
}

func TestCSVFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"":                     "the file is empty",
		"\n\r\n":               "the file is empty",
		"\ufeff":               "the file is empty",
		"user,channels\nann,x": `line 1: the header has the unknown column "user"; lacks the column user_id; lacks the column message; lacks the column priority`,
		"\n" + strings.Replace(header, "priority", "message", 1): "line 2: the header names message twice; lacks the column priority",
		"\xff" + header: "line 1: the header is not valid UTF-8",
		`"` + header:    "line 1: the header has a quote that is not doubled, or not closed on its line, at column ",
	} {
		rows, faults, err := input.Requests("x.csv", strings.NewReader(file))
		if err == nil || !strings.HasPrefix(err.Error(), want) || rows != nil || faults != nil {
			t.Errorf("%.40q: got %d rows, %d faults, %v, want %s", file, len(rows), len(faults), err, want)
		}
	}
}

func TestAFileThatCannotBeReadIsReported(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	if _, _, err := input.Requests("x", iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("requests: got %v, want %v", err, broken)
	}
	if _, _, err := input.ReadContacts(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("contacts: got %v, want %v", err, broken)
	}
}

func TestCSVRowsBecomeRequests(t *testing.T) {
	t.Parallel()
	ann := notification.Requested{
		UserID: "ann", Channels: []notification.Channel{"email", "sms"}, Message: "Hi", Priority: notification.Low,
	}
	with := func(change func(r *notification.Requested)) notification.Requested {
		r := ann
		change(&r)
		return r
	}
	for name, c := range map[string]struct {
		file string
		want notification.Requested
		line int
	}{
		"plain":                 {header + "ann,email|sms,Hi,low\n", ann, 2},
		"no newline at the end": {header + "ann,email|sms,Hi,low", ann, 2},
		"columns in any order":  {"priority, MESSAGE ,channels,user_id\nlow,Hi,email|sms,ann\n", ann, 2},
		"words in any case":     {header + "ann,Email|SMS,Hi,LOW\n", ann, 2},
		"spaces around values":  {header + " ann , email | sms , Hi , low \n", ann, 2},
		"BOM and CRLF":          {"\ufeff" + strings.ReplaceAll(header+"ann,email|sms,Hi,low\n", "\n", "\r\n"), ann, 2},
		"blank lines count":     {"\n" + header + "\n \nann,email|sms,Hi,low\n\n", ann, 5},
		"quotes":                {header + `"ann","email|sms","Hi, ""Ann""",low`, with(func(r *notification.Requested) { r.Message = `Hi, "Ann"` }), 2},
		"priority left open":    {header + "ann,email|sms,Hi,\n", with(func(r *notification.Requested) { r.Priority = notification.Normal }), 2},
		"what the domain judges comes through": {
			header + "zoe,fax||FAX,,soon\n",
			notification.Requested{UserID: "zoe", Channels: []notification.Channel{"fax", "", "FAX"}, Priority: "soon"},
			2,
		},
		"no channels": {header + "ann, ,Hi,low\n", with(func(r *notification.Requested) { r.Channels = nil }), 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows, faults, err := input.Requests("x.csv", strings.NewReader(c.file))
			if err != nil || faults != nil || len(rows) != 1 {
				t.Fatalf("got %+v, %v, %v", rows, faults, err)
			}
			if diff := cmp.Diff(c.want, anonymous(rows[0])); diff != "" || rows[0].Line != c.line {
				t.Errorf("line %d, want %d; -want +got:\n%s", rows[0].Line, c.line, diff)
			}
		})
	}
}

func TestTheFormatFollowsTheNameElseTheContent(t *testing.T) {
	t.Parallel()
	row, doc := header+"ann,email,hi,low\n", ` {"notifications":[{"user_id":"ann"}]}`
	for name, c := range map[string]struct {
		content string
		ok      bool
	}{
		"a.csv": {row, true}, "b.JSON": {doc, true}, "c.json": {row, false}, "d.csv": {doc, false}, "e": {row, true}, "f.txt": {doc, true},
		"g": {"\ufeff" + doc, true}, "h": {"[]", false}, "i.CSV": {doc, false},
	} {
		rows, _, err := input.Requests(name, strings.NewReader(c.content))
		if (err == nil) != c.ok || c.ok && len(rows) != 1 {
			t.Errorf("%s: got %+v, %v", name, rows, err)
		}
	}
}
