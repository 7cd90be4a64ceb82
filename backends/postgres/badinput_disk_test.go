package postgres_test

import (
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

// blob is a payload that fills a disk.
type blob struct{ Text string }

func (blob) EventType() string { return "blob" }

func TestAFullDiskLosesNothingAndHealsByItself(t *testing.T) {
	t.Parallel()
	server := testenv.OwnPostgres(t)
	admin := connection(t, server.DSN())
	disk := smallDisk(t, admin)
	// A part of the disk is taken, so that it can be given back.
	shell(t, admin, "mkdir "+disk+"/data && chmod 700 "+disk+"/data && head -c 16000000 /dev/zero >"+disk+"/taken")
	execute(t, admin, "CREATE TABLESPACE small LOCATION '"+disk+"/data'")
	execute(t, admin, "CREATE DATABASE full_disk TABLESPACE small TEMPLATE template0")
	dsn := strings.Replace(server.DSN(), "/postgres?", "/full_disk?", 1)
	st := openLog(t, dsn)

	var written eventstore.Position
	var full error
	for range 20_000 {
		r, err := st.Append(t.Context(), "s-1", eventstore.Any, blob{noise()}, blob{noise()}, blob{noise()})
		if err != nil {
			full = err
			break
		}
		written = r.Position
	}
	if full == nil || !strings.Contains(full.Error(), "SQLSTATE 53100") || !eventstore.IsRetryable(full) ||
		errors.Is(full, eventstore.ErrOutcomeUnknown) || written == 0 {
		t.Fatalf("after %d events the error is %.300v, want a retryable one of a full disk", written, full)
	}
	t.Logf("full after %d events: %.200v", written, full)
	heads(t, st, written)
	shell(t, admin, "rm "+disk+"/taken")
	awaitState(t, func() bool { return appends(t, st) == nil }, "there is room again, and commits are taken")
	n := eventstore.Position(0)
	for e, err := range st.Read(t.Context(), eventstore.All(), eventstore.Range{}) {
		if n++; err != nil || e.Position != n {
			t.Fatalf("event %d is at %d, %v", n, e.Position, err)
		}
	}
	if n <= written {
		t.Errorf("%d events are there, want the %d and one more", n, written)
	}
}

// smallDisk returns a directory on a file system of its own that is small: the shared memory of a container, or one that
// root mounts.
func smallDisk(t *testing.T, admin *pgx.Conn) string {
	t.Helper()
	const about = `CREATE TEMP TABLE df (kib bigint); COPY df FROM PROGRAM 'df --output=avail /dev/shm | tail -n 1'`
	var kib int
	if _, err := admin.Exec(t.Context(), about); err == nil {
		if err := admin.QueryRow(t.Context(), "SELECT kib FROM df").Scan(&kib); err != nil {
			t.Fatal(err)
		}
	}
	if kib > 32<<10 && kib <= 64<<10 {
		shell(t, admin, "mkdir /dev/shm/disk")
		return "/dev/shm/disk"
	}
	if os.Getuid() != 0 {
		t.Skip("there is no small file system, and only root can mount one")
	}
	dir, err := os.MkdirTemp("/var/tmp", "disk-*") //nolint:usetesting // the server's user has to get there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(dir) }) //nolint:errcheck // an empty folder that stays harms nobody
	if said, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=64m,mode=1777", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("no small file system can be mounted: %v: %s", err, said)
	}
	if err := os.Chmod(dir, 0o777); err != nil { //nolint:gosec // see above
		t.Error(err)
	}
	t.Cleanup(func() {
		exec.Command("umount", "-l", dir).Run() //nolint:errcheck,noctx // the directory shows whether it is gone
	})
	return dir
}

// shell runs a command as the server's user, where the server is.
func shell(t *testing.T, admin *pgx.Conn, command string) {
	t.Helper()
	execute(t, admin, "COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; "+command+"'")
}

// noise is text that does not compress.
func noise() string {
	var b strings.Builder
	for b.Len() < 30_000 {
		b.WriteString(rand.Text())
	}
	return b.String()
}
