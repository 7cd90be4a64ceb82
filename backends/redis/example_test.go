package redis_test

import (
	"context"
	"fmt"

	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/backends/redis"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/projections"
	"github.com/necrostack/necrostack/spine"
)

type (
	Deposited struct{ Cents int64 }
	Balance   struct{ Cents int64 }
)

func (Deposited) EventType() string { return "deposited" }

// A log in PostgreSQL, and views of it in Redis. Events go into the log itself.
func ExampleOpenBeside() {
	balances := projections.View[Balance]{Name: "balances", On: projections.Folds[Balance]{
		projections.On(func(b *Balance, e Deposited) { b.Cents += e.Cents }),
	}}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	log, err := postgres.Open(ctx, "postgres://app:secret@127.0.0.1/shop", postgres.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer log.Close()
	views, err := redis.OpenBeside(ctx, log, "redis://app:secret@127.0.0.1/0?log=shop-views", redis.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer views.Close()
	sp, err := spine.New(views, spine.Config{}, balances)
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error, 1)
	go func() { ended <- sp.Run(ctx) }()
	defer func() {
		stop()
		fmt.Println(<-ended)
	}()

	r, err := log.Append(ctx, "account-ann", eventstore.Any, Deposited{500})
	if err != nil {
		fmt.Println(err)
		return
	}
	ann, err := balances.Rows(views).Get(ctx, "ann", projections.AtLeast(r.Position))
	fmt.Println(ann.Cents, err)
}
