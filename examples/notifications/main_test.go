package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/necrostack/necrostack/examples/killtest"
	"github.com/necrostack/necrostack/internal/goldentest"
	"github.com/necrostack/necrostack/internal/testenv"
)

func TestMain(m *testing.M) {
	killtest.Main(command)
	goleak.VerifyTestMain(testenv.Main(m))
}

// result is one run of the command.
type result struct {
	code     int
	out, err string
}

func runCommand(t *testing.T, args ...string) result {
	t.Helper()
	var out, diagnostics bytes.Buffer
	code := command(t.Context(), args, &out, &diagnostics)
	return result{code, out.String(), diagnostics.String()}
}

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheSampleGivesEightDeliveriesOneParkedAndFourCompleted(t *testing.T) {
	t.Parallel()
	r := runCommand(t, "-json")
	if r.code != fine || r.err != "" {
		t.Fatalf("exit %d: %s", r.code, r.err)
	}
	goldentest.Check(t, "sample.json", r.out)
	var got map[string]float64
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		"processed": 44, "emitted": 39, "requested": 5, "delivered": 8, "failed": 0, "parked": 1, "completed": 4, "rejected": 0,
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTheReportSaysWhoWasReachedWhatIsParkedAndWhatIsDone(t *testing.T) {
	t.Parallel()
	r := runCommand(t)
	if r.code != fine || r.err != "" {
		t.Errorf("exit %d: %s", r.code, r.err)
	}
	goldentest.Check(t, "sample.txt", r.out)
}

func TestWhatIsWrongInTheInputIsReportedByLineAndTheRestGoesOut(t *testing.T) {
	t.Parallel()
	args := []string{"-file", filepath.Join("testdata", "mixed.csv"), "-contacts", filepath.Join("testdata", "contacts.csv")}
	r := runCommand(t, args...)
	if r.code != failed {
		t.Errorf("exit %d, want %d", r.code, failed)
	}
	goldentest.Check(t, "mixed.txt", r.out)
	goldentest.Check(t, "mixed.err", r.err)
	for _, flag := range []string{"-json", "-quiet"} {
		if other := runCommand(t, append(args, flag)...); other.code != failed || other.err != r.err {
			t.Errorf("%s: exit %d, diagnostics (-report +%s):\n%s", flag, other.code, flag, cmp.Diff(r.err, other.err))
		}
	}
}

func TestRequestsFromJSON(t *testing.T) {
	t.Parallel()
	r := runCommand(t, "-json", "-file", filepath.Join("testdata", "requests.json"))
	want := `{"processed":17,"emitted":15,"requested":2,"delivered":3,"failed":0,"parked":0,"completed":2,"rejected":0}` + "\n"
	if r.code != fine || r.err != "" || r.out != want {
		t.Errorf("exit %d, diagnostics %q, got %s, want %s", r.code, r.err, r.out, want)
	}
}

const header = "user_id,channels,message,priority\n"

func TestOneFaultIsEnoughForExit1(t *testing.T) {
	t.Parallel()
	good := header + "user_001,email,hi,low\n"
	for name, c := range map[string]struct{ file, contacts, want string }{
		"bad row":             {file: good + "user_001,email\n", want: "line 3: the row has 2 fields"},
		"unknown user":        {file: good + "zoe,email,hi,low\n", want: `line 3: user_id "zoe" is unknown`},
		"unknown channel":     {file: good + "user_001,fax,hi,low\n", want: `line 3: channels: "fax" is not one of`},
		"unknown priority":    {file: good + "user_001,email,hi,soon\n", want: `line 3: priority "soon" is not one of`},
		"too long for sms":    {file: good + "user_001,sms," + strings.Repeat("x", 161) + ",low\n", want: "line 3: message has 161 characters"},
		"too long for push":   {file: good + "user_001,push," + strings.Repeat("x", 257) + ",low\n", want: "line 3: message has 257 characters"},
		"no such address":     {file: good + "a,push,hi,low\n", contacts: "a,,,\n", want: "line 3: channels: a has no device"},
		"bad contact":         {file: good, contacts: "a,b,,\n", want: `line 2: email "b" is not an address`},
		"not JSON to the end": {file: `{"notifications":[`, want: "line 1: the rest cannot be read: the file ends in the middle"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := file(t, "requests", c.file)
			args := []string{"-quiet", "-file", path}
			if c.contacts != "" {
				path := file(t, "contacts", "user_id,email,phone,device\n"+c.contacts)
				args = append(args, "-contacts", path)
			}
			r := runCommand(t, args...)
			if r.code != failed || strings.Count(r.err, "\n") != 1 || !strings.Contains(r.err, c.want) || !strings.HasPrefix(r.out, "Totals\n") {
				t.Errorf("exit %d, diagnostics %q, output %q: want 1 and %q", r.code, r.err, r.out, c.want)
			}
		})
	}
}

