// Package sagas coordinates work across streams and services, and undoes it when it cannot be finished.
//
// There are two ways to write a coordinator. A Saga is a sequence of steps, each of which may be undone: it is what
// Hector Garcia-Molina and Kenneth Salem describe in Sagas, SIGMOD 1987, https://doi.org/10.1145/38713.38742, with the
// pivot of flexible transactions: Aidong Zhang and others, SIGMOD 1994, https://doi.org/10.1145/191839.191850. A Process is a
// process manager: typed functions that remember events and react to them with commands and timers. Both are plain values;
// hand them to spine.New.
//
// # Instances
//
// Every instance is a stream of the log, saga.NAME-ID, which tells all that has happened to it: Began, Moved, Ended. What an
// instance does at one time, its commands, its timer and its new state, is one commit with the progress of whoever
// drives it, so a crash at any point loses nothing and doubles nothing. A command's id is made of the instance, the step and
// the cycle: sent again it is the same command, which its receiver decides once.
//
// An outcome finds its instance by Metadata.ReplyTo, which all that follows from a command inherits, however many
// organs lie between.
//
// # Compensation
//
// When a step is refused, or its outcome is not known in time, the steps before it are undone, the last ones first, those
// of one Parallel at once. A step whose outcome is unknown is undone too, and what undoes it revokes it: should it
// come by later, it is refused. Steps from the Pivot on are never undone, but tried again until they succeed. What
// cannot go on by itself is UndoStuck or ForwardStuck, until an operator helps: see Instances.
//
// Every instance that has not ended has something that will wake it: a command under way with a deadline, a timer, or an
// operator.
package sagas
