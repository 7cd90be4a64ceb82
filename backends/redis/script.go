package redis

import (
	"context"
	"crypto/sha1" //nolint:gosec // it is how Redis names scripts
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// A script is one in Lua, with what it shares with others before it. Its first line has the server refuse it as a whole, and
// not in its middle, when it has no memory left, cannot write to its disk, or is a replica.
type script struct {
	alone, clustered text // on a server, and on a node of a cluster
	readOnly         bool
}

// text is what a script says, and how the server names it.
type text struct{ lua, sha string }

// newScript puts the files of a script together.
func newScript(readOnly bool, names ...string) *script {
	first := "#!lua\n"
	if readOnly {
		first = "#!lua flags=no-writes\n"
	}
	var rest strings.Builder
	rest.WriteString(part("base"))
	for _, name := range names {
		rest.WriteString(part(name))
	}
	return &script{alone: newText(first + rest.String()), clustered: newText(first + part("whole") + rest.String()), readOnly: readOnly}
}

func newText(lua string) text {
	sum := sha1.Sum([]byte(lua)) //nolint:gosec // it is how Redis names scripts
	return text{lua, hex.EncodeToString(sum[:])}
}

func part(name string) string {
	lua, err := files.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(err) // it is not in this package
	}
	return string(lua)
}

//go:embed lua/*.lua
var files embed.FS

// What the log is written and read by.
var (
	probeScript       = newScript(false, "probe")
	checkScript       = newScript(true, "check")
	appendScript      = newScript(false, "append_one")
	appendManyScript  = newScript(false, "append_many")
	commitScript      = newScript(false, "query", "append", "mark", "views", "parse", "ids", "fences", "change", "put_rows", "commit")
	fireScript        = newScript(false, "append", "fire")
	findScript        = newScript(true, "query", "find")
	defineScript      = newScript(false, "consumer", "views", "define")
	redefineScript    = newScript(false, "consumer", "redefine")
	renewScript       = newScript(false, "consumer", "renew")
	rostersScript     = newScript(true, "consumer", "rosters")
	claimScript       = newScript(false, "consumer", "claim")
	releaseScript     = newScript(false, "consumer", "release")
	leaveScript       = newScript(false, "consumer", "leave")
	consumersScript   = newScript(true, "consumer", "consumers")
	pauseScript       = newScript(false, "consumer", "pause")
	resetScript       = newScript(false, "consumer", "views", "reset")
	takeScript        = newScript(false, "take")
	windowScript      = newScript(true, "window")
	saveScript        = newScript(false, "save")
	tellScript        = newScript(false, "mark", "tell")
	defineRowsScript  = newScript(false, "consumer", "views", "define_rows")
	serveRowsScript   = newScript(false, "consumer", "views", "serve_rows")
	rowVersionsScript = newScript(true, "views", "row_versions")
	dropRowsScript    = newScript(false, "consumer", "views", "drop_rows")
	loadRowsScript    = newScript(true, "views", "load_rows")
	walkRowsScript    = newScript(true, "views", "walk_rows")
	dumpRowsScript    = newScript(true, "consumer", "views", "dump_rows")
)

// once is a command that is sent once. Sent again by the client, a commit that was refused could still be written by its first
// sending, which may arrive later.
type once struct{ *redis.Cmd }

// NoRetry is what the client asks before it sends a command again.
func (once) NoRetry() bool { return true }

// run runs a script. A server that does not have it is given it: nothing has been done then.
func (b *Backend) run(ctx context.Context, s *script, args ...any) ([]any, error) {
	if err := b.sure(ctx); err != nil {
		return nil, err
	}
	t := b.text(s)
	cmd := b.call(ctx, s, "EVALSHA", t.sha, args)
	if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		cmd = b.call(ctx, s, "EVAL", t.lua, args)
	}
	reply, err := cmd.Result()
	if errors.Is(err, redis.Nil) { // it returns nothing
		return nil, nil
	}
	if err == nil && s.readOnly {
		err = b.sure(ctx)
	}
	if err != nil {
		return nil, err
	}
	list, ok := reply.([]any)
	if !ok {
		return []any{reply}, nil
	}
	return list, nil
}

// text is what a script says on the server that has the log.
func (b *Backend) text(s *script) text {
	if b.clustered {
		return s.clustered
	}
	return s.alone
}

// call sends a script, or its name.
func (b *Backend) call(ctx context.Context, s *script, verb, what string, args []any) *redis.Cmd {
	if s.readOnly {
		verb += "_RO"
	}
	all := make([]any, 0, 4+len(args))
	all = append(all, verb, what, 1, b.key("log"))
	cmd := redis.NewCmd(ctx, append(all, args...)...)
	cmd.SetFirstKeyPos(3)
	if s.readOnly {
		_ = b.client.Process(ctx, cmd)
	} else {
		_ = b.client.Process(ctx, once{cmd})
	}
	return cmd
}

// Replies are made of lists, texts and integers. What is not as a script makes it is an error, once, when all is read.
type reader struct{ err error }

func (r *reader) fail(v any, what string) {
	if r.err == nil {
		r.err = fmt.Errorf("a reply has %T where %s should be: the log is damaged, or another program's", v, what)
	}
}

func (r *reader) list(v any) []any {
	list, ok := v.([]any)
	if !ok {
		r.fail(v, "a list")
	}
	return list
}

// item returns a part of a list, nil if it is too short.
func (r *reader) item(list []any, i int) any {
	if i >= len(list) {
		r.fail(nil, "something")
		return nil
	}
	return list[i]
}

func (r *reader) text(v any) string {
	s, ok := v.(string)
	if !ok {
		r.fail(v, "a text")
	}
	return s
}
