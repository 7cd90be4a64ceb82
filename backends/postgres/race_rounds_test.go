package postgres_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

// raceRounds is how many there are of each shape.
const raceRounds = 102

// Of eight racers in four processes, who have all read before the first of them commits, exactly one wins, whatever its
// condition is about, whoever else appends, and whether a store commits or a transaction of any isolation level.
func TestOfRacersInSeveralProcessesExactlyOneWins(t *testing.T) {
	t.Parallel()
	for _, shape := range raceShapes {
		t.Run(shape, func(t *testing.T) {
			t.Parallel()
			dsn := testenv.Postgres(t).Database(t)
			g := &races{T: t, store: openStore(t, dsn), results: map[string]int{}}
			for i := range raceProcesses {
				g.racers = append(g.racers, spawn(t, "racers", racersConfig{dsn, i}))
			}
			for n := range raceRounds {
				r := race{Round: n, Shape: shape, Hammers: []string{"others", "same", ""}[n%3]}
				if shape == "all" && r.Hammers == "others" {
					r.Hammers = "same" // there are no others
				}
				g.run(r)
			}
			g.judge()
			var pids []int
			for _, c := range g.racers {
				pids = append(pids, c.pid())
			}
			t.Logf("race by %s: %d rounds of %d racers in processes %v; %d won, one in each round but where somebody without a condition came first (%d); %s",
				shape, len(g.rounds), raceProcesses*raceRacers, pids, g.won, g.beaten, g.show())
		})
	}
}

// races is the rounds of one shape.
type races struct {
	*testing.T
	store       *eventstore.Store
	racers      []*child
	rounds      []round
	won, beaten int
	results     map[string]int // by kind and result
}

// A round is a race that was run.
type round struct {
	race

	finishes []finish
}

// run runs a race. Nobody reads before all were told, and nobody commits before all have read.
func (g *races) run(r race) {
	g.Helper()
	for _, c := range g.racers {
		c.tell(r)
	}
	for _, c := range g.racers {
		var ready string
		c.must(&ready)
	}
	for _, c := range g.racers {
		c.tell("start")
	}
	round := round{race: r}
	for _, c := range g.racers {
		var finishes []finish
		c.must(&finishes)
		round.finishes = append(round.finishes, finishes...)
	}
	g.rounds = append(g.rounds, round)
}

// judge looks at every race in the light of the log.
func (g *races) judge() {
	g.Helper()
	var log []eventstore.Event
	at := map[uuid.UUID]int{}
	for e, err := range g.store.Read(g.Context(), eventstore.All(), eventstore.Range{}) {
		if err != nil {
			g.Fatal(err)
		}
		at[e.ID] = len(log)
		log = append(log, e)
	}
	for _, r := range g.rounds {
		winners := 0
		for _, f := range r.finishes {
			g.results[f.Kind+" "+f.Result]++
			i, written := at[f.ID]
			if written != (f.Result == "won") {
				g.Errorf("round %d: %+v, and its event is in the log: %t", r.Round, f, written)
				continue
			}
			switch f.Result {
			case "won":
				winners++
				g.rightly(r, f, log, i)
			case "lost":
				g.broken(r, f, log)
			case "stale":
			default:
				g.Errorf("round %d: %+v", r.Round, f)
			}
		}
		g.won += winners
		if winners == 0 && r.Hammers == "same" {
			g.beaten++
		} else if winners != 1 {
			g.Errorf("round %d by %s, while others append %q: %d of %d racers have won: %+v", r.Round, r.Shape, r.Hammers, winners, len(r.finishes), r.finishes)
		}
	}
}

// rightly reports a winner whose condition was broken when its event, at log[i], was written.
func (g *races) rightly(r round, f finish, log []eventstore.Event, i int) {
	g.Helper()
	if f.Position != 0 && f.Position != log[i].Position {
		g.Errorf("round %d: %+v, and its event is at %d", r.Round, f, log[i].Position)
	}
	q := r.query(f.Racer)
	for k := int(f.After); k < i; k++ { // positions are gapless: log[k] is the first after it
		if q.Matches(&log[k]) {
			g.Errorf("round %d by %s: %+v has won at %d, in spite of the event at %d", r.Round, r.Shape, f, log[i].Position, log[k].Position)
			return
		}
	}
}

// broken reports a loser that was told of an event that has not broken its condition.
func (g *races) broken(r round, f finish, log []eventstore.Event) {
	g.Helper()
	if f.Broken == 0 {
		return
	}
	if q := r.query(f.Racer); f.Broken <= f.After || int(f.Broken) > len(log) || !q.Matches(&log[f.Broken-1]) {
		g.Errorf("round %d by %s: %+v was told of an event that breaks nothing", r.Round, r.Shape, f)
	}
}

func (g *races) show() string {
	var all []string
	for _, result := range slices.Sorted(maps.Keys(g.results)) {
		all = append(all, fmt.Sprintf("%s %d", result, g.results[result]))
	}
	return strings.Join(all, ", ")
}
