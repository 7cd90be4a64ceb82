package eventstore

import (
	"context"
	"fmt"
)

// Prepare returns c as the store would hand it to its backend: checked, completed with what ctx says of its origin, and
// with queries that select old schemas, too. It is for backends that take commits another way, such as in a transaction
// of the caller's own. The result shares no memory with c.
func (s *Store) Prepare(ctx context.Context, c Commit) (Commit, error) {
	c = c.clone()
	err := s.prepare(ctx, &c, false)
	return c, err
}

// prepare is Prepare in place. Payloads that were encoded just now need not be looked at again.
func (s *Store) prepare(ctx context.Context, c *Commit, encoded bool) error {
	if s.fault != nil {
		return s.fault
	}
	if s.closed.Load() {
		return fmt.Errorf("commit: %w", ErrClosed)
	}
	c.complete(MetadataFrom(ctx))
	if err := s.cfg.validate(c, encoded && s.cfg.Codec == Codec(jsonCodec{})); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	for i := range c.Unless {
		c.Unless[i].Query = s.upcasts.expand(c.Unless[i].Query)
	}
	return nil
}

// NewAppend encodes payloads for one stream, each with a new id unless it is a Draft with one.
func (s *Store) NewAppend(to Stream, expect Expected, payloads ...Payload) (Append, error) {
	a := Append{Stream: to, Expect: expect, Events: make([]Event, len(payloads))}
	for i, p := range payloads {
		e := &a.Events[i]
		if err := s.encode(p, e); err != nil {
			return Append{}, err
		}
		if e.Stream != "" && e.Stream != to {
			return Append{}, fmt.Errorf("append to %s: %w", to, invalid("event", "%s is directed to %s", e.Type, e.Stream))
		}
	}
	return a, nil
}
