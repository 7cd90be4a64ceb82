package launch

import (
	"context"
	"fmt"
	"net/url"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/necrostack/necrostack/internal/testenv/images"
)

// postgresSettings make a server quick, and roomy enough for the tests of many packages at once. A commit still
// survives the death of the server: what is not waited for is the disk.
var postgresSettings = []string{"-c", "fsync=off", "-c", "max_connections=600"}

// Postgres returns the product PostgreSQL. Its databases have the encoding UTF8 and the locale C.UTF-8. Settings, each
// name=value, take the place of those that make a server quick: without any, it does not wait for the disk.
func Postgres(settings ...string) Product {
	const data = "/var/lib/postgresql/data"
	flags := postgresSettings
	if len(settings) > 0 {
		flags = make([]string, 0, 2*len(settings))
		for _, setting := range settings {
			flags = append(flags, "-c", setting)
		}
	}
	return Product{
		Name: "postgres", Variable: "NECROSTACK_POSTGRES",
		DSN: func(addr, password string) string {
			dsn := url.URL{
				Scheme: "postgres", User: url.UserPassword("postgres", password), Host: addr, Path: "/postgres",
				RawQuery: "sslmode=disable",
			}
			return dsn.String()
		},
		Addr:   addrPostgres,
		Ping:   pingPostgres,
		Create: createPostgres,
		Drop: func(ctx context.Context, dsn, name string) error {
			return execPostgres(ctx, dsn, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
		},
		Dump: func(dsn string) []string { return []string{"pg_dump", "--dbname=" + dsn} },
		Restore: func(dsn string) []string {
			return []string{"psql", "--no-psqlrc", "--quiet", "--output=/dev/null", "--set=ON_ERROR_STOP=1", "--dbname=" + dsn}
		},
		Container: Container{
			Image: "postgres:17", Own: "localhost/necrostack-postgres:17",
			Root: images.Root{
				Suite: "trixie", Packages: []string{"postgresql-17"}, User: "postgres", Data: data,
				Entrypoint: "postgres.sh",
			},
			Port: "5432/tcp",
			Env: func(password string) map[string]string {
				return map[string]string{
					"POSTGRES_PASSWORD":    password,
					"POSTGRES_INITDB_ARGS": "--encoding=UTF8 --locale=C.UTF-8 --no-sync",
				}
			},
			Command: append([]string{"postgres"}, flags...),
		},
		Process: Process{
			Programs: []string{"postgres", "initdb"},
			Dirs:     []string{"/usr/lib/postgresql/*/bin"},
			Asked:    [][]string{{"pg_config", "--bindir"}},
			Packages: []string{"postgresql"},
			User:     "postgres",
			Init: func(data, passwordFile string) []string {
				return []string{
					"initdb", "-D", data, "--username=postgres", "--auth=scram-sha-256", "--pwfile=" + passwordFile,
					"--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
				}
			},
			Serve: func(data, port string) []string {
				serve := []string{
					"postgres", "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
				}
				return append(serve, flags...)
			},
		},
	}
}

func addrPostgres(dsn string) (string, error) {
	config, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return "", err
	}
	_, addr := pgconn.NetworkAddress(config.Host, config.Port)
	return addr, nil
}

func pingPostgres(ctx context.Context, dsn string) error {
	return execPostgres(ctx, dsn, "SELECT 1")
}

func createPostgres(ctx context.Context, dsn, name string) (string, error) {
	const as = " TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'"
	if err := execPostgres(ctx, dsn, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+as); err != nil {
		return "", err
	}
	return withDatabase(dsn, name)
}

// execPostgres runs one statement on a connection of its own.
func execPostgres(ctx context.Context, dsn, statement string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // the statement's outcome is known by then
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}
