package resume

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"github.com/necrostack/necrostack/spine"
)

// quiet is how long an Outage says nothing after it has said something.
const quiet = 10 * time.Second

// Hush keeps the driver of Redis from writing to standard error, in words of its own and again and again, that it cannot
// connect: an Outage says so once in a while, and an error when there is one. It is for the whole process.
func Hush() { logging.Disable() }

// Outage tells whoever waits for a program that its store does not answer: the Spine tries again for as long as it takes,
// and without a word that looks like a program that hangs. It is a spine.Observer.
type Outage struct {
	to   io.Writer
	name string

	mu   sync.Mutex
	last time.Time
}

// NewOutage makes an Outage that writes for a program of this name.
func NewOutage(to io.Writer, name string) *Outage { return &Outage{to: to, name: name} }

// Observe implements spine.Observer.
func (o *Outage) Observe(ctx context.Context, seen spine.Observation) context.Context {
	if seen.Step != spine.StoreFailed && seen.Step != spine.CommitFailed || ctx.Err() != nil {
		return ctx
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); o.last.IsZero() || now.Sub(o.last) >= quiet {
		o.last = now
		fmt.Fprintf(o.to, "%s: the store fails, and is tried again until it answers: %v\n", o.name, seen.Err)
	}
	return ctx
}
