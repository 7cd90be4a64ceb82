package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/internal/testenv"
)

// An ask is what a client of the history does: it reads a tag, or appends an event with a tag, on condition that there is
// none of another tag after a position, or on none.
type ask struct {
	Takes  string              // the tag of the event; empty: it only reads
	Unless string              // the tag that is read, or that the condition is about; empty: no condition
	After  eventstore.Position // of the condition
}

// An answer is what came of it, after all resends.
type answer struct {
	Refused  bool
	Position eventstore.Position // of the event, or of the last one that was read
	Through  eventstore.Position // of the read
}

// An entry is an operation of one client. Times are of the clock that the processes of a machine share.
type entry struct {
	Client      int
	Ask         ask
	Answer      answer
	Call, Ended int64
	Unknown     int // resends of what nobody knew the outcome of
	Fault       string
}

const (
	historyProcesses  = 4
	historyClients    = 2  // of each process
	historyOperations = 40 // of each client
)

// historyConfig is what a process of clients is told.
type historyConfig struct {
	DSN     string
	Process int
}

// historyProgram has each client read and commit, one after the other, and tells each operation when it is over.
func historyProgram(ctx context.Context, p *parent) error {
	var cfg historyConfig
	if err := p.hear(&cfg); err != nil {
		return err
	}
	s, err := connectAnyhow(ctx, cfg.DSN, 3)
	if err != nil {
		return err
	}
	var begin string
	if err := errors.Join(p.tell("connected"), p.hear(&begin)); err != nil {
		return err
	}
	var running sync.WaitGroup
	faults := make([]error, historyClients)
	for i := range historyClients {
		client := cfg.Process*historyClients + i
		rnd := rand.New(rand.NewPCG(uint64(client), 2))
		running.Go(func() {
			for range historyOperations {
				tag := fmt.Sprint("seat:", rnd.IntN(3))
				read := operate(ctx, s, ask{Unless: tag}, client)
				take := ask{Takes: fmt.Sprint("seat:", rnd.IntN(3)), Unless: tag, After: read.Answer.Through}
				if rnd.IntN(3) == 0 {
					take.Unless, take.After = "", 0
				}
				faults[i] = errors.Join(faults[i], p.tell(read), p.tell(operate(ctx, s, take, client)))
			}
		})
	}
	running.Wait()
	return errors.Join(faults...)
}

// operate does what is asked until its outcome is known.
func operate(ctx context.Context, s *eventstore.Store, a ask, client int) (e entry) {
	e.Client, e.Ask = client, a
	r := race{Shape: "tag", Round: client}
	c := eventstore.Commit{Appends: []eventstore.Append{r.raced(client)}}
	c.Appends[0].Events[0].Tags = []string{a.Takes}
	if a.Takes != "" && a.Unless != "" {
		c.Unless = []eventstore.Condition{{Query: eventstore.WithTags(a.Unless), After: a.After}}
	}
	e.Call = time.Now().UnixNano()
	defer func() { e.Ended = time.Now().UnixNano() }()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		err := e.try(ctx, s, c)
		switch {
		case err == nil:
			return e
		case errors.Is(err, eventstore.ErrConflict):
			e.Answer.Refused = true
			return e
		case a.Takes != "" && !eventstore.IsRetryable(err), time.Now().After(deadline):
			e.Fault = err.Error()
			return e
		case errors.Is(err, eventstore.ErrOutcomeUnknown):
			e.Unknown++
		}
	}
}

func (e *entry) try(ctx context.Context, s *eventstore.Store, c eventstore.Commit) error {
	if e.Ask.Takes != "" {
		r, err := s.Commit(ctx, c)
		e.Answer.Position = r.Position
		return err
	}
	e.Answer = answer{}
	for ev, err := range s.Read(ctx, eventstore.WithTags(e.Ask.Unless), eventstore.Range{Through: &e.Answer.Through}) {
		if err != nil {
			return err
		}
		e.Answer.Position = ev.Position
	}
	return nil
}

// What several processes asked for and were told, while their connections were cut again and again, is what they would
// have been told had they asked one after the other.
func TestTheHistoryOfSeveralProcessesIsLinearizable(t *testing.T) {
	t.Parallel()
	server := testenv.Postgres(t)
	dsn := server.Database(t)
	proxy := testenv.NewProxy(t, server.Addr())
	openStore(t, dsn)
	var clients []*child
	for i := range historyProcesses {
		clients = append(clients, spawn(t, "history", historyConfig{proxy.DSN(t, dsn), i}))
	}
	for _, c := range clients {
		var connected string
		c.must(&connected)
	}
	entries := make(chan porcupine.Operation)
	var listening sync.WaitGroup
	for _, c := range clients {
		c.tell("begin")
		listening.Go(func() {
			for e := (entry{}); c.hear(&e); e = (entry{}) {
				entries <- porcupine.Operation{ClientId: e.Client, Input: e, Call: e.Call, Return: e.Ended}
			}
		})
	}
	go func() {
		listening.Wait()
		close(entries)
	}()
	var history []porcupine.Operation
	cuts, unknown := 0, 0
	for op := range entries {
		e := op.Input.(entry)
		if e.Fault != "" {
			t.Errorf("%+v", e)
		}
		unknown += e.Unknown
		if history = append(history, op); len(history)%40 == 0 {
			proxy.Cut()
			proxy.Restore(t)
			cuts++
		}
	}
	for _, c := range clients {
		if err := c.wait(); err != nil {
			t.Error(err)
		}
	}
	if want := historyProcesses * historyClients * historyOperations * 2; len(history) != want || unknown == 0 {
		t.Errorf("%d operations of %d, and %d outcomes were unknown", len(history), want, unknown)
	}
	switch porcupine.CheckOperationsTimeout(seats(), history, patience) {
	case porcupine.Ok:
		t.Logf("fault: %d times all connections through %s were cut; %d operations of %d clients in %d processes, %d unknown outcomes, are linearizable",
			cuts, proxy.Addr(), len(history), historyProcesses*historyClients, historyProcesses, unknown)
	case porcupine.Unknown:
		t.Errorf("the history of %d operations is too long to be decided", len(history))
	default:
		t.Errorf("no order of %d operations explains what they were told", len(history))
	}
	for i := range history { // and one read of something else would not have passed
		if e := history[i].Input.(entry); e.Ask.Takes == "" {
			e.Answer.Through += 1000
			history[i].Input = e
			break
		}
	}
	if porcupine.CheckOperationsTimeout(seats(), history, patience) == porcupine.Ok {
		t.Error("the model explains a read through a position that was not the head")
	}
}

// seatState is the head, and the last event of each tag.
type seatState struct {
	head eventstore.Position
	last [3]eventstore.Position
}

// seats is the log as far as the history is about it.
func seats() porcupine.Model {
	seat := func(tag string) int { return int(tag[len(tag)-1] - '0') }
	return porcupine.Model{
		Init: func() any { return seatState{} },
		Step: func(state, input, _ any) (bool, any) {
			at, e := state.(seatState), input.(entry)
			if e.Ask.Takes == "" {
				return e.Answer.Through == at.head && e.Answer.Position == at.last[seat(e.Ask.Unless)], at
			}
			broken := e.Ask.Unless != "" && at.last[seat(e.Ask.Unless)] > e.Ask.After
			if e.Answer.Refused || broken {
				return e.Answer.Refused && broken, at
			}
			at.head++
			at.last[seat(e.Ask.Takes)] = at.head
			return e.Answer.Position == at.head, at
		},
	}
}
