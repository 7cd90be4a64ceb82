// Command report reads `go test -json` from standard input, prints what plain `go test` would have printed and what
// was skipped, and ends with a line of totals. It exits with 1 if a test or a package failed, if no test ran at all,
// if a test was skipped that the file named by its argument does not list, or if that file lists one without a reason.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// An event is one line of `go test -json`; `go doc test2json` describes the fields.
type event struct{ Action, Package, Test, Output string }

// A test is named by its package's import path and its own name, subtests included.
type test struct{ pkg, name string }

// A tally is what is known of the run so far.
type tally struct {
	output  map[test][]string // of the tests under way
	passed  int
	failed  map[string]int // by package
	skipped []test
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go test -json ./... | report SKIPS")
		os.Exit(2)
	}
	listed, faults, err := readSkips(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	run := tally{output: map[test][]string{}, failed: map[string]int{}}
	if err := run.read(os.Stdin); err != nil {
		faults = append(faults, fmt.Sprintf("reading the test output: %v", err))
	}

	for _, t := range run.skipped {
		if !listed[t] {
			faults = append(faults, fmt.Sprintf("%s %s: skipped, but not listed in %s", t.pkg, t.name, os.Args[1]))
		}
	}
	failed := 0
	for _, n := range run.failed {
		failed += n
	}
	if run.passed+failed == 0 {
		faults = append(faults, "no test ran")
	}
	for _, fault := range faults {
		fmt.Println(fault)
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", run.passed, failed, len(run.skipped))
	if failed > 0 || len(faults) > 0 {
		os.Exit(1)
	}
}

// readSkips returns the tests that the file lists, and what is wrong with its lines.
func readSkips(file string) (listed map[test]bool, faults []string, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	listed = map[test]bool{}
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		names, reason, _ := strings.Cut(line, "#")
		fields := strings.Fields(names)
		switch {
		case len(fields) == 0: // a comment
		case len(fields) != 2 || strings.TrimSpace(reason) == "":
			faults = append(faults, fmt.Sprintf("%s:%d: want `package TestName  # reason`", file, number))
		default:
			listed[test{fields[0], fields[1]}] = true
		}
	}
	return listed, faults, nil
}

// read follows the events to their end. A line that is none, as a tool may print one, is passed through.
func (y *tally) read(from io.Reader) error {
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadBytes('\n')
		var e event
		if json.Unmarshal(line, &e) == nil {
			y.follow(e)
		} else {
			fmt.Print(string(line))
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// follow counts one event and prints the output that is due with it.
func (y *tally) follow(e event) {
	t := test{e.Package, e.Test}
	switch {
	case e.Action == "build-output", e.Action == "output" && t.name == "" && e.Output != "PASS\n":
		fmt.Print(e.Output)
	case e.Action == "output" && t.name != "" && !strings.HasPrefix(e.Output, "=== "):
		y.output[t] = append(y.output[t], e.Output)
	case e.Action == "pass" && t.name != "":
		y.passed++
		delete(y.output, t)
	case e.Action == "skip" && t.name != "":
		y.skipped = append(y.skipped, t)
		y.print(t)
	case e.Action == "fail" && t.name != "":
		y.failed[t.pkg]++
		y.print(t)
	case e.Action == "fail":
		y.close(t.pkg)
	}
}

// close ends a package that failed: the tests it left unfinished failed with it, and if there are none, and no other
// failed either, the package as such did: it does not build, or it exited.
func (y *tally) close(pkg string) {
	for t := range y.output {
		if t.pkg == pkg {
			y.failed[pkg]++
			y.print(t)
		}
	}
	if y.failed[pkg] == 0 {
		y.failed[pkg] = 1
	}
}

func (y *tally) print(t test) {
	fmt.Print(strings.Join(y.output[t], ""))
	delete(y.output, t)
}
