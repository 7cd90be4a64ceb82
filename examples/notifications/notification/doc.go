// Package notification is the domain of the notifications example: who is notified of what, by which channels, what a channel takes,
// and when a request is done. It does no I/O, reads no clock and knows nothing of the framework.
//
// Check judges a request, Route splits it by channel, and a Delivery keeps track of what is outstanding.
package notification
