package necrostack_test

import (
	"bytes"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const (
	module = "github.com/necrostack/necrostack"
	uuid   = "github.com/google/uuid"             // the type of every id
	json   = "github.com/go-json-experiment/json" // what the standard library has from Go 1.27
	pgx    = "github.com/jackc/pgx/v5"
	redis  = "github.com/redis/go-redis/v9"
	// env is where tests get servers from: itself no package of tests by its name, it and what is below it serve nothing
	// else.
	env = module + "/internal/testenv"
)

// table maps packages to what they may import besides the standard library. Packages of this module are named by
// their directory, others by their import path; a "/..." at the end takes in all packages below as well.
type table map[string][]string

// architecture is the architecture. What a row does not name is not allowed: so arrows point one way only, siblings
// never import each other, and the core links no driver.
var architecture = table{
	".":            {},
	"internal/...": {},
	"eventstore":   {uuid, json, json + "/v1", "internal/..."},
	"spine": {
		uuid, "eventstore", "internal/...",
		// The API alone: an SDK is the user's choice.
		"go.opentelemetry.io/otel", "go.opentelemetry.io/otel/attribute", "go.opentelemetry.io/otel/codes",
		"go.opentelemetry.io/otel/metric/...", "go.opentelemetry.io/otel/trace/...",
	},
	"organs": {uuid, "eventstore", "spine", "internal/..."},
	"sagas": {
		// An instance is an aggregate, and what is listed of it is a view: sagas stand on both.
		uuid, "eventstore", "spine", "organs", "projections", "internal/...", "github.com/sony/gobreaker/v2",
	},
	"projections":     {uuid, "eventstore", "spine", "golang.org/x/time/rate", "internal/..."},
	"backends/memory": {uuid, "eventstore", "internal/..."},
	"backends/postgres": {
		uuid, "eventstore", "internal/signal", "migrations",
		pgx, pgx + "/pgconn", pgx + "/pgproto3", pgx + "/pgtype", pgx + "/pgxpool",
	},
	"backends/redis": {uuid, "eventstore", "internal/signal", redis},
	"backends":       {"eventstore", "backends/memory", "backends/postgres", "backends/redis", pgx + "/pgconn"},
	"migrations":     {pgx, pgx + "/pgconn", pgx + "/stdlib", "github.com/golang-migrate/migrate/v4/..."},

	"eventstore/storetest": {uuid, "eventstore", "github.com/anishathalye/porcupine", "pgregory.net/rapid"},
	"spine/spinetest":      {uuid, "eventstore", "spine"},
	"projections/viewtest": {uuid, "eventstore", "spine", "spine/spinetest", "projections", "github.com/google/go-cmp/cmp"},
	"sagas/rulestest":      {uuid, "eventstore", "spine", "spine/spinetest", "organs", "projections", "sagas", "pgregory.net/rapid"},
	"internal/goldentest":  {"github.com/google/go-cmp/cmp"},
	"internal/testenv":     {"internal/testenv/launch", pgx, redis},
	"internal/testenv/launch": {
		"internal/testenv/images", pgx, pgx + "/pgconn", redis, "github.com/shirou/gopsutil/v4/process",
		"github.com/testcontainers/testcontainers-go/...", "github.com/moby/moby/...", "github.com/containerd/errdefs",
	},
	"internal/testenv/images": {},
	"internal/testenv/with":   {"internal/testenv/launch"},
	"organs/organstest":       {uuid, "organs", "eventstore", "spine", "backends/memory", "github.com/google/go-cmp/cmp"},

	"sagas/sagatest": {
		uuid, "sagas", "organs", "eventstore", "spine", "backends/memory", "github.com/google/go-cmp/cmp", "github.com/google/go-cmp/cmp/cmpopts",
	},

	"examples/...": {
		uuid, module + "/...", "github.com/shopspring/decimal", // money is never a float
		pgx, pgx + "/pgxpool", // tables of a program's own, beside the log
		redis + "/logging", // which is silenced
	},
}

// inTestsOf is what the tests of some packages may import besides: of an example, what users would test theirs with.
var inTestsOf = table{
	"backends/redis": {"backends/postgres"}, // the log of views in Redis
	"examples/travel": {
		pgx + "/stdlib", // by which testcontainers asks whether a server answers
		"github.com/testcontainers/testcontainers-go/...", "github.com/moby/moby/api/types/network",
	},
}

// inTests is what the tests of any package may import besides its row and the package itself: the core, the backend
// that needs nothing set up, and whatever exists for tests.
var inTests = []string{
	uuid, "eventstore", "spine", "organs", "backends/memory", "eventstore/storetest", "spine/spinetest", "organs/organstest",
	"projections", "projections/viewtest", "sagas", "sagas/rulestest", "sagas/sagatest",
	"internal/testenv", "internal/goldentest", pgx, "github.com/anishathalye/porcupine",
	"github.com/google/go-cmp/cmp", "go.uber.org/goleak", "pgregory.net/rapid",
	"go.opentelemetry.io/otel/attribute", "go.opentelemetry.io/otel/trace", "go.opentelemetry.io/otel/sdk/...",
}

func TestArchitecture(t *testing.T) {
	t.Parallel()
	for _, fault := range faults(t, os.DirFS("."), architecture) {
		t.Error(fault)
	}
}

func TestArchitectureNamesEveryFault(t *testing.T) {
	t.Parallel()
	rows := table{"core": {uuid}, "shell": {"core"}, "coretest": {"core"}, "demo/...": {module + "/..."}, "examples/...": {}}
	sound := map[string]string{
		"core/doc.go":                    "// Package core is.\npackage core\nimport (\"fmt\"; \"" + uuid + "\")",
		"core/doc_test.go":               "package core_test\nimport (\"testing\"; \"" + module + "/core\"; \"pgregory.net/rapid\")",
		"shell/shell.go":                 "// Package shell is.\npackage shell\nimport \"" + module + "/core\"",
		"coretest/suite.go":              "// Package coretest is.\npackage coretest\nimport \"testing\"",
		"demo/a/main.go":                 "// Command a shows.\npackage main\nimport \"" + module + "/shell\"",
		"bench/go.mod":                   "module bench",
		"bench/main.go":                  "package main\nimport \"example.com/peer\"",
		"core/testdata/x.go":             "package x\nimport \"example.com/peer\"",
		".git/config":                    "path = /" + "home/ada/checkout",
		"examples/travel/travel_test.go": "package travel_test\nimport \"github.com/testcontainers/testcontainers-go/wait\"",
		"examples/travel/main.go":        "// Command travel shows.\npackage main",
		"demo/demo":                      "a program\x00/" + "home/ada/go/src",
		"core/link.md":                   "https://example.com/" + "home/ada",
		"core/internal/_draft/x.go":      "no Go at all",
	}
	for _, tt := range []struct{ name, file, text, want string }{
		{"sound", "", "", ""},
		{"package without a row", "new/doc.go", "// Package new is.\npackage new", "new: no row"},
		{"row without a package", "shell/shell.go", "", "row shell: no such package"},
		{"sibling", "core/x.go", "package core\nimport \"" + module + "/shell\"", "core/x.go: may not import " + module + "/shell"},
		{"driver", "core/x.go", "package core\nimport \"example.com/driver\"", "core/x.go: may not import example.com/driver"},
		{"below an allowed path", "core/x.go", "package core\nimport \"" + uuid + "/v2\"", "core/x.go: may not import " + uuid + "/v2"},
		{"test out of bounds", "core/x_test.go", "package core\nimport \"" + module + "/shell\"", "core/x_test.go: may not import " + module + "/shell"},
		{"of tests alone", "examples/travel/x.go", "package main\nimport \"github.com/testcontainers/testcontainers-go\"", "examples/travel/x.go: may not import github.com/testcontainers/testcontainers-go"},
		{"testing linked", "core/x.go", "package core\nimport \"testing\"", "core/x.go: links testing in production by testing"},
		{"testing linked by a detour", "demo/a/x.go", "package main\nimport \"" + module + "/coretest\"", "demo/a/x.go: links testing in production by " + module + "/coretest"},
		{"servers of tests linked", "demo/a/x.go", "package main\nimport \"" + env + "/launch\"", "demo/a/x.go: links testing in production by " + env + "/launch"},
		{"no package comment", "shell/shell.go", "package shell", "shell: no package comment"},
		{"comment only in a test", "demo/b/x_test.go", "// Package b is.\npackage b", "demo/b: no package comment"},
		{"machine path", "bench/notes.md", "see /" + "home/ada/notes", "bench/notes.md: names a path of one machine: /" + "home/ada/notes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tree := fstest.MapFS{}
			for name, text := range sound {
				tree[name] = &fstest.MapFile{Data: []byte(text)}
			}
			switch {
			case tt.text != "":
				tree[tt.file] = &fstest.MapFile{Data: []byte(tt.text)}
			case tt.file != "":
				delete(tree, tt.file)
			}
			got := strings.Join(faults(t, tree, rows), "\n")
			if got != tt.want {
				t.Errorf("faults:\n%s\nwant:\n%s", got, tt.want)
			}
		})
	}
}

