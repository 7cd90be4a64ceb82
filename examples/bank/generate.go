package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/google/uuid"

	"github.com/necrostack/necrostack/eventstore"
)

// generated makes up events, at least n, and one more if the last would be half a transfer. They are the same every time, ids
// included, and those of a smaller n are the first ones of a larger.
func generated(n int) []eventstore.Draft {
	g := generator{random: rand.New(rand.NewPCG(1, 2)), events: make([]eventstore.Draft, 0, n+1)} //nolint:gosec // no secrets
	for len(g.events) < n {
		if len(g.cents) < max(10, len(g.events)/100) {
			g.open()
			continue
		}
		switch from, p := g.random.IntN(len(g.cents)), g.random.IntN(100); {
		case p < 45 || g.cents[from] < 2:
			g.deposit(from, 1+g.random.Int64N(200_000))
		case p < 70:
			g.withdraw(from, 1+g.random.Int64N(g.cents[from]))
		default:
			to := (from + 1 + g.random.IntN(len(g.cents)-1)) % len(g.cents)
			g.transfer(from, to, 1+g.random.Int64N(g.cents[from]/2))
		}
	}
	return g.events
}

// generator makes up what could have been decided.
type generator struct {
	random *rand.Rand
	events []eventstore.Draft
	cents  []int64 // what is in each account
}

var owners = []string{"Ada", "Blaise", "Carl", "Daniel", "Emmy", "Felix", "Grace", "Henri", "Ida", "John", "Kurt", "Leonhard", "Maria", "Niels", "Otto"}

func (g *generator) open() {
	g.cents = append(g.cents, 0)
	g.add(len(g.cents)-1, Opened{owners[g.random.IntN(len(owners))]})
}

func (g *generator) deposit(to int, cents int64) {
	g.cents[to] += cents
	g.add(to, Deposited{cents})
}

func (g *generator) withdraw(from int, cents int64) {
	g.cents[from] -= cents
	g.add(from, Withdrawn{cents})
}

func (g *generator) transfer(from, to int, cents int64) {
	g.cents[from] -= cents
	g.cents[to] += cents
	g.add(from, Transferred{number(from), number(to), cents})
	g.add(to, Received{number(from), cents})
}

func (g *generator) add(account int, p eventstore.Payload) {
	id := uuid.NewSHA1(uuid.NameSpaceURL, fmt.Appendf(nil, "necrostack/examples/bank/%d", len(g.events)))
	g.events = append(g.events, eventstore.Draft{ID: id, Stream: eventstore.StreamOf(category, number(account)), Payload: p})
}

// number is an account's.
func number(n int) string { return fmt.Sprintf("%06d", n+1) }
