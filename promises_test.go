package necrostack_test

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// docs/promises.md says which test shows which promise.
func TestPromisesNameTestsThatExist(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("docs/promises.md")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, folder := range []string{"spine", "organs", "eventstore", "sagas", "backends", "examples", "internal"} {
		err := fs.WalkDir(os.DirFS(folder), ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
				return err
			}
			text, err := os.ReadFile(folder + "/" + path)
			code.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	all, named := code.String(), 0
	for row := range strings.SplitSeq(string(doc), "\n") {
		cells := strings.Split(row, "|")
		if len(cells) != 4 || !strings.ContainsAny(cells[2], `"T`) {
			continue
		}
		for _, name := range regexp.MustCompile(`"[^"]+"|\bTest\w+`).FindAllString(cells[2], -1) {
			named++
			if want := strings.TrimPrefix(name, "Test"); want == name && !strings.Contains(all, "{"+name+",") ||
				want != name && !strings.Contains(all, "func "+name+"(t ") {
				t.Errorf("docs/promises.md names %s, which is no test", name)
			}
		}
	}
	if named < 50 {
		t.Errorf("docs/promises.md names %d tests: it was not read", named)
	}
}
