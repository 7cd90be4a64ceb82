package testenv

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/necrostack/necrostack/internal/testenv/launch"
)

// Standby starts a hot standby of s, a server of its own that streams what s writes. It has the databases of s, under
// DSNs that its method DSNOf makes.
//
// The standby is another server of the same kind, which fetches a base backup of s and is then started on that.
func (s *OwnPostgresServer) Standby(tb testing.TB) *OwnPostgresServer {
	tb.Helper()
	standby := OwnPostgres(tb)
	var hba, addr, port string
	s.ask(tb, "SELECT current_setting('hba_file'), host(inet_server_addr()), inet_server_port()::text", &hba, &addr, &port)
	s.Shell(tb, "echo host replication all all scram-sha-256 >>"+hba)
	s.ask(tb, "SELECT pg_reload_conf()", new(bool))

	var dir, bin string
	standby.ask(tb, "SELECT current_setting('data_directory'), (SELECT setting FROM pg_config WHERE name = 'BINDIR')", &dir, &bin)
	from := fmt.Sprintf("host=%s port=%s user=postgres password=%s sslmode=disable", addr, port, password(tb, s.DSN()))
	standby.Shell(tb, strings.Join([]string{
		bin + `/pg_basebackup --write-recovery-conf --checkpoint=fast --no-sync --pgdata=` + dir + `/standby --dbname="` + from + `"`,
		// The backup has the roles of s. Whoever knows the password of this server does not know theirs.
		`echo host all all all trust >` + dir + `/pg_hba.conf`,
		// A server's configuration may lie elsewhere than its data.
		`echo "data_directory = '` + dir + `/standby'" >>` + dir + `/postgresql.conf`,
	}, " && "))
	standby.Stop(tb)
	standby.Start(tb)
	return standby
}

// DSNOf returns a DSN of another server with the address of this one.
func (s *OwnPostgresServer) DSNOf(tb testing.TB, dsn string) string {
	tb.Helper()
	here, err := launch.Redirect(dsn, s.Addr())
	if err != nil {
		tb.Fatalf("testenv: %v", err)
	}
	return here
}

func password(tb testing.TB, dsn string) string {
	tb.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		tb.Fatalf("testenv: %v", err)
	}
	return cfg.Password
}
