package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/spine"
)

// visit is what a customer wants.
type visit struct {
	what string
	spine.Command
}

func visits() []visit {
	return []visit{
		{"ann opens an account", Open{"ann", "Ann"}},
		{"bob opens an account", Open{"bob", "Bob"}},
		{"bob opens another one by that name", Open{"bob", "Bob"}},
		{"ann deposits 500.00", Deposit{"ann", 500_00}},
		{"ann transfers 120.50 to bob", Transfer{"ann", "bob", 120_50}},
		{"ann transfers 1.00 to nobody", Transfer{"ann", "nobody", 1_00}},
		{"bob withdraws 1000.00", Withdraw{"bob", 1000_00}},
		{"bob withdraws 20.00", Withdraw{"bob", 20_00}},
	}
}

// serve serves the customers, one after the other. Each wish has an id of its own, so whoever comes again with it, after the
// program was killed, gets the answer there was.
func (b *bank) serve(ctx context.Context, sp *spine.Spine) error {
	b.page.line("At the counter")
	var last spine.Command
	var written eventstore.Position
	for i, v := range visits() {
		id := uuid.NewSHA1(uuid.NameSpaceURL, fmt.Appendf(nil, "necrostack/examples/bank/visit/%d", i))
		r, err := sp.Send(ctx, spine.WithID(id, v.Command))
		refused, is := errors.AsType[*spine.RejectedError](err)
		switch {
		case is:
			b.page.line("  %-36s refused: %v", v.what, refused.Err)
			continue
		case err != nil:
			return err
		}
		b.page.line("  %-36s done", v.what)
		last, written = v.Command, r.Position
	}
	id := last.StreamID()
	row, err := balances.Rows(b.store).Get(ctx, id, projections.AtLeast(written)) // what was just written is in it
	if err != nil {
		return err
	}
	b.page.line("  %-36s %s after %d movements", id+" looks at the account", money(row.Cents), row.Movements)
	b.page.line("")
	return nil
}
