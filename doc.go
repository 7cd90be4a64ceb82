// Package necrostack is the root of an event-sourcing and CQRS framework: one append-only log, and a Spine
// that drives organs over it. It exports nothing; start at its packages eventstore, spine and organs.
package necrostack
