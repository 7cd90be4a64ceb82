package launch_test

import (
	"strings"
	"testing"

	"github.com/necrostack/necrostack/internal/testenv/launch"
)

// Whoever asks for certain programs does not get others.
func TestProgramsThatAreAskedForAreTheOnesThatRun(t *testing.T) {
	t.Setenv("NECROSTACK_POSTGRES_PROGRAMS", t.TempDir())
	server, err := launch.Start(t.Context(), launch.Postgres(), t.Logf, launch.Local)
	if err == nil {
		t.Error("another server runs", server.Close(t.Context()))
	} else if !strings.Contains(err.Error(), "NECROSTACK_POSTGRES_PROGRAMS=") {
		t.Errorf("the error is %v", err)
	}
}
