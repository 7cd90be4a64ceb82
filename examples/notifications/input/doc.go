// Package input reads requests and contacts from files, CSV or JSON, and has the example's own.
//
// Files come from outside and are trusted in nothing. A row that cannot be understood becomes a Fault with its place and the reason,
// and the other rows still come through; a request that can be understood but not accepted (an unknown user, a channel that there is
// not) is not judged here but by notification.Check. An error means that the file as a whole was refused.
package input
