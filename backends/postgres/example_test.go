package postgres_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/necrostack/necrostack/backends/postgres"
	"github.com/necrostack/necrostack/eventstore"
)

type OrderPlaced struct {
	Customer string `json:"customer"`
	Cents    int    `json:"cents"`
}

func (OrderPlaced) EventType() string { return "order placed" }

// A log needs nothing but the address of a database: its tables are made when it is opened first.
func ExampleOpen() {
	ctx := context.Background()
	store, err := postgres.Open(ctx, "postgres://app:secret@127.0.0.1/shop", postgres.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	r, err := store.Append(ctx, "order-42", eventstore.NoStream, OrderPlaced{"ann", 990})
	fmt.Println(r.Position, err)
}

// An event and a row of the caller's own stand together or not at all.
func ExampleAppendTx() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, "postgres://app:secret@127.0.0.1/shop")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	store, err := postgres.OpenPool(ctx, pool, postgres.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO invoices (customer, cents) VALUES ($1, $2)", "ann", 990); err != nil {
			return err
		}
		return postgres.AppendTx(ctx, tx, store, "order-42", eventstore.NoStream, OrderPlaced{"ann", 990})
	})
	if errors.Is(postgres.Refusal(err), eventstore.ErrConflict) {
		fmt.Println("order 42 was placed before")
	}
}
