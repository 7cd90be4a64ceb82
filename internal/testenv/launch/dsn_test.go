package launch_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/necrostack/necrostack/internal/testenv/launch"
)

func TestADSNKeepsAllButWhatIsRewritten(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		"postgres://ada:s%23cret@db.example:5433/main?sslmode=disable&application_name=a",
		"postgresql://ada:s%23cret@/main?host=db.example&port=5433&sslmode=disable&application_name=a",
		"host=db.example port=5433 user=ada password='s#cret' dbname=main sslmode=disable application_name=a",
	} {
		redirected, err := launch.Redirect(dsn, "127.0.0.1:20001")
		if err != nil {
			t.Fatal(err)
		}
		renamed, err := launch.WithDatabase(redirected, `it's "new"/\`)
		if err != nil {
			t.Fatal(err)
		}
		got, err := pgx.ParseConfig(renamed)
		if err != nil {
			t.Fatalf("%s: %v", renamed, err)
		}
		if got.Host != "127.0.0.1" || got.Port != 20001 || got.Database != `it's "new"/\` {
			t.Errorf("%s leads to %s:%d %s", renamed, got.Host, got.Port, got.Database)
		}
		if got.User != "ada" || got.Password != "s#cret" || got.TLSConfig != nil || got.RuntimeParams["application_name"] != "a" {
			t.Errorf("%s lost something of %s", renamed, dsn)
		}
	}
}

func TestADSNOfRedisNamesALog(t *testing.T) {
	t.Parallel()
	for dsn, addr := range map[string]string{
		"redis://ada:s%23cret@db.example:6380/3?pool_size=7":        "db.example:6380",
		"rediss://ada:s%23cret@db.example/3?pool_size=7&log=former": "db.example:6379",
	} {
		product := launch.Redis()
		if got, err := product.Addr(dsn); err != nil || got != addr {
			t.Errorf("%s leads to %s, %v, want %s", dsn, got, err, addr)
		}
		named, err := product.Create(t.Context(), dsn, "t_1")
		if err != nil || !strings.HasSuffix(named, "?log=t_1&pool_size=7") {
			t.Fatalf("%s, %v: want the log t_1", named, err)
		}
		named, err = launch.Redirect(named, "127.0.0.1:20001")
		if err != nil {
			t.Fatal(err)
		}
		got, err := launch.RedisOptions(named)
		if err != nil {
			t.Fatal(err)
		}
		if got.Addr != "127.0.0.1:20001" || got.Username != "ada" || got.Password != "s#cret" || got.DB != 3 || got.PoolSize != 7 {
			t.Errorf("%s leads to %s, database %d, for %s, by %d connections", named, got.Addr, got.DB, got.Username, got.PoolSize)
		}
		if secure := strings.HasPrefix(dsn, "rediss:"); secure != (got.TLSConfig != nil) {
			t.Errorf("%s: TLS is %t", dsn, !secure)
		}
	}
	product := launch.Redis()
	for _, dsn := range []string{"redis://ada:secret@%zz/", "postgres://ada:secret@db.example/"} {
		if _, err := product.Addr(dsn); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("error %v, want one without the password", err)
		}
	}
}

func TestABadDSNIsRefusedWithoutItsPassword(t *testing.T) {
	t.Parallel()
	_, err := launch.Redirect("postgres://ada:secret@%zz/", "127.0.0.1:20001")
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v, want one without the password", err)
	}
	if _, err := launch.Redirect("postgres://db.example/", "no address"); err == nil {
		t.Error("an address without a port was taken")
	}
}