func TestFilesThatAreRefusedAreNamedAndExit1(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ flag, content, want string }{
		{"-file", "", "the file is empty"},
		{"-file", "user_id,what\n", `line 1: the header has the unknown column "what"; lacks the column channels`},
		{"-file", "[]", "the file is not an object"},
		{"-file", `{"requests":[]}`, "the object has no field notifications"},
		{"-file", `{"notifications":"email"}`, "the field notifications is not an array"},
		{"-contacts", "", "the file is empty"},
		{"-contacts", header, `line 1: the header has the unknown column "channels"`},
	} {
		path := file(t, "input", c.content)
		r := runCommand(t, c.flag, path)
		if r.code != failed || !strings.HasPrefix(r.err, "notifications: "+c.flag+": "+path+": "+c.want) || r.out != "" {
			t.Errorf("%s %q: exit %d, diagnostics %q, want 1 and %q", c.flag, c.content, r.code, r.err, c.want)
		}
	}
	empty := file(t, "empty", "")
	if r := runCommand(t, "-file", empty, "-contacts", empty); strings.Count(r.err, "the file is empty") != 2 {
		t.Errorf("not both files are named: %s", r.err)
	}
}

func TestAContactMayTakeThePlaceOfABuiltInOne(t *testing.T) {
	t.Parallel()
	r := runCommand(t, "-contacts", file(t, "contacts.csv", "user_id,email,phone,device\nuser_003,,+12025550199,\n"))
	for _, want := range []string{
		"request 3  user_003  channels: user_003 has no e-mail address, which email needs\n",
		"request 1  user_001  email  ada@example.com\n", // who stays as he was
	} {
		if r.code != failed || !strings.Contains(r.out, want) {
			t.Errorf("exit %d, no %q in\n%s", r.code, want, r.out)
		}
	}
}

func TestAnInputWithoutRequestsIsFine(t *testing.T) {
	t.Parallel()
	for _, content := range []string{header, `{"notifications":[]}`} {
		if r := runCommand(t, "-json", "-file", file(t, "input", content)); r.code != fine || !strings.Contains(r.out, `"requested":0`) {
			t.Errorf("%s: exit %d, %s%s", content, r.code, r.out, r.err)
		}
	}
}

