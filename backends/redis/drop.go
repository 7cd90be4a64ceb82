package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// literal takes the meaning from the special characters of a pattern.
var literal = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`)

// drop removes all keys of what is kept beside a log, what says so last.
func (b *Backend) drop(ctx context.Context) error {
	node, err := b.node(ctx)
	if err != nil {
		return err
	}
	meta := b.key("meta")
	kept, err := node.HGet(ctx, meta, "format").Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	if kept != "" && kept != formatBeside {
		return fmt.Errorf("it is a log, of format %s", kept)
	}
	for cursor := uint64(0); ; {
		keys, next, err := node.Scan(ctx, cursor, literal.Replace(b.prefix)+"*", 1000).Result()
		if err != nil {
			return err
		}
		for _, k := range keys {
			if k == meta {
				continue
			}
			if err := node.Unlink(ctx, k).Err(); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return node.Unlink(ctx, meta).Err()
		}
	}
}
