// Package organs makes command handlers and reactors of typed functions.
//
// An [Aggregate] decides from the state of one stream: commands, and events that it reacts to. A [Decision]
// decides one type of command from whatever events a query selects. A [Reactor] maps events to events. All are
// plain values: fill in the struct and hand it to spine.New. Package organstest tests them without a store.
//
// What a handler returns are [Events]: events for now, and, by [At], [Set] and [Stop], events to come; spine.Post
// makes an event of a command. All of it is one commit, with the progress of whoever has handled something.
//
// Commands come by Spine.Send, which waits for the decision, and through the log, as events; a command with an id
// of its own, by spine.WithID, is decided once, whichever way and however often it comes.
package organs
