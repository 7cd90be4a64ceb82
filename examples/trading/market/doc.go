// Package market is the domain of the trading example: orders, the order book of one symbol with price-time priority, settlement and
// risk. It does no I/O, reads no clock and draws no random numbers.
//
// State changes only by events. A decision (Check, Book.Decide, Blocklist.Settle, Exposure.Assess) looks at the state and returns
// events; a fold (Book.Queued, Exposure.Settled, …) applies one event to the state. So the events of a symbol, folded from the start,
// give the same Book that decided them.
//
// Prices and values are exact decimals, in JSON decimal strings; quantities are whole shares. Nothing here is a float.
package market
