package patterns

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestDocumentsShowThesePrograms(t *testing.T) {
	t.Parallel()
	for document, patterns := range map[string][]string{
		"patterns.md": {"*/*.go", "../travel/trip/*.go"},
		"testing.md":  {"../travel/trip/*_test.go", "../travel/*_test.go"},
	} {
		t.Run(document, func(t *testing.T) {
			t.Parallel()
			programs := map[string]string{}
			for _, pattern := range patterns {
				names, err := filepath.Glob(pattern)
				if err != nil || len(names) == 0 {
					t.Fatalf("no programs %s: %v", pattern, err)
				}
				for _, name := range names {
					programs[filepath.ToSlash(name)] = read(t, name)
				}
			}
			for _, fault := range faults(read(t, "../../docs/"+document), programs) {
				t.Error(fault)
			}
		})
	}
}

func TestDocumentThatShowsSomethingElseIsFound(t *testing.T) {
	t.Parallel()
	programs := map[string]string{"a/a.go": "package a\n\nvar x = 1\n", "b/b_test.go": "func f() {\n\tg()\n}\n"}
	const sound = "# A\n```go\nvar x = 1\n```\n```mermaid\nflowchart LR\n```\n```go\n\tg()\n```\n"
	for _, tt := range []struct{ name, document, want string }{
		{"sound", sound, ""},
		{"changed", strings.Replace(sound, "x = 1", "x = 2", 1), "line 2: no program has\nvar x = 2\na is not shown"},
		{"white space", strings.Replace(sound, "\tg()", "g()", 1), "line 8: no program has\ng()\nb is not shown"},
		{"part of a line", strings.Replace(sound, "var x", "x", 1), "line 2: no program has\nx = 1\na is not shown"},
		{"empty", strings.Replace(sound, "var x = 1\n", "", 1), "line 2: the block is empty\na is not shown"},
		{"under another name", strings.Replace(sound, "```go\nvar", "```golang\nvar", 1), `line 2: a block of "golang"` + "\na is not shown"},
		{"not closed", strings.TrimSuffix(sound, "```\n"), "line 8: the block is not closed\nb is not shown"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := strings.Join(faults(tt.document, programs), "\n"); got != tt.want {
				t.Errorf("faults:\n%s\nwant:\n%s", got, tt.want)
			}
		})
	}
}

// faults returns what is wrong with the blocks of a document: each block of Go must be lines of a program, and each
// package must have one.
func faults(document string, programs map[string]string) (found []string) {
	shown := map[string]bool{}
	for name := range programs {
		shown[path.Dir(name)] = false
	}
	begin, language, block := 0, "", ""
	for i, line := range strings.SplitAfter(document, "\n") {
		name, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case begin == 0 && fence:
			begin, language, block = i+1, name, ""
		case begin > 0 && !fence:
			block += line
		case begin > 0:
			found = append(found, fault(begin, language, block, programs, shown)...)
			begin = 0
		}
	}
	if begin > 0 {
		found = append(found, fmt.Sprintf("line %d: the block is not closed", begin))
	}
	var hidden []string
	for dir, seen := range shown {
		if !seen {
			hidden = append(hidden, dir+" is not shown")
		}
	}
	slices.Sort(hidden)
	return append(found, hidden...)
}

// fault returns what is wrong with a block, and notes which packages it shows.
func fault(at int, language, block string, programs map[string]string, shown map[string]bool) []string {
	switch {
	case language == "mermaid" || language == "text":
		return nil
	case language != "go":
		return []string{fmt.Sprintf("line %d: a block of %q", at, language)}
	case block == "":
		return []string{fmt.Sprintf("line %d: the block is empty", at)}
	}
	known := false
	for name, text := range programs {
		if strings.Contains("\n"+text, "\n"+block) {
			known, shown[path.Dir(name)] = true, true
		}
	}
	if !known {
		return []string{fmt.Sprintf("line %d: no program has\n%s", at, strings.TrimSpace(block))}
	}
	return nil
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
