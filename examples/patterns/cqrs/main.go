// Command cqrs books seats: one model decides, others answer questions.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/google/uuid"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func main() {
	ctx := context.Background()
	if err := errors.Join(ask(ctx), standBy(ctx)); err != nil {
		log.Fatal(err)
	}
}

// ask books seats, and reads what came of it while the organs run.
func ask(ctx context.Context) error {
	store := memory.Open(memory.Config{})
	sp, err := spine.New(store, spine.Config{}, Shows, Guests)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		defer stop() // nobody waits for organs that do not run
		ended <- sp.Run(ctx)
	}()
	for _, c := range []Book{{"hamlet", "A1", "ann"}, {"macbeth", "C3", "ann"}, {"hamlet", "A1", "bob"}} {
		points, err := BookAndCount(ctx, sp, c)
		fmt.Printf("%s has %d points, %v\n", c.Guest, points, err)
	}
	seats, err := TicketsOf(ctx, store, "ann")
	fmt.Printf("ann has %q, %v\n", seats, err)
	stop()
	return <-ended
}

// standBy lets a seat become free, and the command to book it travel through the log.
func standBy(ctx context.Context) error {
	store := memory.Open(memory.Config{})
	sp, err := spine.New(store, spine.Config{}, Shows, Standby("bob"))
	if err != nil {
		return err
	}
	release := spine.WithID(uuid.MustParse("0198a000-0000-7000-8000-000000000001"), Release{"hamlet", "A1"})
	for _, c := range []spine.Command{Book{"hamlet", "A1", "ann"}, release, release} { // the second time, it is only answered
		if _, err := sp.Send(ctx, c); err != nil {
			return err
		}
	}
	if _, err := sp.Drain(ctx); err != nil {
		return err
	}
	for e, err := range store.Read(ctx, eventstore.All(), eventstore.Range{}) {
		fmt.Println(e.Position, e.Stream.Category(), e.Type, string(e.Data), err)
	}
	return nil
}
