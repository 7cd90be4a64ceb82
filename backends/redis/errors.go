package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/redis/go-redis/v9"
)

// What a failed call means is one of three:
//
//   - retryable: nothing was written, and the same call may succeed in a moment;
//   - unknown: it was on its way, and the answer is lost;
//   - permanent, which is whatever is neither: someone has to do something about it first.

// retryable is an error after which the same call may succeed.
type retryable struct{ error }

func (e retryable) Unwrap() error { return e.error }

// Retryable is what eventstore.IsRetryable asks.
func (retryable) Retryable() bool { return true }

// lost is an outcome that nobody knows.
type lost struct{ error }

func (e lost) Unwrap() error { return e.error }

func (e lost) Error() string { return "the answer is lost: " + e.error.Error() }

// Is makes it an eventstore.ErrOutcomeUnknown.
func (lost) Is(target error) bool { return target == eventstore.ErrOutcomeUnknown }

// unmade is a call that was not made, since another one failed that had to come before it.
type unmade struct{ error }

func (e unmade) Unwrap() error { return e.error }

// classify says what a failed call means that changes nothing, or that has no harm in being made twice.
func classify(err error) error {
	if err == nil {
		return nil
	}
	if reply, ok := answer(err); ok {
		return answered(reply, err)
	}
	if passing(err) {
		return retryable{err}
	}
	return err
}

// outcome is classify for a call that writes: without an answer of the server, nobody knows what became of it.
func outcome(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, eventstore.ErrOutcomeUnknown) {
		return err
	}
	if e, ok := errors.AsType[unmade](err); ok {
		return e.error
	}
	if reply, ok := answer(err); ok {
		return answered(reply, err)
	}
	if unsent(err) {
		return classify(err)
	}
	return lost{err}
}

// answer returns what the server has said, if it has.
func answer(err error) (string, bool) {
	if errors.Is(err, redis.ErrClosed) || errors.Is(err, redis.Nil) {
		return "", false
	}
	e, ok := errors.AsType[redis.Error](err)
	if !ok {
		return "", false
	}
	return e.Error(), true
}

// passingAnswers are what a server says that did nothing and may do it later: it is starting, has lost its master or its quorum, is a
// replica, moves the keys, has no memory or no disk, or is busy.
var passingAnswers = map[string]string{
	"LOADING": "", "MASTERDOWN": "", "CLUSTERDOWN": "", "TRYAGAIN": "", "MOVED": "", "ASK": "", "BUSY": "", "NOSCRIPT": "",
	"READONLY":   "the server is a replica",
	"OOM":        "raise maxmemory, or make room",
	"MISCONF":    "the server cannot write to its disk",
	"NOREPLICAS": "fewer replicas are connected than min-replicas-to-write",
}

// answered says what an answer of the server means.
func answered(reply string, err error) error {
	code, _, _ := strings.Cut(reply, " ")
	if hint, ok := passingAnswers[code]; ok {
		return hinted(hint, retryable{err})
	}
	switch {
	case strings.Contains(reply, "max number of clients"), strings.Contains(reply, "cluster is down"):
		return retryable{err}
	case strings.Contains(reply, "non local key"), strings.Contains(reply, "rehashing of the slot"): // see lua/whole.lua
		return hinted("the log is on its way to another node of the cluster", retryable{err})
	case code == "NOPERM", strings.Contains(reply, "ACL failure in script"):
		return hinted("the user lacks a right that docs/redis.md lists", err)
	case code == "WRONGTYPE":
		return hinted("another program uses keys of that name", err)
	case code == "NOAUTH", code == "WRONGPASS":
		return hinted("name a user and a password in the DSN", err)
	}
	return err
}

// hinted adds what to do about a failure that does not say so itself.
func hinted(hint string, err error) error {
	if hint == "" {
		return err
	}
	return fmt.Errorf("%w (%s)", err, hint)
}

// unsent reports whether a call was certainly never made.
func unsent(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial" || errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) || errors.Is(err, redis.ErrClosed)
}

// passing reports whether an error that no server has answered with will pass: the network's, or the pool's. A context's own is
// as it is.
func passing(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, redis.ErrClosed) {
		return false
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return !dns.IsNotFound
	}
	network, ok := errors.AsType[net.Error](err)
	return ok && network != nil || unsent(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}
