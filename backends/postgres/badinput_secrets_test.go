package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

// leaks reports whether an error, or any that it wraps, shows three characters in a row of a secret.
func leaks(err error, secret string) bool {
	shown := everything(err)
	for i := 0; i+3 <= len(secret); i++ {
		if strings.Contains(shown, secret[i:i+3]) {
			return true
		}
	}
	return false
}

// pointer is an address in memory, whose digits mean nothing.
var pointer = regexp.MustCompile("0x[0-9a-f]+")

// everything is all that can be printed of an error.
func everything(err error) string {
	if err == nil {
		return ""
	}
	shown := pointer.ReplaceAllLiteralString(fmt.Sprintf("%v %+v %#v %q", err, err, err, err), "")
	if parse, is := errors.AsType[*pgconn.ParseConfigError](err); is {
		shown += parse.ConnString
	}
	switch inner := err.(type) { //nolint:errorlint // it walks along the errors itself
	case interface{ Unwrap() error }:
		shown += everything(inner.Unwrap())
	case interface{ Unwrap() []error }:
		for _, one := range inner.Unwrap() {
			shown += everything(one)
		}
	}
	return shown
}

// awkward are passwords that somebody has not escaped. No three characters in a row of these are part of anything else
// that an error says.
var awkward = []string{
	"QXW7JK", "QXW%7JK", "QXW%ZZJK", "%QXWJK%", "QXW@7JK", "QXW@ZJK", "@QXWJK@", "QXW JKV", " QXWJKV", "QXW/JKV", "77/QXWJKV", "QXW@JKV/ZVK",
	"77@QXW/JKV", "77?QXWJKV", "77#QXWJKV", "77#QX@WJKV", "QXW:JKV", "77:QXWJKV", "QXW[JKV", "QXW]JKV", "QXW`JKV",
	"QXW`:JKV", `QXW"JKV`, "QXW'JKV", "'QXW'JKV", `QXW\JKV`, `QXW\`, "QXW&JKV", "QXW=JKV", "QXW&JKV=ZVK", "QXW JKV=ZVK", "QXW\nJKV", "QXW\x00JKV", "QXW\xffJKV",
	"ÄÖQXWJKV", "QXW<JKV>", "QXW{JKV}|^",
}

// spellings are DSNs with a password, for the server at an address.
func spellings(address, password string) map[string]string {
	host, port, _ := strings.Cut(address, ":")
	keywords := fmt.Sprintf("host=%s port=%s dbname=postgres user=nobody sslmode=disable ", host, port)
	quoted := "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(password) + "'"
	return map[string]string{
		"URL":                    "postgres://nobody:" + password + "@" + address + "/postgres",
		"other scheme":           "postgresql://nobody:" + password + "@" + address + "/postgres",
		"scheme in capitals":     "PostgreSQL://nobody:" + password + "@" + address + "/postgres",
		"unknown scheme":         "mysql://nobody:" + password + "@" + address + "/postgres",
		"URL, escaped":           "postgres://" + url.UserPassword("nobody", password).String() + "@" + address + "/postgres",
		"URL, faulty setting":    "postgres://nobody:" + password + "@" + address + "/postgres?connect_timeout=x",
		"URL, faulty pool":       "postgres://nobody:" + password + "@" + address + "/postgres?pool_max_conns=x",
		"URL, faulty port":       "postgres://nobody:" + password + "@" + host + ":one/postgres",
		"URL, two hosts":         "postgres://nobody:" + password + "@" + address + "," + address + "/postgres",
		"URL, setting":           "postgres://nobody@" + address + "/postgres?password=" + password,
		"URL, escaped setting":   "postgres://nobody@" + address + "/postgres?password=" + url.QueryEscape(password) + "&connect_timeout=x",
		"keywords":               keywords + "password=" + password,
		"keywords, first":        "password=" + password + " " + keywords,
		"keywords, quoted":       keywords + "password=" + quoted,
		"keywords, half quoted":  keywords + "password='" + password,
		"keywords, faulty":       keywords + "password=" + password + " connect_timeout=x",
		"keywords, quoted, then": keywords + "password=" + quoted + " pool_max_conns=0",
	}
}

// The server is there and knows no such user, or there is none: the password never shows.
func TestNoErrorHoldsAnyPartOfAPasswordHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	server := testenv.Postgres(t)
	var all sync.WaitGroup
	for _, address := range []string{server.Addr(), "127.0.0.1:1"} {
		for _, password := range awkward {
			for what, dsn := range spellings(address, password) {
				all.Go(func() { // what is not refused is tried for seconds
					store, err := postgres.Open(t.Context(), dsn, postgres.Config{})
					if err == nil {
						t.Errorf("%s, %q: there is a store", what, password)
						_ = store.Close()
					} else if leaks(err, password) {
						t.Errorf("%s, %q: %v", what, password, err)
					}
				})
			}
		}
	}
	all.Wait()
}

// What comes before a / ? or # of a password would be taken for a port, and tried.
func TestAnAtThatIsNotTheOneBeforeTheHostIsRefusedBeforeAnythingIsConnectedTo(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		"postgres://user:54321/secret@127.0.0.1/db", "postgres://user:54321?secret@127.0.0.1/db", "postgresql://user:54321#secret@127.0.0.1/db",
		"postgres://user:se@cret@127.0.0.1/db", "postgres://user:se@cret/secret@127.0.0.1/db", "postgres://user@127.0.0.1/db?password=se@cret",
	} {
		_, err := postgres.Open(t.Context(), dsn, postgres.Config{})
		if !errors.Is(err, eventstore.ErrInvalid) || !strings.Contains(err.Error(), "write @ as %40") || leaks(err, "54321") {
			t.Errorf("%s: got %v, want an ErrInvalid that says how to write it", dsn, err)
		}
	}
}

// The same goes for calls on a store that is open: its server lets it in no more.
func TestNoErrorOfAnOpenStoreHoldsThePassword(t *testing.T) {
	t.Parallel()
	dsn, role, change := stranger(t, "QXW7JK")
	store, err := postgres.Open(t.Context(), dsn, postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	change("PASSWORD 'other'")
	change("NOLOGIN")
	admin := connection(t, testenv.Postgres(t).DSN())
	execute(t, admin, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = '"+role+"'")
	_, committed := store.Append(t.Context(), "s-1", eventstore.Any, happened{})
	_, read := store.Head(t.Context())
	h, checked := postgres.CheckHealth(t.Context(), store)
	for what, err := range map[string]error{"commit": committed, "read": read, "check": checked} {
		if err == nil || leaks(err, "QXW7JK") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if strings.Contains(fmt.Sprintf("%+v %#v", h, h), "QXW") {
		t.Errorf("the state of health has the password: %+v", h)
	}
}

// stranger makes a role with a password of its own and a database that it owns. It returns how to connect as that role,
// and what alters it.
func stranger(t *testing.T, password string) (dsn, role string, change func(string)) {
	t.Helper()
	server := testenv.Postgres(t)
	at, err := url.Parse(server.Database(t))
	if err != nil {
		t.Fatal("the server's DSN is no URL")
	}
	database := strings.TrimPrefix(at.Path, "/")
	role = "role_" + database[max(0, len(database)-26):]
	admin := connection(t, server.DSN())
	change = func(what string) {
		t.Helper()
		execute(t, admin, "ALTER ROLE "+pgx.Identifier{role}.Sanitize()+" "+what)
	}
	execute(t, admin, "CREATE ROLE "+role+" LOGIN PASSWORD '"+password+"'")
	execute(t, admin, "ALTER DATABASE "+database+" OWNER TO "+role)
	t.Cleanup(func() { // before the database goes
		ctx := context.WithoutCancel(t.Context())
		conn, err := pgx.Connect(ctx, server.DSN())
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close(ctx)
		for _, text := range []string{"DROP DATABASE " + database + " WITH (FORCE)", "CREATE DATABASE " + database, "DROP ROLE " + role} {
			if _, err := conn.Exec(ctx, text); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
	})
	at.User = url.UserPassword(role, password)
	return at.String(), role, change
}

// What follows a & that was not escaped is the name of a setting, which the server quotes to whoever it has let in.
func TestTheNameOfAnUnknownSettingIsNotRepeated(t *testing.T) {
	t.Parallel()
	dsn, _, _ := stranger(t, "secret")
	_, err := postgres.Open(t.Context(), dsn+"&QXWJKV=1", postgres.Config{})
	if !errors.Is(err, eventstore.ErrInvalid) || leaks(err, "QXWJKV") {
		t.Errorf("got %v, want an ErrInvalid without the name", err)
	}
}
