package main

import (
	"bytes"
	"io"
	"os"
	"testing"
)

func TestReadmeShowsThisProgram(t *testing.T) {
	t.Parallel()
	program := read(t, "main.go")
	if n := bytes.Count(program, []byte("\n")); n > 60 {
		t.Errorf("the program has %d lines, more than 60", n)
	}
	if shown := block(t, "```go\n"); !bytes.Equal(shown, program) {
		t.Errorf("README.md shows another program than main.go:\n%s", shown)
	}
}

func TestProgramPrintsWhatTheReadmeSays(t *testing.T) { //nolint:paralleltest // it takes the place of os.Stdout
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = w
	main() // prints less than a pipe holds
	os.Stdout = stdout
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	printed, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if said := block(t, "```text\n"); !bytes.Equal(said, printed) {
		t.Errorf("the program prints\n%s\nREADME.md says\n%s", printed, said)
	}
}

// block is what the README has between a fence and the next.
func block(t *testing.T, fence string) []byte {
	t.Helper()
	_, rest, found := bytes.Cut(read(t, "../../README.md"), []byte("\n"+fence))
	text, _, closed := bytes.Cut(rest, []byte("```\n"))
	if !found || !closed {
		t.Fatalf("README.md has no block %q", fence)
	}
	return text
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
