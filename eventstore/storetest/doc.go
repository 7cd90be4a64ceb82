// Package storetest proves that a backend keeps the promises of package eventstore.
//
// [Run] is the conformance suite: one test for each promise, split into named cases, and further ones for
// reads, queries, conditions, leases, definitions and control of consumers, deliveries, schedules, parked
// entries, snapshots, cancellation, limits and waiting; then a check of random operations against a trivial model, and a linearizability check of concurrent appends. A
// failure says which promise is broken, and shows the evidence. [Benchmark] measures what users wait for.
//
// A backend's own test is as short as this:
//
//	func TestConformance(t *testing.T) {
//		storetest.Run(t, storetest.Harness{Open: open, Require: storetest.Everything()})
//	}
//
// The suite is tested, too: backends that are broken on purpose must each be caught by the test of the
// promise that they break.
package storetest
