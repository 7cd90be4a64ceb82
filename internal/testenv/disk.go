package testenv

import (
	"os"
	"os/exec"
	"testing"

	"github.com/necrostack/necrostack/internal/testenv/launch"
)

// SmallDisk returns a directory that is a file system of its own, of 64 MiB, where the server runs. Its user may write
// there. In Docker there always is one. For a server of local programs, root has to mount it: where that is not
// possible, the test is skipped. Servers of Redis that are a test's own may be told to write there, by CONFIG SET dir.
func (s *OwnServer) SmallDisk(tb testing.TB) (dir string) {
	tb.Helper()
	if s.launched.From == launch.Docker {
		return launch.SmallDisk
	}
	if os.Getuid() != 0 {
		tb.Skip("testenv: there is no small file system, and only root can mount one")
	}
	dir, err := os.MkdirTemp("/var/tmp", "necrostack-disk-*") //nolint:usetesting // the server's user has to get there
	if err != nil {
		tb.Fatalf("testenv: %v", err)
	}
	tb.Cleanup(func() { os.Remove(dir) }) //nolint:errcheck // an empty folder that stays harms nobody
	ctx, cancel := within(tb, acting)
	defer cancel()
	if said, err := exec.CommandContext(ctx, "mount", "-t", "tmpfs", "-o", "size=64m,mode=1777", "tmpfs", dir).CombinedOutput(); err != nil {
		tb.Skipf("testenv: no small file system can be mounted: %v: %s", err, said)
	}
	tb.Cleanup(func() {
		ctx, cancel := within(tb, acting)
		defer cancel()
		if said, err := exec.CommandContext(ctx, "umount", "-l", dir).CombinedOutput(); err != nil {
			tb.Errorf("testenv: %v: %s", err, said)
		}
	})
	return dir
}
