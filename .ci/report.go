// Command report reads `go test -json` from standard input, prints what plain `go test` would have printed and what
// was skipped, and ends with what failed, by name, the packages that took longest, and a line of totals. It exits with 1 if a test or a package failed, if no test ran at all,
// if a test was skipped that the file named by its argument does not list, or if that file lists one without a reason.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// An event is one line of `go test -json`; `go doc test2json` describes the fields.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64 // in seconds
}

// A test is named by its package's import path and its own name, subtests included.
type test struct{ pkg, name string }

// A tally is what is known of the run so far.
type tally struct {
	output  map[test][]string // of the tests under way
	active  map[test]bool     // those of them that are not paused
	passed  int
	failed  map[string]int // by package
	names   []string       // of what failed
	skipped []test
	took    map[string]float64 // by package, in seconds
}

// slow is how long a package takes that is worth a line, in seconds.
const slow = 60

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
	run := tally{output: map[test][]string{}, active: map[test]bool{}, failed: map[string]int{}, took: map[string]float64{}}
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
	for _, pkg := range slices.Sorted(maps.Keys(run.took)) {
		if run.took[pkg] >= slow {
			fmt.Printf("%s took %.0f s\n", pkg, run.took[pkg])
		}
	}
	for _, name := range slices.Sorted(slices.Values(run.names)) {
		fmt.Println("failed:", name)
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
	switch e.Action {
	case "run", "cont":
		y.active[t] = true
	case "pause", "pass", "skip", "fail":
		delete(y.active, t)
	}
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
		y.fail(t)
	case e.Action == "fail":
		y.took[t.pkg] += e.Elapsed
		y.close(t.pkg)
	case e.Action == "pass":
		y.took[t.pkg] += e.Elapsed
	}
}

// close ends a package that failed: the tests it left in their midst failed with it, and if there are none, and no other
// failed either, the package as such did: it does not build, or it exited.
func (y *tally) close(pkg string) {
	for t := range y.active {
		if t.pkg == pkg {
			y.fail(t)
		}
	}
	if y.failed[pkg] == 0 {
		y.failed[pkg] = 1
		y.names = append(y.names, pkg)
	}
}

func (y *tally) fail(t test) {
	y.failed[t.pkg]++
	y.names = append(y.names, t.pkg+" "+t.name)
	y.print(t)
	delete(y.active, t)
}

func (y *tally) print(t test) {
	fmt.Print(strings.Join(y.output[t], ""))
	delete(y.output, t)
}
