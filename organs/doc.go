// Package organs makes command handlers and reactors of typed functions.
//
// An [Aggregate] decides from the state of one stream: commands that are sent to it, and events that it
// reacts to. A [Reactor] maps events to events. Both are plain values: fill in the struct and hand it to
// spine.New. Package organstest tests them without a store.
package organs
