package organs_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/organs"
)

// kept is accounts with snapshots.
func kept(every, version int) organs.Aggregate[Account] {
	as := accounts(organs.When(payer, pay))
	as.Snapshot = organs.Snapshot{Every: every, Version: version}
	return as
}

func TestSnapshotThatFailsFailsNoDecision(t *testing.T) {
	t.Parallel()
	backend := &spied{Backend: memory.New(), spoil: errors.New("disk full")}
	st := open(t, backend)
	as := kept(2, 1)
	as.Cache = -1
	sp := newSpine(t, st, as)
	appendTo(t, st, "account-1", Deposited{10})
	for range 7 {
		send(t, sp, Withdraw{"1", 1})
	}
	request(t, st, "1", 1, 1)
	drain(t, sp)
	wantBalance(t, st, "1", 1)
	if n := len(backend.saved); n == 0 {
		t.Error("nobody tried to save one")
	}
}

func TestSnapshotsThatCannotBeUsedArePassedOver(t *testing.T) {
	t.Parallel()
	const stream, fold = "account-1", "account/1"
	type envelope struct {
		Event uuid.UUID           `json:"event"`
		After eventstore.Position `json:"after"`
		State any                 `json:"state"`
	}
	rich := Account{1000}
	for name, spoil := range map[string]func(good envelope, v eventstore.Version) (any, eventstore.Version){
		"not an envelope":   func(envelope, eventstore.Version) (any, eventstore.Version) { return []int{1}, 3 },
		"null":              func(envelope, eventstore.Version) (any, eventstore.Version) { return nil, 3 },
		"undecodable":       func(e envelope, v eventstore.Version) (any, eventstore.Version) { e.State = "rich"; return e, v },
		"beyond the stream": func(e envelope, v eventstore.Version) (any, eventstore.Version) { e.State = rich; return e, v + 9 },
		"beyond the log": func(e envelope, v eventstore.Version) (any, eventstore.Version) {
			e.State, e.After = rich, 99
			return e, v + 9
		},
		"of another log": func(e envelope, v eventstore.Version) (any, eventstore.Version) {
			e.State, e.Event = rich, uuid.New()
			return e, v
		},
		"of another log, older": func(e envelope, _ eventstore.Version) (any, eventstore.Version) {
			e.State, e.Event = rich, uuid.New()
			return e, 1
		},
		"negative": func(e envelope, v eventstore.Version) (any, eventstore.Version) {
			e.State, e.After = rich, -1
			return e, v
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backend := &spied{Backend: memory.New()}
			st := open(t, backend)
			appendTo(t, st, stream, Deposited{10})
			send(t, newSpine(t, st, kept(2, 0)), Withdraw{"1", 3})
			if len(backend.saved) != 1 {
				t.Fatalf("%d snapshots saved, want one to spoil", len(backend.saved))
			}
			var good envelope
			if err := json.Unmarshal(backend.saved[0].Data, &good); err != nil {
				t.Fatal(err)
			}
			bad, v := spoil(good, backend.saved[0].Version)
			data, err := json.Marshal(bad)
			if err != nil {
				t.Fatal(err)
			}
			if err := backend.Save(t.Context(), eventstore.Snapshot{Fold: fold, Stream: stream, Version: v, Data: data}); err != nil {
				t.Fatal(err)
			}
			as := kept(2, 1)
			if a, v, err := as.Load(t.Context(), st, "1"); a.Balance != 7 || v != 2 || err != nil {
				t.Errorf("loaded %+v at version %d, %v", a, v, err)
			}
			sp := newSpine(t, st, as)
			if _, err := sp.Send(t.Context(), Withdraw{"1", 8}); !errors.Is(err, errFunds) {
				t.Errorf("error is %v, want %v", err, errFunds)
			}
			send(t, sp, Withdraw{"1", 7})
			if n := sp.Stats().Organs[0].Conflicts; n != 0 {
				t.Errorf("%d conflicts", n)
			}
		})
	}
}

func TestLongStreamIsLoadedFromItsSnapshot(t *testing.T) {
	t.Parallel()
	const n, every = 1000, 100
	backend := &spied{Backend: memory.New()}
	st := open(t, backend)
	sp := newSpine(t, st, kept(every, 1))
	appendTo(t, st, "account-1", Deposited{n})
	for range n - 1 {
		send(t, sp, Withdraw{"1", 1})
	}
	if got := len(backend.saved); got != n/every {
		t.Errorf("%d snapshots, want %d", got, n/every)
	}
	for round := range every { // whatever the distance to the last one
		got := backend.yieldedBy(func() {
			if a, v, err := kept(every, 1).Load(t.Context(), st, "1"); a.Balance != 1+round || v != eventstore.Version(n+round) || err != nil {
				t.Errorf("loaded %+v at version %d, %v", a, v, err)
			}
		})
		decided := backend.yieldedBy(func() {
			if _, err := newSpine(t, st, kept(every, 1)).Send(t.Context(), Withdraw{"1", n}); !errors.Is(err, errFunds) {
				t.Error(err)
			}
		})
		if got > every || decided > every {
			t.Fatalf("%d events were read to load version %d, and %d to decide on it, want at most %d", got, n+round, decided, every)
		}
		appendTo(t, st, "account-1", Deposited{1})
	}
	if got := backend.yieldedBy(func() { wantBalance(t, st, "1", every+1) }); got != n+every {
		t.Errorf("%d events were read without snapshots, want all %d", got, n+every)
	}
}

