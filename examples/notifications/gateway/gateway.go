// Package gateway stands for the world outside of the notifications example: a mail server that is busy at first, an SMS provider with
// a blocklist, and a push service, all in memory.
//
// Each takes a message under a key and delivers it once for that key, however often it is asked: so whoever is not sure that a message
// went out sends it again. All are safe for concurrent use.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/necrostack/necrostack/examples/notifications/notification"
)

// ErrBusy is why a message was not taken that may be taken the next time.
var ErrBusy = errors.New("server is busy, try again")

// ErrRefused is why a message will never be taken.
var ErrRefused = errors.New("refused for good")

// Mailer is a mail server that turns every message away once. The zero value works.
type Mailer struct{ outbox }

// Send delivers a message, but answers ErrBusy the first time that it is asked for a key.
func (m *Mailer) Send(_ context.Context, key uuid.UUID, msg notification.Message) error {
	return m.deliver(2, key, msg)
}

// SMS is an SMS provider that keeps a blocklist. The zero value blocks nobody.
type SMS struct {
	outbox

	blocked []string
}

// NewSMS makes an SMS provider that refuses these numbers.
func NewSMS(blocked ...string) *SMS { return &SMS{blocked: blocked} }

// Send delivers a message, or answers ErrRefused for a number on the blocklist.
func (s *SMS) Send(_ context.Context, key uuid.UUID, msg notification.Message) error {
	if slices.Contains(s.blocked, msg.To) {
		return fmt.Errorf("%w: the number is on the blocklist", ErrRefused)
	}
	return s.deliver(1, key, msg)
}

// Push is a push service. The zero value works.
type Push struct{ outbox }

// Send delivers a message.
func (p *Push) Send(_ context.Context, key uuid.UUID, msg notification.Message) error {
	return p.deliver(1, key, msg)
}

// outbox is what a gateway has delivered.
type outbox struct {
	mu       sync.Mutex
	attempts map[uuid.UUID]int
	sent     []notification.Message
}

// deliver delivers a message the n-th time that it is asked for its key, and never again.
func (o *outbox) deliver(n int, key uuid.UUID, msg notification.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.attempts == nil {
		o.attempts = map[uuid.UUID]int{}
	}
	o.attempts[key]++
	if o.attempts[key] < n {
		return ErrBusy
	}
	if o.attempts[key] == n {
		o.sent = append(o.sent, msg)
	}
	return nil
}

// Sent returns what was delivered, in order.
func (o *outbox) Sent() []notification.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.sent)
}
