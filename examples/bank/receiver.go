package main

import (
	"context"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

// receivers refuses transfers to accounts that were never opened. The sender's stream, of which the decision is made, does
// not tell; and as no account is ever closed, it does not matter that this look at the other one comes earlier.
func receivers(st *eventstore.Store) spine.Middleware {
	return func(next spine.Decide) spine.Decide {
		return func(ctx context.Context, in spine.Request) (spine.Output, error) {
			if in.Command.CommandType() != (Transfer{}).CommandType() {
				return next(ctx, in)
			}
			c, err := spine.Receive[Transfer](in)
			if err != nil {
				return spine.Output{}, err
			}
			to := eventstore.InStream(eventstore.StreamOf(category, c.To))
			for _, err := range st.Read(ctx, to, eventstore.Range{Limit: 1}) {
				if err != nil {
					return spine.Output{}, err
				}
				return next(ctx, in)
			}
			return spine.Output{}, spine.Reject(in, errNoAccount)
		}
	}
}
