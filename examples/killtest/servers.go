package killtest

import (
	"strings"
	"testing"

	"github.com/necrostack/necrostack/internal/testenv"
)

// Servers are the kinds of servers that examples keep their log in, each with what returns the address of an empty log there.
// The package's TestMain has to call testenv.Main.
func Servers() map[string]func(t *testing.T) string {
	return map[string]func(t *testing.T) string{
		"postgres": func(t *testing.T) string { t.Helper(); return testenv.Postgres(t).Database(t) },
		"redis":    func(t *testing.T) string { t.Helper(); return testenv.Redis(t).Database(t) },
	}
}

// Said is what a command has said, but for word of a store that fails and is tried again: on a busy machine a server may be
// too slow for a moment.
func Said(diagnostics string) string {
	var rest strings.Builder
	for line := range strings.Lines(diagnostics) {
		if !strings.Contains(line, ": the store fails, and is tried again until it answers: ") {
			rest.WriteString(line)
		}
	}
	return rest.String()
}