func TestWrongUsageIsExit2(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"unknown flag":        {[]string{"-nope"}, "flag provided but not defined: -nope"},
		"argument":            {[]string{"requests.csv"}, `unexpected argument "requests.csv"`},
		"no file name":        {[]string{"-file"}, "flag needs an argument: -file"},
		"empty file name":     {[]string{"-file="}, "-file needs the name of a file"},
		"empty contacts name": {[]string{"-contacts", ""}, "-contacts needs the name of a file"},
		"no such file":        {[]string{"-file", "missing.csv"}, "-file: open missing.csv"},
		"no such contacts":    {[]string{"-contacts", "missing.csv"}, "-contacts: open missing.csv"},
		"a directory":         {[]string{"-file", "testdata"}, "-file: testdata: read testdata"},
		"no outbox":           {[]string{"-outbox="}, "-outbox needs the name of a directory"},
		"outbox is a file":    {[]string{"-outbox", filepath.Join("testdata", "mixed.csv")}, "-outbox: mkdir testdata"},
		"unknown organ":       {[]string{"-store", "redis://host", "-organs", "email,fax"}, `-organs has "fax", which is not one of checker router email sms push delivery`},
		"empty organ":         {[]string{"-store", "redis://host", "-organs="}, `-organs has "", which is not one of`},
		"organs in memory":    {[]string{"-organs", "email"}, "-organs needs -store and a database"},
		"work in memory":      {[]string{"-work"}, "-work needs -store and a database"},
		"work of nobody":      {[]string{"-work", "-store", "redis://host", "-organs", "none"}, "-work needs organs"},
		"work on a file":      {[]string{"-work", "-store", "redis://host", "-file", "x"}, "-work does not go with -file, -repeat, -json and -quiet"},
		"repeat nothing":      {[]string{"-repeat", "0"}, "-repeat is 0, not 1 … 10000"},
		"repeat a file":       {[]string{"-repeat", "2", "-file", "x"}, "-repeat and -file do not go together"},
		"latency":             {[]string{"-latency", "2s"}, "-latency is 2s, not 0s … 1s"},
		"negative latency":    {[]string{"-latency", "-1s"}, "-latency is -1s, not 0s … 1s"},
		"json and quiet":      {[]string{"-json", "-quiet"}, "-json and -quiet do not go together"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if r := runCommand(t, c.args...); r.code != usage || !strings.Contains(r.err, c.want) || r.out != "" || strings.Count(r.err, "\n") > 2 {
				t.Errorf("exit %d, output %q, diagnostics %q: want 2 and %q", r.code, r.out, r.err, c.want)
			}
		})
	}
	if r := runCommand(t, "-json", "-quiet", "-file=", "x"); strings.Count(r.err, "notifications: ") != 3 {
		t.Errorf("not all faults at once: %q", r.err)
	}
}

func TestHelpNamesEveryFlagAndShowsTheFormats(t *testing.T) {
	t.Parallel()
	r := runCommand(t, "-h")
	if r.code != fine {
		t.Errorf("exit %d", r.code)
	}
	for _, want := range []string{"-file", "-contacts", "-store", "postgres://", "redis://", "-json", "-quiet", "-v\t", "-work", "-organs", "-outbox", "-latency", "-repeat", header, "user_id,email,phone,device\n", `{"notifications": [`} {
		if !strings.Contains(r.err, want) {
			t.Errorf("no %q in\n%s", want, r.err)
		}
	}
}

func TestTheExamplesInTheHelpWork(t *testing.T) {
	t.Parallel()
	blocks := strings.Split(formats, "\n\n")
	requests, contacts := file(t, "a", blocks[1]), file(t, "b", blocks[5])
	r := runCommand(t, "-quiet", "-file", requests, "-contacts", contacts)
	if r.code != fine || !strings.Contains(r.out, "delivered      2\n") {
		t.Errorf("exit %d: %s%s", r.code, r.out, r.err)
	}
	if r := runCommand(t, "-quiet", "-file", file(t, "c", blocks[3])); r.code != fine || !strings.Contains(r.out, "delivered      2\n") {
		t.Errorf("JSON: exit %d: %s%s", r.code, r.out, r.err)
	}
}

func TestQuietPrintsTheTotalsOnly(t *testing.T) {
	t.Parallel()
	full, quiet := runCommand(t), runCommand(t, "-quiet")
	if quiet.code != fine || !strings.HasPrefix(quiet.out, "Totals\n") || !strings.HasSuffix(full.out, quiet.out) {
		t.Errorf("exit %d:\n%s", quiet.code, quiet.out)
	}
}

func TestVerboseLogsEveryStepAsJSON(t *testing.T) {
	t.Parallel()
	r := runCommand(t, "-v", "-quiet")
	steps := map[string]bool{}
	for line := range strings.Lines(r.err) {
		var record struct{ Level, Msg string }
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		steps[record.Level+" "+record.Msg] = true
	}
	want := []string{
		"DEBUG acked", "DEBUG completed", "DEBUG dispatched", "DEBUG enqueued", "DEBUG leased", "DEBUG received",
		"ERROR parked", "WARN failed",
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(steps))); r.code != fine || diff != "" {
		t.Errorf("exit %d, steps (-want +got):\n%s", r.code, diff)
	}
}
