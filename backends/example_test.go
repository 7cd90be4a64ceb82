package backends_test

import (
	"context"
	"fmt"

	"github.com/necrostack/necrostack/backends"
	"github.com/necrostack/necrostack/eventstore"
)

func ExampleOpen() {
	ctx := context.Background()
	store, err := backends.Open(ctx, "memory:", eventstore.Config{}) // or what a flag says: "postgres://user@host/database"
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = store.Close() }()
	r, err := store.Append(ctx, "s-1", eventstore.NoStream, happened{})
	fmt.Println("position", r.Position, err)

	_, err = backends.Open(ctx, "mysql://localhost", eventstore.Config{})
	fmt.Println(err)
	// Output:
	// position 1 <nil>
	// open store: DSN has scheme "mysql": it has to begin with memory:, postgres://, postgresql://, redis:// or rediss://
}
