package gateway_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/necrostack/necrostack/examples/notifications/gateway"
	"github.com/necrostack/necrostack/examples/notifications/notification"
)

func TestAFolderHasAMessageOnceWhoeverHandsItOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var again atomic.Int64
	var all sync.WaitGroup
	for range 10 { // gateways that know nothing of each other, as in processes of their own
		f := &gateway.Folder{
			Next: &gateway.Push{}, Dir: dir, Channel: notification.Push, Again: func(notification.Message) { again.Add(1) },
		}
		all.Go(func() {
			if err := f.Send(t.Context(), first, notification.Message{To: "device-1", Text: "hi"}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 || again.Load() != 9 {
		t.Fatalf("files %v, %v, and told of %d that were there already, want 9", files, err, again.Load())
	}
	text, err := os.ReadFile(filepath.Join(dir, "push-"+first.String()+".txt"))
	if err != nil || !strings.HasPrefix(string(text), "To: device-1\n") || !strings.HasSuffix(string(text), "\n\nhi\n") {
		t.Errorf("%q, %v", text, err)
	}
}

func TestAFolderTakesNothingThatItsGatewayDoesNotTake(t *testing.T) {
	t.Parallel()
	f := &gateway.Folder{Next: &gateway.Mailer{}, Dir: t.TempDir(), Channel: notification.Email}
	if err := f.Send(t.Context(), first, notification.Message{}); !errors.Is(err, gateway.ErrBusy) {
		t.Errorf("got %v", err)
	}
	if files, err := os.ReadDir(f.Dir); len(files) > 0 || err != nil {
		t.Errorf("files %v, %v", files, err)
	}
	f.Dir = filepath.Join(f.Dir, "missing")
	if err := f.Send(t.Context(), first, notification.Message{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a directory: %v", err)
	}
}

func TestASlowGatewayHasTheMessageHalfOfItsTimeBeforeItAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p gateway.Push
		s := &gateway.Slow{Next: &p, Time: time.Second}
		answered := make(chan error, 1)
		go func() { answered <- s.Send(t.Context(), first, notification.Message{}) }()
		time.Sleep(time.Second / 4)
		before := len(p.Sent())
		time.Sleep(time.Second / 2)
		select {
		case err := <-answered:
			t.Errorf("answered in less than its time: %v", err)
		default:
		}
		if after := len(p.Sent()); before != 0 || after != 1 {
			t.Errorf("%d messages after a quarter of the time, %d after three", before, after)
		}
		if err := <-answered; err != nil {
			t.Error(err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Send(ended, second, notification.Message{}); !errors.Is(err, context.Canceled) || len(p.Sent()) != 1 {
			t.Errorf("when it is to end: %v, %d messages", err, len(p.Sent()))
		}
	})
}
