package launch

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
)

// PgBouncer returns the product PgBouncer in front of the PostgreSQL server of a DSN: it hands a connection to the
// server to a client for one transaction at a time. It runs as a process of this machine only.
//
// Its DSN is that of the server but for the address. It has no databases of its own; those of the server are reached
// through it by name.
func PgBouncer(dsn string) (Product, error) {
	server, err := pgx.ParseConfig(dsn)
	if err != nil {
		return Product{}, err
	}
	settings := func(data, port string) string {
		return strings.Join([]string{
			"[databases]",
			fmt.Sprintf("* = host=%s port=%d", server.Host, server.Port),
			"[pgbouncer]",
			"listen_addr = 127.0.0.1",
			"listen_port = " + port,
			"unix_socket_dir =",
			"auth_type = scram-sha-256",
			"auth_file = " + data + "/users",
			"pool_mode = transaction",
			"default_pool_size = 10",
			"max_client_conn = 500",
			"",
		}, "\n")
	}
	user := fmt.Sprintf("%s %s\n", quoted(server.User), quoted(server.Password))
	return Product{
		Name: "pgbouncer", Variable: "NECROSTACK_PGBOUNCER",
		DSN: func(addr, _ string) string {
			through, err := Redirect(dsn, addr)
			if err != nil {
				return "" // Ping says so
			}
			return through
		},
		Addr: addrPostgres,
		Ping: pingPostgres,
		Create: func(context.Context, string, string) (string, error) {
			return "", fmt.Errorf("a database is created on the server %s", net.JoinHostPort(server.Host, fmt.Sprint(server.Port)))
		},
		Drop: func(context.Context, string, string) error { return nil },
		Files: func(place Place) map[string]string {
			return map[string]string{"settings": settings(place.Data, place.Port), "users": user}
		},
		Process: Process{
			Programs: []string{"pgbouncer"},
			Dirs:     []string{"/usr/sbin"},
			Packages: []string{"pgbouncer"},
			User:     "postgres",
			Serve:    func(data, _ string) []string { return []string{"pgbouncer", "-q", data + "/settings"} },
		},
	}, nil
}

// quoted is a name or a password in PgBouncer's list of users.
func quoted(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
