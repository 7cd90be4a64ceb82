package postgres_test

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"

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
	disk := server.SmallDisk(t)
	// A part of the disk is taken, so that it can be given back.
	server.Shell(t, "mkdir "+disk+"/data && chmod 700 "+disk+"/data && head -c 16000000 /dev/zero >"+disk+"/taken")
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
	server.Shell(t, "rm "+disk+"/taken")
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

// noise is text that does not compress.
func noise() string {
	var b strings.Builder
	for b.Len() < 30_000 {
		b.WriteString(rand.Text())
	}
	return b.String()
}
