// Package eventstore is an append-only log of events: its vocabulary, the store that users hold, and the
// port that backends implement.
//
// There is one write, [Store.Commit], and one read, [Store.Read]. A commit is atomic: events for any number
// of streams, checkpoints of consumers, scheduled appends and parked events, accepted or refused whole. A
// read yields the events that match a [Query], in order, from one snapshot.
//
// # Promises
//
// Every backend keeps these, and eventstore/storetest proves each by name:
//
//   - Order: positions are 1, 2, 3 … without gaps, in the order of commits. Once a reader has seen a
//     position, nothing at or below it can appear any more. Times never run backwards along the log.
//   - Versions are 1, 2, 3 … without gaps in every stream.
//   - Atomicity: a commit is visible whole or not at all, its checkpoints, schedules and parkings included.
//   - Guard: expected versions and conditions are decided where commits are put into order. Of any number of
//     racers with the same expectation exactly one wins. A commit's own events never match its own condition.
//   - Durability: what was acknowledged survives, as far as the backend's documentation promises. What
//     nobody can know is reported as [ErrOutcomeUnknown], never as failure.
//   - Idempotence: the same commit sent again returns its first result and writes nothing. Any other use of
//     an id a second time is [ErrIDReused]. Ids are checked first, then fences, then conditions.
//   - Immutability: events never change; payloads come back byte for byte.
//   - Fencing: a commit with a checkpoint is refused unless its epoch is current and the partition stands
//     where the checkpoint begins.
//
// # Opening a store
//
// A store comes from a backend's package, such as memory.Open. The zero [Config] works.
package eventstore
