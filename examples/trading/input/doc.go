// Package input reads orders from files, CSV, JSON or LOBSTER messages, and makes the example's own.
//
// Files come from outside and are trusted in nothing. A row that cannot be understood becomes a Fault with its line and the reason, and
// the other rows still come through; an order that can be understood but not accepted (a quantity of 0, a symbol that is not traded) is
// not judged here but by market.Validate. An error means that the file as a whole was refused.
package input
