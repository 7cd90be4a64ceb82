package input_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/necrostack/necrostack/examples/notifications/input"
	"github.com/necrostack/necrostack/examples/notifications/notification"
)

const element = `{"user_id":"ann","channels":["email","sms"],"message":"Hi","priority":"low"}`

func TestMalformedJSONElementsAreNamedAndTheRestComesThrough(t *testing.T) {
	t.Parallel()
	for bad, want := range map[string]string{
		"7":                             "the request is not an object",
		"null":                          "the request is not an object",
		"[{}]":                          "the request is not an object",
		`{"user":"ann"}`:                `the field "user" is unknown`,
		`{"User_ID":"ann"}`:             `the field "User_ID" is unknown`,
		`{"user_id":7}`:                 "the field user_id is not a string",
		`{"message":["hi"]}`:            "the field message is not a string",
		`{"priority":{}}`:               "the field priority is not a string",
		`{"channels":"email"}`:          "the field channels is not an array of strings",
		`{"channels":["sms",1]}`:        "the field channels is not an array of strings",
		`{"user_id":"a","user_id":"b"}`: "the field user_id is given twice",
		`{"user_id":"a\u0000b"}`:        `user_id "a\x00b" contains a control character`,
		`{"user_id":"a\nb"}`:            `user_id "a\nb" contains a control character`,
		"{\"user_id\":\"a\xffb\"}":      "the request is not valid UTF-8",
		`{"message":"` + strings.Repeat("m", input.MaxRow) + `"}`:                  "the request is longer than 65536 bytes",
		`{"channels":[` + strings.Repeat(`"x",`, 16) + `"x"]}`:                     "channels are 17, more than 16",
		`{"channels":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + "}": "the field channels is not an array of strings",
	} {
		file := `{"notifications":[` + element + ",\n" + bad + "\n,\n" + element + "]}"
		rows, faults, err := input.Requests("x.json", strings.NewReader(file))
		if got := texts(faults); err != nil || len(got) != 1 || got[0] != "line 2, request 2: "+want {
			t.Errorf("%.40q: got %q, %v, want %q", bad, got, err, want)
		}
		if len(rows) != 2 || rows[0].Place != (input.Place{Line: 1, Number: 1}) || rows[1].Place != (input.Place{Line: 4, Number: 3}) {
			t.Errorf("%.40q: got %+v", bad, rows)
		}
	}
}

func TestWhereJSONEndsEarlyWhatCameBeforeStands(t *testing.T) {
	t.Parallel()
	start := `{"notifications":[` + element
	for file, want := range map[string]string{
		start:                          "line 1: the rest cannot be read: the file ends in the middle",
		start + ",\n\n":                "line 3: the rest cannot be read: the file ends in the middle",
		start + ",\n{\"message\":":     "line 2: the rest cannot be read: the file ends in the middle",
		start + "]":                    "line 1: the rest cannot be read: the file ends in the middle",
		start + ",\n{oops}]}":          "line 2: the rest cannot be read: invalid character 'o'",
		start + "]}\n{}":               "line 2: data after the end of the object",
		start + "]} x":                 "line 1: data after the end of the object",
		start + "],\n\"n\":[1,{}]}":    `line 2: the field "n" is unknown or repeated`,
		start + "],\"n\":":             `line 1: the field "n" is unknown or repeated`,
		start + `],"notifications":7}`: `line 1: the field "notifications" is unknown or repeated`,
	} {
		rows, faults, err := input.Requests("x.json", strings.NewReader(file))
		if got := texts(faults); err != nil || len(got) == 0 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%.200q: got %q, %v, want %q", file, got, err, want)
		}
		if len(rows) != 1 {
			t.Errorf("%.200q: got %+v", file, rows)
		}
	}
}

func TestJSONFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"":                          "the file is empty",
		"7":                         "the file is not an object such as",
		"[" + element + "]":         "the file is not an object such as",
		"\n\noops":                  "line 3: invalid character 'o'",
		"\n\"":                      "line 2: the file ends in the middle",
		"{}":                        "the object has no field notifications",
		`{"requests":[]}`:           "the object has no field notifications",
		`{"notifications":{}}`:      "the field notifications is not an array",
		`{"notifications":"email"}`: "the field notifications is not an array",
	} {
		rows, faults, err := input.Requests("x.json", strings.NewReader(file))
		if err == nil || !strings.HasPrefix(err.Error(), want) || rows != nil || faults != nil {
			t.Errorf("%.40q: got %d rows, %d faults, %v, want %s", file, len(rows), len(faults), err, want)
		}
	}
}

func TestJSONElementsBecomeRequests(t *testing.T) {
	t.Parallel()
	ann := notification.Requested{
		UserID: "ann", Channels: []notification.Channel{"email", "sms"}, Message: "Hi", Priority: notification.Low,
	}
	normal, lines, anyScript := ann, ann, ann
	anyScript.Message = "Grüße 👩\u200d👧 مرحبا"
	normal.Priority, lines.Message = notification.Normal, "one\n\ttwo\r\nthree"
	for name, c := range map[string]struct {
		element string
		want    notification.Requested
	}{
		"plain":             {element, ann},
		"spaces and case":   {`{"user_id":" ann","channels":["Email "," SMS"],"message":"\nHi ","priority":"LOW"}`, ann},
		"null is absent":    {strings.Replace(element, `"low"`, "null", 1), normal},
		"priority left out": {strings.Replace(element, `,"priority":"low"`, "", 1), normal},
		"lines and tabs":    {strings.Replace(element, "Hi", `one\n\ttwo\r\nthree`, 1), lines},
		"any script":        {strings.Replace(element, "Hi", "Grüße 👩\u200d👧 مرحبا", 1), anyScript},
		"nothing":           {"{}", notification.Requested{Priority: notification.Normal}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows, faults, err := input.Requests("x.json", strings.NewReader("\n{\n\"notifications\":\n[\n\n  "+c.element+"]}"))
			if err != nil || faults != nil || len(rows) != 1 {
				t.Fatalf("got %+v, %v, %v", rows, faults, err)
			}
			if diff := cmp.Diff(c.want, anonymous(rows[0])); diff != "" || rows[0].Line != 6 {
				t.Errorf("line %d, want 6; -want +got:\n%s", rows[0].Line, diff)
			}
		})
	}
}
