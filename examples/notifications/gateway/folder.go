package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/necrostack/necrostack/examples/notifications/notification"
)

// Sender is what a gateway does.
type Sender interface {
	Send(ctx context.Context, key uuid.UUID, m notification.Message) error
}

// Folder is a gateway that several processes have in common: what Next takes becomes a file of a directory, named after the channel and
// the key. So a message is there once, whoever hands it over, and however often.
type Folder struct {
	Next    Sender
	Dir     string // which exists
	Channel notification.Channel
	Again   func(m notification.Message) // is told of a message that was there already
}

// Send delivers a message.
func (f *Folder) Send(ctx context.Context, key uuid.UUID, m notification.Message) error {
	if err := f.Next.Send(ctx, key, m); err != nil {
		return err
	}
	there, err := f.put(fmt.Sprintf("%s-%s.txt", f.Channel, key), m)
	if there && err == nil {
		f.Again(m)
	}
	return err
}

// put makes the file, whole or not at all, and reports whether it was there.
func (f *Folder) put(name string, m notification.Message) (there bool, err error) {
	draft, err := os.CreateTemp(f.Dir, ".draft-*") // stays behind if the process ends right now
	if err != nil {
		return false, fmt.Errorf("deliver: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(draft.Name())) }()
	_, err = fmt.Fprintf(draft, "To: %s\nFor: request %s\nBy: process %d\n\n%s\n", m.To, m.RequestID, os.Getpid(), m.Text)
	if err = errors.Join(err, draft.Close()); err != nil {
		return false, fmt.Errorf("deliver: %w", err)
	}
	err = os.Link(draft.Name(), filepath.Join(f.Dir, name)) // fails if there is such a file
	if errors.Is(err, fs.ErrExist) {
		return true, nil
	}
	return false, err
}

// Slow is a gateway that takes its time: half of it until Next has the message, and half until it answers.
type Slow struct {
	Next Sender
	Time time.Duration
}

// Send delivers a message, and answers.
func (s *Slow) Send(ctx context.Context, key uuid.UUID, m notification.Message) error {
	if err := s.pause(ctx); err != nil {
		return err
	}
	if err := s.Next.Send(ctx, key, m); err != nil {
		return err
	}
	return s.pause(ctx)
}

func (s *Slow) pause(ctx context.Context) error {
	select {
	case <-time.After(s.Time / 2):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
