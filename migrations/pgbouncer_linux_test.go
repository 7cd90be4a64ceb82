package migrations_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/necrostack/necrostack/migrations"
)

// A transaction gets one of the server's connections and gives it back, so whatever a session would have kept is gone
// or, worse, met by the next: a lock or a search path. Two connections are all that the pool has.
func TestMigrationsGoThroughPgBouncerInTransactionMode(t *testing.T) {
	t.Parallel()
	direct := database(t)
	pooled := pgbouncer(t, direct)
	failures := make(chan error, 6)
	for range cap(failures) {
		go func() { failures <- migrations.Up(t.Context(), pooled, schema) }()
	}
	for range cap(failures) {
		if err := <-failures; err != nil {
			t.Error(err)
		}
	}
	stands(t, pooled, schema, migrations.Latest())
	conn := connect(t, direct)
	var locks, elsewhere int
	const sql = `SELECT (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
		(SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace)`
	if err := conn.QueryRow(t.Context(), sql).Scan(&locks, &elsewhere); err != nil || locks+elsewhere != 0 {
		t.Errorf("%d locks stay, %d objects are in another schema, %v", locks, elsewhere, err)
	}
	if err := migrations.Down(t.Context(), pooled, schema); err != nil {
		t.Error(err)
	}
	if left := objects(t, conn); left != 0 {
		t.Errorf("%d objects are left", left)
	}
}

// pgbouncer runs PgBouncer in transaction mode in front of a database until the test ends.
func pgbouncer(t *testing.T, server *pgx.ConnConfig) *pgx.ConnConfig {
	t.Helper()
	program, err := exec.LookPath("/usr/sbin/pgbouncer")
	if err != nil {
		install := exec.CommandContext(t.Context(), "apt-get", "install", "-y", "-qq", "--no-install-recommends", "pgbouncer")
		install.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
		if said, err := install.CombinedOutput(); err != nil {
			t.Fatalf("there is no PgBouncer, and it cannot be installed: %v: %s", err, said)
		}
		program = "/usr/sbin/pgbouncer"
	}
	var config net.ListenConfig
	free, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr, _ := free.Addr().(*net.TCPAddr)
	free.Close()
	dir := t.TempDir()
	path := filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf(`[databases]
* = host=%s port=%d user=%s password=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
`, server.Host, server.Port, server.User, server.Password, addr.Port)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), program, path)
	asNobody(t, command, dir, path)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command.Process.Kill() //nolint:errcheck // it may have ended
		command.Wait()         //nolint:errcheck // it was killed
	})
	pooled := server.Copy()
	pooled.Host, pooled.Port = "127.0.0.1", uint16(addr.Port) //nolint:gosec // it is a port
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := pgx.ConnectConfig(t.Context(), pooled)
		if err == nil {
			conn.Close(t.Context())
			return pooled
		}
		if time.Now().After(deadline) {
			t.Fatalf("PgBouncer does not answer: %v", err)
		}
	}
}

// asNobody has a command that refuses to run as root run as somebody else, and die with the test.
func asNobody(t *testing.T, command *exec.Cmd, dir, file string) {
	t.Helper()
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		return
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{filepath.Dir(dir), dir, file} {
		if err := os.Chown(name, int(uid), -1); err != nil { //nolint:gosec // it has 32 bits
			t.Fatal(err)
		}
	}
	command.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
}