// faults returns what is wrong in tree.
func faults(t *testing.T, tree fs.FS, rows table) []string {
	t.Helper()
	packages, found, err := read(tree)
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		row, ok := rows.find(dir)
		if ok {
			found = append(found, arrows(dir, rows[row], packages[dir])...)
		} else {
			found = append(found, dir+": no row")
		}
		used[row] = true
		found = append(found, hygiene(dir, packages[dir])...)
	}
	for _, row := range slices.Sorted(maps.Keys(rows)) {
		if !used[row] {
			found = append(found, "row "+row+": no such package")
		}
	}
	return found
}

// find returns the name of the row that dir falls under.
func (rows table) find(dir string) (row string, ok bool) {
	if _, ok := rows[dir]; ok {
		return dir, true
	}
	for up := path.Dir(dir); up != "."; up = path.Dir(up) {
		if _, ok := rows[up+"/..."]; ok {
			return up + "/...", true
		}
	}
	return "", false
}

// source is a Go file, parsed as far as its imports.
type source struct {
	name    string
	test    bool
	comment bool // it has a package comment
	imports []string
}

// machinePath matches an absolute path below someone's home or work directory.
var machinePath = regexp.MustCompile(`(?m)(?:^|[^\w.$~})\]-])(/(?:home|root|Users|work)/\w[^\s"'` + "`" + `]*|[A-Z]:\\+Users\\\S*)`)

