// Package spine runs organs over one log.
//
// A [Spine] is assembled with [New] from a store and organs. [Spine.Send] has a command decided at once;
// [Spine.Emit] appends plain events; [Spine.Run] drives the organs that listen until its context ends;
// [Spine.Drain] until nothing is left to do.
//
// # How an event is handled
//
// An organ that listens is a consumer: a named reader with durable progress. It has partitions, each with its
// own checkpoint; an event goes to the partitions that own its keys, and each partition handles its events in
// order. What a handler returns is committed together with the checkpoint, so inside the store every event
// counts exactly once, whatever crashes. What a handler does outside happens at least once: use the event's
// id as an idempotency key there.
//
// The processes that run a consumer share its partitions by leases, and fences in every commit keep a process
// that lost one, or a handler that was given up, from writing anything.
//
// # When things fail
//
// A handler that fails, panics or exceeds its deadline is tried again at once, a few times; then [OnError]
// decides. By default the event is parked, and so are the later events of its key, in order, while all other
// keys flow on; [eventstore.Store.Redrive] has it tried again. A commit that the store cannot take is sent again,
// unless [OnCommitError] says otherwise. A conflict is no failure: the organ looks at the log anew.
//
// # Commands
//
// A command comes by [Spine.Send], or through the log, by [Post]. One with an id of its own, see [WithID], is
// decided once, whichever way and however often it comes. [Middleware] stands around every decision.
//
// # Definitions that change
//
// How many partitions an organ has, what its key function returns and what it listens to may change from one version
// of a program to the next. The newer one takes over, also while processes of the older one still run, without
// skipping an event or handling one twice: see [Wiring].KeyVersion.
package spine
