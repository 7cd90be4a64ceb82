// Command sourcing keeps gift cards as what has happened to them.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/spine"
)

func main() {
	ctx, store := context.Background(), memory.Open(memory.Config{})
	sp, err := spine.New(store, spine.Config{}, Cards)
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range []spine.Command{TopUp{"c1", 50}, Redeem{"c1", 30}, Redeem{"c1", 30}} {
		r, err := sp.Send(ctx, c)
		fmt.Println(r.Position, err)
	}
	now, version, err := Cards.Load(ctx, store, "c1")
	fmt.Println("now", now, "at version", version, err)
	then, err := At(ctx, store, "c1", 1)
	fmt.Println("then", then, err)
}