func TestStreamThatWasLongBeforeIsKeptAfterTheNextDecision(t *testing.T) {
	t.Parallel()
	backend := &spied{Backend: memory.New()}
	st := open(t, backend)
	appendTo(t, st, "account-1", Deposited{6}, Withdrawn{1}, Withdrawn{2}, Withdrawn{1}, Withdrawn{1})
	sp := newSpine(t, st, kept(3, 1))
	if _, err := sp.Send(t.Context(), Withdraw{"1", 2}); !errors.Is(err, errFunds) || len(backend.saved) != 0 {
		t.Errorf("error is %v, and there are snapshots after a refusal: %+v", err, backend.saved)
	}
	send(t, sp, Withdraw{"1", 1})
	if len(backend.saved) != 1 || backend.saved[0].Version != 6 || backend.saved[0].Fold != "account/1" || backend.saved[0].Stream != "account-1" {
		t.Errorf("saved %+v, want version 6", backend.saved)
	}
}

func TestSnapshotsComeFromWhatWasCommittedTogether(t *testing.T) {
	t.Parallel()
	for name, rereads := range map[string]bool{"folded": false, "reread": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backend := &spied{Backend: memory.New()}
			st := open(t, backend)
			as := kept(5, 1)
			if rereads {
				as.Evolve[0] = organs.On(func(a *Account, e eventstore.Recorded[Deposited]) { a.Balance += e.Payload.Amount })
			}
			appendTo(t, st, "account-1", Deposited{100})
			request(t, st, "1", slices.Repeat([]int{1}, 40)...)
			drain(t, newSpine(t, st, as))
			if len(backend.saved) == 0 {
				t.Fatal("no snapshots")
			}
			for _, s := range backend.saved {
				if want := fmt.Sprintf(`"state":{"Balance":%d}`, 101-s.Version); !strings.Contains(string(s.Data), want) {
					t.Errorf("snapshot at version %d is %s, want %s", s.Version, s.Data, want)
				}
			}
			n := backend.yieldedBy(func() {
				if a, v, err := as.Load(t.Context(), st, "1"); a.Balance != 60 || v != 41 || err != nil {
					t.Errorf("loaded %+v at version %d, %v", a, v, err)
				}
			})
			if rereads && n > 5 { // every decision was a commit of its own
				t.Errorf("%d events were read", n)
			}
		})
	}
}

func TestChangedVersionLeavesOldSnapshotsUnused(t *testing.T) {
	t.Parallel()
	st := open(t, memory.New())
	appendTo(t, st, "account-1", Deposited{10})
	send(t, newSpine(t, st, kept(1, 1)), Withdraw{"1", 1})
	double := kept(1, 1) // now a deposit counts twice
	double.Evolve = organs.Evolve[Account]{
		organs.On(func(a *Account, e Deposited) { a.Balance += 2 * e.Amount }),
		organs.On(func(a *Account, e Withdrawn) { a.Balance -= e.Amount }),
	}
	if a, _, err := double.Load(t.Context(), st, "1"); a.Balance != 9 || err != nil {
		t.Errorf("with the old version it loads %+v, %v: the snapshot was not used", a, err)
	}
	double.Snapshot.Version = 2
	if a, _, err := double.Load(t.Context(), st, "1"); a.Balance != 19 || err != nil {
		t.Errorf("with the new version it loads %+v, %v", a, err)
	}
}

// A snapshot is saved while nobody holds the entity.
func TestStoreThatHangsOverASnapshotHoldsUpOneDecisionForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := open(t, &spied{Backend: memory.New(), hang: true})
		sp := newSpine(t, st, kept(2, 1))
		took := func(f func()) time.Duration {
			start := time.Now()
			f()
			return time.Since(start)
		}
		if d := took(func() { send(t, sp, Empty{"1"}) }); d != 5*time.Second {
			t.Errorf("loading took %s, want 5s: it does without the snapshot then", d)
		}
		appendTo(t, st, "account-1", Deposited{10})
		var wg sync.WaitGroup
		wg.Go(func() {
			if d := took(func() { send(t, sp, Withdraw{"1", 1}) }); d != 5*time.Second {
				t.Errorf("saving took %s, want 5s", d)
			}
		})
		synctest.Wait()
		if d := took(func() { send(t, sp, Withdraw{"1", 1}) }); d != 0 {
			t.Errorf("another decision waited for %s", d)
		}
		wg.Wait()
	})
}

// A snapshot is taken while the entity is held.
func TestSnapshotOfAnEntityThatGoesOnIsOfOneMoment(t *testing.T) {
	t.Parallel()
	backend := &spied{Backend: memory.New()}
	st := open(t, backend)
	sp := newSpine(t, st, organs.Aggregate[Ledger]{
		Category: "account", Snapshot: organs.Snapshot{Every: 1},
		Evolve: organs.Evolve[Ledger]{organs.On(func(l *Ledger, e Withdrawn) {
			if l.Notes == nil {
				l.Notes = map[string]int{}
			}
			l.Balance++ // together, or the moment is not one
			l.Notes[fmt.Sprint(l.Balance)] = e.Amount
		})},
		Decide: organs.Decide[Ledger]{organs.Handle(func(_ Ledger, c Withdraw) (organs.Events, error) {
			return organs.Events{Withdrawn{c.Amount}}, nil
		})},
	})
	done := make(chan struct{})
	for range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range 25 {
				if _, err := sp.Send(t.Context(), Withdraw{"1", i}); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	for range 4 {
		<-done
	}
	for _, s := range backend.saved {
		var in struct{ State Ledger }
		if err := json.Unmarshal(s.Data, &in); err != nil || in.State.Balance != int(s.Version) || len(in.State.Notes) != int(s.Version) {
			t.Errorf("snapshot at version %d is %s, %v", s.Version, s.Data, err)
		}
	}
	if len(backend.saved) < 50 {
		t.Errorf("%d snapshots", len(backend.saved))
	}
}
