// Package spinetest proves what package spine promises, on any backend.
//
// [Run] is the suite: one test for each promise, on logs that a [Harness] opens. It runs in real time; what is
// about long times is tested beside the Spine, in memory and on a virtual clock. [Tap] is a backend that
// a test can count, disturb and cut off; [Organ] an organ made of nothing but its wiring.
//
// A backend's own test is as short as this:
//
//	func TestSpine(t *testing.T) { spinetest.Run(t, spinetest.Harness{Open: open}) }
package spinetest