// read returns the packages of the module at the root of tree, by directory, and the files that name a machine's path:
// those of nested modules and of .ci too.
func read(tree fs.FS) (packages map[string][]source, found []string, err error) {
	packages = map[string][]source{}
	outside := map[string]bool{}
	err = fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base, dir := path.Base(name), path.Dir(name)
		hidden := name != "." && strings.HasPrefix(base, ".")
		if entry.IsDir() {
			if hidden && name != ".ci" {
				return fs.SkipDir
			}
			_, noModule := fs.Stat(tree, path.Join(name, "go.mod"))
			nested := name != "." && noModule == nil
			outside[name] = outside[dir] || nested || hidden || base == "testdata" || strings.HasPrefix(base, "_")
			return nil
		}
		if base == ".git" || !entry.Type().IsRegular() { // in a worktree .git is a file
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		binary := bytes.IndexByte(text, 0) >= 0
		if match := machinePath.FindSubmatch(text); match != nil && !binary {
			found = append(found, fmt.Sprintf("%s: names a path of one machine: %s", name, match[1]))
		}
		if path.Ext(name) != ".go" || outside[dir] {
			return nil
		}
		file, err := parse(name, text)
		packages[dir] = append(packages[dir], file)
		return err
	})
	return packages, found, err
}

func parse(name string, text []byte) (source, error) {
	syntax, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return source{}, err
	}
	file := source{name: name, test: strings.HasSuffix(name, "_test.go"), comment: syntax.Doc != nil}
	for _, spec := range syntax.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return source{}, err
		}
		file.imports = append(file.imports, imported)
	}
	return file, nil
}

// arrows returns the imports in files, the package in dir, that row does not allow.
func arrows(dir string, row []string, files []source) (found []string) {
	for _, file := range files {
		allowed := row
		if file.test {
			allowed = slices.Concat(row, inTests, inTestsOf[dir], []string{dir})
		}
		for _, imported := range file.imports {
			first, _, _ := strings.Cut(imported, "/")
			standard := !strings.Contains(first, ".")
			if !standard && !slices.ContainsFunc(allowed, func(pattern string) bool { return matches(pattern, imported) }) {
				found = append(found, file.name+": may not import "+imported)
			}
		}
	}
	return found
}

// matches reports whether an entry of a row covers an import path.
func matches(pattern, imported string) bool {
	if first, _, _ := strings.Cut(pattern, "/"); !strings.Contains(first, ".") {
		pattern = module + "/" + pattern
	}
	base, below := strings.CutSuffix(pattern, "/...")
	return imported == base || below && strings.HasPrefix(imported, base+"/")
}

// hygiene returns what else every package keeps: it says what it is for, and it links testing only if it exists for
// tests, which its name then says.
func hygiene(dir string, files []source) (found []string) {
	if !slices.ContainsFunc(files, func(file source) bool { return file.comment && !file.test }) {
		found = append(found, dir+": no package comment")
	}
	for _, file := range files {
		for _, imported := range file.imports {
			forTests := imported == "testing" || strings.HasPrefix(imported, "testing/") || strings.HasSuffix(imported, "test") ||
				matches(env+"/...", imported)
			if forTests && !file.test && !strings.HasSuffix(dir, "test") && !matches(env+"/...", module+"/"+dir) {
				found = append(found, file.name+": links testing in production by "+imported)
			}
		}
	}
	return found
}
