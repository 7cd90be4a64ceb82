package redis

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/necrostack/necrostack/eventstore"
)

// Consumers implements eventstore.Controller.
func (b *Backend) Consumers(ctx context.Context) (all []eventstore.Consumer, err error) {
	reply, err := b.run(ctx, consumersScript)
	if err != nil {
		return nil, classify(err)
	}
	var r reader
	for _, c := range reply {
		said := r.list(c)
		all = append(all, r.consumer(r.text(r.item(said, 0)), r.item(said, 1), r.item(said, 2)))
	}
	slices.SortFunc(all, func(x, y eventstore.Consumer) int { return cmp.Compare(x.Name, y.Name) })
	return all, r.err
}

// Pause implements eventstore.Controller.
func (b *Backend) Pause(ctx context.Context, consumer string, paused bool) error {
	return b.known(ctx, pauseScript, consumer, paused)
}

// Reset implements eventstore.Controller.
func (b *Backend) Reset(ctx context.Context, consumer string, to eventstore.Position) error {
	if err := b.tell(ctx); err != nil {
		return err
	}
	return b.known(ctx, resetScript, consumer, int64(to))
}

// known runs a script about a consumer, which returns 0 if there is none, and 2 if its rows do not allow it.
func (b *Backend) known(ctx context.Context, s *script, consumer string, about any) error {
	reply, err := b.control(ctx, s, consumer, about)
	if err != nil {
		return err
	}
	var r reader
	switch r.int(r.item(reply, 0)) {
	case 0:
		if r.err == nil {
			return unheard(consumer)
		}
	case 2:
		return &eventstore.InvalidError{Field: "position", Reason: fmt.Sprintf("%v: rows of a view begin anew at 0", about)}
	}
	return r.err
}
