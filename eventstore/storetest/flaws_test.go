package storetest

import (
	"context"
	"slices"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
)

// flaws lists backends that are broken on purpose, each in one way.
func flaws() []flaw {
	return slices.Concat(readFlaws(), writeFlaws(), consumerFlaws(), parkingFlaws(), controlFlaws(), deliveryFlaws(), snapshotFlaws())
}

// flawedCommit changes what happens to each commit.
type flawedCommit struct {
	*memory.Backend
	commit func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error)
}

func (f flawedCommit) Commit(ctx context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	outcomes := make([]eventstore.Outcome, len(batch))
	for i, c := range batch {
		outcomes[i].Result, outcomes[i].Err = f.commit(ctx, f.Backend, c)
	}
	return outcomes, nil
}

func commits(commit func(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error)) func(*memory.Backend) eventstore.Backend {
	return func(b *memory.Backend) eventstore.Backend { return flawedCommit{b, commit} }
}

// commitOne is what the reference does.
func commitOne(ctx context.Context, b *memory.Backend, c eventstore.Commit) (eventstore.Result, error) {
	outcomes, err := b.Commit(ctx, []eventstore.Commit{c})
	if err != nil {
		return eventstore.Result{}, err
	}
	return outcomes[0].Result, outcomes[0].Err
}

// flawedRead changes what a read yields.
type flawedRead struct {
	*memory.Backend
	read func(ctx context.Context, b *memory.Backend, q eventstore.Query, r eventstore.Range) events
}

func (f flawedRead) Read(ctx context.Context, q eventstore.Query, r eventstore.Range) events {
	return f.read(ctx, f.Backend, q, r)
}

func readsAs(read func(ctx context.Context, b *memory.Backend, q eventstore.Query, r eventstore.Range) events) func(*memory.Backend) eventstore.Backend {
	return func(b *memory.Backend) eventstore.Backend { return flawedRead{b, read} }
}

// yields changes each event that a read yields; false leaves it out.
func yields(change func(e *eventstore.Event) bool) func(*memory.Backend) eventstore.Backend {
	return readsAs(func(ctx context.Context, b *memory.Backend, q eventstore.Query, r eventstore.Range) events {
		return filter(b.Read(ctx, q, r), change)
	})
}

func filter(list events, change func(e *eventstore.Event) bool) events {
	return func(yield func(eventstore.Event, error) bool) {
		for e, err := range list {
			if err == nil && !change(&e) {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// collect reads everything at once.
func collect(seq events) (list []eventstore.Event) {
	for e, err := range seq {
		if err == nil {
			list = append(list, e)
		}
	}
	return list
}

// headOf is the head at this moment.
func headOf(ctx context.Context, b *memory.Backend) (head eventstore.Position) {
	collect(b.Read(ctx, eventstore.Query{}, eventstore.Range{Through: &head}))
	return head
}
