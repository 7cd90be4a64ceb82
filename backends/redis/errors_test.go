package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/redis/go-redis/v9"
)

// What an error means, in one word.
func meaning(err error) string {
	switch {
	case err == nil:
		return "none"
	case errors.Is(err, eventstore.ErrOutcomeUnknown):
		return "unknown"
	case eventstore.IsRetryable(err):
		return "retryable"
	default:
		return "permanent"
	}
}

// reply is what a server has answered.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

func TestErrorsAreClassifiedByWhatTheyMean(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err         error
		read, write string
	}{
		"nothing":                {nil, "none", "none"},
		"loading":                {reply("LOADING Redis is loading the dataset in memory"), "retryable", "retryable"},
		"replica":                {reply("READONLY You can't write against a read only replica."), "retryable", "retryable"},
		"no memory":              {reply("OOM command not allowed when used memory > 'maxmemory'."), "retryable", "retryable"},
		"no disk":                {reply("MISCONF Errors writing to the AOF file: No space left on device"), "retryable", "retryable"},
		"no quorum":              {reply("CLUSTERDOWN The cluster is down"), "retryable", "retryable"},
		"no master":              {reply("MASTERDOWN Link with MASTER is down"), "retryable", "retryable"},
		"moved too often":        {reply("MOVED 3999 127.0.0.1:6381"), "retryable", "retryable"},
		"keys on their way":      {reply("TRYAGAIN Multiple keys request during rehashing of slot"), "retryable", "retryable"},
		"in a script":            {reply("ERR Script attempted to access a non local key in a cluster node script: f"), "retryable", "retryable"},
		"slot on its way":        {reply("ERR Unable to execute command 'exists' in script because undeclared keys were accessed during rehashing of the slot"), "retryable", "retryable"},
		"no right in a script":   {reply("ERR ACL failure in script: User app has no permissions to run the 'time' command"), "permanent", "permanent"},
		"busy":                   {reply("BUSY Redis is busy running a script."), "retryable", "retryable"},
		"too few replicas":       {reply("NOREPLICAS Not enough good replicas to write."), "retryable", "retryable"},
		"too many clients":       {reply("ERR max number of clients reached"), "retryable", "retryable"},
		"no right":               {reply("NOPERM this user has no permissions to run the 'evalsha' command"), "permanent", "permanent"},
		"wrong password":         {reply("WRONGPASS invalid username-password pair or user is disabled."), "permanent", "permanent"},
		"another program's key":  {reply("WRONGTYPE Operation against a key holding the wrong kind of value"), "permanent", "permanent"},
		"cut":                    {io.EOF, "retryable", "unknown"},
		"reset":                  {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, "retryable", "unknown"},
		"refused":                {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "retryable", "retryable"},
		"no such host":           {&net.DNSError{Err: "no such host", IsNotFound: true}, "permanent", "unknown"},
		"pool is used up":        {redis.ErrPoolTimeout, "retryable", "retryable"},
		"client is closed":       {redis.ErrClosed, "permanent", "permanent"},
		"caller has gone":        {context.Canceled, "permanent", "unknown"},
		"too few have it":        {lost{errors.New("0 of 1 replicas have the commit")}, "permanent", "unknown"},
		"what is wrapped counts": {fmt.Errorf("call: %w", reply("LOADING")), "retryable", "retryable"},
	} {
		if c.err != nil && name != "too few have it" {
			if got := meaning(classify(c.err)); got != c.read {
				t.Errorf("%s, of a read: %s, want %s", name, got, c.read)
			}
		}
		if got := meaning(outcome(c.err)); got != c.write {
			t.Errorf("%s, of a commit: %s, want %s", name, got, c.write)
		}
	}
}
