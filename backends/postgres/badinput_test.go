package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/internal/testenv"
	"github.com/necrostack/necrostack/migrations"
)

// opens tries to open a log and returns what was said: the error and the log.
func opens(t *testing.T, dsn string, cfg postgres.Config) (said string, err error) {
	t.Helper()
	var log bytes.Buffer
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	st, err := postgres.Open(t.Context(), dsn, cfg)
	if err == nil {
		return log.String(), st.Close()
	}
	return log.String() + err.Error(), err
}

func TestADSNThatCannotBeReadIsNotQuoted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ dsn, says string }{
		"open bracket":          {"postgres://user:hunter2@[", "failed to parse as URL"},
		"slash in the password": {"postgres://user:hun/ter2@db/x", "the DSN"},
		"percent":               {"postgres://user:hunter2%@db/x", "failed to parse as URL"},
		"as a parameter":        {"postgres://db:port/x?password=hunter2", "invalid port"},
		"open quote":            {"host=db password='hunter2", "failed to parse as keyword/value"},
		"spaces around =":       {"password = hunter2 host", "failed to parse as keyword/value"},
		"no keywords":           {"hunter2", "failed to parse as keyword/value"},
		"another scheme":        {"mysql://user:hunter2@db/x", "failed to parse as keyword/value"},
		"NUL":                   {"password=hunter2 host=\x00", "failed to parse as keyword/value"},
		"sslmode":               {"postgres://user:hunter2@db/x?sslmode=sometimes", "TLS"},
		"timeout":               {"postgres://user:hunter2@db/x?connect_timeout=soon", "invalid connect_timeout"},
		"pool":                  {"postgres://user:hunter2@db/x?pool_max_conns=many", "pool_max_conns"},
	} {
		said, err := opens(t, c.dsn, postgres.Config{})
		if err == nil || !strings.Contains(said, "open postgres: ") || !strings.Contains(said, c.says) {
			t.Errorf("%s: %s, want %q", name, said, c.says)
		}
		if strings.Contains(said, "ter2") {
			t.Errorf("%s: the password is in %s", name, said)
		}
	}
}

func TestAWrongPasswordIsNeverEchoed(t *testing.T) {
	t.Parallel()
	good, err := pgx.ParseConfig(testenv.Postgres(t).Database(t))
	if err != nil {
		t.Fatal(err)
	}
	const secret = `hün/ter2 #%'\`
	address, port := addressOf(good), strconv.Itoa(int(good.Port))
	quoted := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(secret)
	for name, dsn := range map[string]string{
		"URL":       (&url.URL{Scheme: "postgres", User: url.UserPassword("postgres", secret), Host: address, Path: good.Database}).String(),
		"parameter": "postgres://postgres@" + address + "/" + good.Database + "?password=" + url.QueryEscape(secret),
		"keywords":  "host=" + good.Host + " port=" + port + " user=postgres dbname=" + good.Database + " password='" + quoted + "'",
	} {
		said, err := opens(t, dsn, postgres.Config{})
		if err == nil || !strings.Contains(said, "password authentication failed") || !strings.Contains(said, good.Host) {
			t.Errorf("%s: %s, want that the password is wrong", name, said)
		}
		for _, form := range []string{secret, quoted, url.QueryEscape(secret), url.PathEscape(secret), "ter2"} {
			if strings.Contains(said, form) {
				t.Errorf("%s: the password is in %s", name, said)
			}
		}
	}
}

// addressOf returns where a configuration leads.
func addressOf(cfg *pgx.ConnConfig) string {
	return net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))
}

// It sets the environment, and so runs alone.
func TestAWrongPasswordOfTheEnvironmentIsNeverEchoed(t *testing.T) {
	good, err := pgx.ParseConfig(testenv.Postgres(t).Database(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PGPASSWORD", "hunter2")
	said, err := opens(t, "postgres://postgres@"+addressOf(good)+"/"+good.Database, postgres.Config{})
	if err == nil || !strings.Contains(said, "password authentication failed") || strings.Contains(said, "hunter2") {
		t.Errorf("%s, want that the password is wrong", said)
	}
}

func TestAServerThatIsNotThereIsAnErrorWithinABoundedTime(t *testing.T) {
	t.Parallel()
	silent := serveNothing(t)
	for name, c := range map[string]struct {
		dsn, says string
	}{
		"unknown host":      {"postgres://u:hunter2@no-such-host.invalid/x?connect_timeout=3", "no-such-host.invalid"},
		"nobody listens":    {"postgres://u:hunter2@127.0.0.1:1/x?sslmode=disable", "6 attempts"},
		"nobody listens, 2": {"postgres://u:hunter2@127.0.0.1:1/x?sslmode=disable", "127.0.0.1:1"},
		"silence":           {"postgres://u:hunter2@" + silent + "/x?sslmode=disable&connect_timeout=1", silent},
		"silence to TLS":    {"postgres://u:hunter2@" + silent + "/x?connect_timeout=1", silent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			said, err := opens(t, c.dsn, postgres.Config{})
			if err == nil || !strings.Contains(said, "open postgres: ") || !strings.Contains(said, c.says) || strings.Contains(said, "hunter2") {
				t.Errorf("%s, want %q", said, c.says)
			}
			if took := time.Since(begun); took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := postgres.Open(ctx, "postgres://u@127.0.0.1:1/x?sslmode=disable", postgres.Config{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v, want the context's", err)
	}
}

func TestAServerThatIsThereAMomentLaterIsMet(t *testing.T) {
	t.Parallel()
	server := testenv.Postgres(t)
	proxy := testenv.NewProxy(t, server.Addr())
	dsn := proxy.DSN(t, server.Database(t))
	proxy.Cut()
	late := time.AfterFunc(500*time.Millisecond, func() { proxy.Restore(t) })
	defer late.Stop()
	if said, err := opens(t, dsn, postgres.Config{}); err != nil {
		t.Error(said)
	}
}

func TestASchemaThatDoesNotFitIsAnErrorThatNamesBothVersions(t *testing.T) {
	t.Parallel()
	dsn := testenv.Postgres(t).Database(t)
	conn := connection(t, dsn)
	manual := postgres.Config{ManualMigration: true}
	if said, _ := opens(t, dsn, manual); !strings.Contains(said, `schema "necrostack" is of version 0, and this program needs`) {
		t.Errorf("missing: %s", said)
	}
	if err := migrations.Up(t.Context(), conn.Config(), "necrostack"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		change string
		manual bool
		says   string
		is     error
	}{
		{"version = version - 1", true, "migrate it first", nil},
		{"version = version + 2", true, "upgrade the program", migrations.ErrNewer},
		{"version = version", false, "upgrade the program", migrations.ErrNewer},
		{"version = version - 1, dirty = true", true, "has failed half-way", migrations.ErrDirty},
		{"dirty = true", false, "has failed half-way", migrations.ErrDirty},
	} {
		execute(t, conn, "UPDATE necrostack.schema_migrations SET "+c.change)
		said, err := opens(t, dsn, postgres.Config{ManualMigration: c.manual})
		if err == nil || !strings.Contains(said, c.says) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %s, want %q", c.change, said, c.says)
		}
	}
}

// serveNothing listens and never answers.
func serveNothing(t *testing.T) string {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String() // the kernel accepts, and nobody reads
}
