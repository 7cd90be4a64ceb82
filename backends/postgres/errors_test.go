package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/necrostack/necrostack/eventstore"
)

// What an error means, in one word.
func meaning(err error) string {
	switch {
	case err == nil:
		return "none"
	case errors.Is(err, eventstore.ErrOutcomeUnknown):
		return "unknown"
	case errors.Is(err, eventstore.ErrRefused):
		return "refused"
	case eventstore.IsRetryable(err):
		return "retryable"
	default:
		return "permanent"
	}
}

func TestErrorsAreClassifiedByWhatTheyMean(t *testing.T) {
	t.Parallel()
	answer := func(severity, code string) error {
		return fmt.Errorf("call: %w", &pgconn.PgError{Severity: severity, Code: code, Message: "cached plan must not change result type"})
	}
	for name, c := range map[string]struct {
		err         error
		read, write string
	}{
		"nothing":                   {nil, "none", "none"},
		"serialization failure":     {answer("ERROR", "40001"), "retryable", "retryable"},
		"deadlock":                  {answer("ERROR", "40P01"), "retryable", "retryable"},
		"completion unknown":        {answer("ERROR", "40003"), "retryable", "unknown"},
		"lock not available":        {answer("ERROR", "55P03"), "retryable", "retryable"},
		"object in use":             {answer("ERROR", "55006"), "retryable", "retryable"},
		"disk full":                 {answer("ERROR", "53100"), "retryable", "retryable"},
		"out of memory":             {answer("ERROR", "53200"), "retryable", "retryable"},
		"too many connections":      {answer("FATAL", "53300"), "retryable", "unknown"},
		"input/output error":        {answer("ERROR", "58030"), "retryable", "retryable"},
		"statement timeout":         {answer("ERROR", "57014"), "retryable", "retryable"},
		"admin shutdown":            {answer("FATAL", "57P01"), "retryable", "unknown"},
		"crash shutdown":            {answer("FATAL", "57P02"), "retryable", "unknown"},
		"database dropped":          {answer("FATAL", "57P04"), "permanent", "unknown"},
		"idle in transaction":       {answer("FATAL", "25P03"), "retryable", "unknown"},
		"transaction timeout":       {answer("FATAL", "25P04"), "retryable", "unknown"},
		"read-only":                 {answer("ERROR", "25006"), "retryable", "retryable"},
		"connection failure":        {answer("ERROR", "08006"), "retryable", "unknown"},
		"data":                      {answer("ERROR", "22P05"), "refused", "refused"},
		"constraint":                {answer("ERROR", "23505"), "refused", "refused"},
		"limit":                     {answer("ERROR", "54000"), "refused", "refused"},
		"stale plan":                {answer("ERROR", "0A000"), "retryable", "retryable"},
		"no right":                  {answer("ERROR", "42501"), "permanent", "permanent"},
		"no table":                  {answer("ERROR", "42P01"), "permanent", "permanent"},
		"no schema":                 {answer("ERROR", "3F000"), "permanent", "permanent"},
		"wrong password":            {answer("ERROR", "28P01"), "permanent", "permanent"},
		"internal":                  {answer("ERROR", "XX000"), "permanent", "permanent"},
		"damaged":                   {answer("ERROR", "XX001"), "permanent", "permanent"},
		"no code":                   {answer("ERROR", ""), "permanent", "permanent"},
		"end of connection":         {io.ErrUnexpectedEOF, "retryable", "unknown"},
		"reset":                     {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, "retryable", "unknown"},
		"closed before":             {pgconn.ErrConnClosed, "retryable", "unknown"},
		"temporary failure of DNS":  {&net.DNSError{Err: "server misbehaving", IsTemporary: true}, "retryable", "unknown"},
		"no such host":              {&net.DNSError{Err: "no such host", IsNotFound: true}, "permanent", "unknown"},
		"caller left":               {context.Canceled, "permanent", "unknown"},
		"caller's time is up":       {context.DeadlineExceeded, "retryable", "unknown"},
		"not a text of this server": {errFormat, "permanent", "unknown"},
	} {
		if got := meaning(classify(c.err)); got != c.read {
			t.Errorf("%s: a read is %s, want %s", name, got, c.read)
		}
		if got := meaning(outcome(c.err)); got != c.write {
			t.Errorf("%s: a write is %s, want %s", name, got, c.write)
		}
		if c.err != nil && (!errors.Is(classify(c.err), c.err) || !errors.Is(outcome(c.err), c.err)) {
			t.Errorf("%s: the cause is lost", name)
		}
	}
}

func TestErrorsSayTheirCauseOnceAndWhatToDo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ code, want string }{
		{"42501", "docs/postgres-operations.md"},
		{"25006", "standby"},
		{"42P01", "is the schema migrated?"},
		{"26000", "PgBouncer"},
		{"22P05", "refused by the server"},
	} {
		err := outcome(&pgconn.PgError{Severity: "ERROR", Code: c.code, Message: "the cause"}).Error()
		if strings.Count(err, "the cause") != 1 || !strings.Contains(err, c.want) || strings.Contains(err, "\n") {
			t.Errorf("%s: %q, want the cause once, and %q", c.code, err, c.want)
		}
	}
	lost := (&eventstore.OutcomeUnknownError{Err: outcome(io.ErrUnexpectedEOF)}).Error()
	if strings.Count(lost, "unknown") != 1 || strings.Count(lost, "unexpected EOF") != 1 {
		t.Errorf("%q says something twice", lost)
	}
}

func TestAServerOlderThan15IsRefused(t *testing.T) {
	t.Parallel()
	old := server{address: "db:5432", version: "14.20 (Debian)", number: 140020}
	if err := old.fit(); err == nil || !strings.Contains(err.Error(), "PostgreSQL 14.20 (Debian)") || !strings.Contains(err.Error(), "db:5432") {
		t.Errorf("error is %v, want which server is too old", err)
	}
	if err := (server{number: 150000}).fit(); err != nil {
		t.Errorf("15.0: %v", err)
	}
}
