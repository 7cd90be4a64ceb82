package postgres_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// The load of every fault: so many processes, with so many writers each, and commits of each writer.
const (
	loadCommits    = 60
	loadProcesses  = 4
	loadWriters    = 4
	loadAllWriters = loadProcesses * loadWriters
)

// The types of the events that are written. Few are rare.
const (
	usual = "usual happened"
	rare  = "rare happened"
)

// mark is the payload of every event of a load: who has written it, in which commit, and where in there.
type mark struct {
	Writer int    `json:"writer"`
	Commit int    `json:"commit"`
	Part   int    `json:"part"`
	Filler string `json:"filler"`
}

// script is what a writer commits, one after the other. It depends on nothing but its arguments: so a writer that was
// killed can go on, and whoever checks knows every byte. Each commit has events of several streams: of the writer's own,
// of which it expects the version, and of streams that all writers share.
func script(writer, commits int) []eventstore.Commit {
	rnd := rand.New(rand.NewPCG(uint64(writer), 1))
	all := make([]eventstore.Commit, commits)
	own := eventstore.Version(0)
	for n := range all {
		part := 0
		add := func(to eventstore.Stream, expect eventstore.Expected, events int) {
			a := eventstore.Append{Stream: to, Expect: expect}
			for range events {
				a.Events = append(a.Events, scripted(rnd, writer, n, part))
				part++
			}
			all[n].Appends = append(all[n].Appends, a)
		}
		shared := func() {
			for range rnd.IntN(3) {
				add(eventstore.StreamOf("shared", fmt.Sprint(rnd.IntN(8))), eventstore.Any, 1+rnd.IntN(3))
			}
		}
		shared()
		events := 1 + rnd.IntN(4)
		add(eventstore.StreamOf("own", fmt.Sprint(writer)), eventstore.Exact(own), events)
		own += eventstore.Version(events)
		shared()
	}
	return all
}

func scripted(rnd *rand.Rand, writer, commit, part int) eventstore.Event {
	size := rnd.IntN(200)
	if rnd.IntN(40) == 0 {
		size = 10_000
	}
	data, err := json.Marshal(mark{writer, commit, part, strings.Repeat("x", size)})
	if err != nil {
		panic(err) // it is text and numbers
	}
	e := eventstore.Event{
		ID:   uuid.NewSHA1(uuid.Nil, fmt.Appendf(nil, "%d/%d/%d", writer, commit, part)),
		Type: usual, Data: data, Tags: []string{fmt.Sprintf("writer:%d", writer)},
	}
	if rnd.IntN(20) == 0 {
		e.Type = rare
	}
	if rnd.IntN(5) == 0 {
		e.Tags = append(e.Tags, "hot")
	}
	return e
}

// told is what a writer was told of one commit, and how often it had to ask.
type told struct {
	Writer   int                  `json:"writer"`
	Commit   int                  `json:"commit"`
	First    eventstore.Position  `json:"first"`
	Last     eventstore.Position  `json:"last"`
	Versions []eventstore.Version `json:"versions"`
	Unknown  int                  `json:"unknown"` // its outcome was unknown
	Refused  int                  `json:"refused"` // nothing was written, and it could be sent again
	Known    bool                 `json:"known"`   // false: it is only about to be sent
	Fault    string               `json:"fault"`   // a failure that no writer can go on from
}
