package postgres

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// decision is what commit_batch returns.
type decision struct {
	head     eventstore.Position
	versions []int64   // of each stream, before
	codes    []*string // of each commit, unless all were written
	details  []*string
}

// outcomes says what became of each commit. Those that were written stand one behind the other, in their order.
func (b *batch) outcomes(d decision) ([]eventstore.Outcome, error) {
	outcomes := make([]eventstore.Outcome, len(b.commits))
	head, versions := d.head, d.versions
	for i := range b.commits {
		appends := b.commits[i].Appends
		if len(d.codes) > i && d.codes[i] != nil {
			var err error
			if outcomes[i], err = b.refusal(appends, *d.codes[i], d.details[i]); err != nil {
				return nil, err
			}
			continue
		}
		r := &outcomes[i].Result
		if len(appends) > 0 {
			r.Versions = make([]eventstore.Version, len(appends))
		}
		for k := range appends {
			n := len(appends[k].Events)
			head += eventstore.Position(n)
			at := b.streams[appends[k].Stream] - 1
			versions[at] += int64(n)
			r.Versions[k] = eventstore.Version(versions[at])
			r.Position = head
		}
	}
	return outcomes, nil
}

// refusal is what became of a commit that was not written: it stands already, or why not.
func (b *batch) refusal(appends []eventstore.Append, code string, detail *string) (o eventstore.Outcome, err error) {
	var d reason
	if detail != nil {
		if err := json.Unmarshal([]byte(*detail), &d); err != nil {
			return o, err
		}
	}
	switch code {
	case "again":
		o.Result = d.result(appends)
	case "conflict":
		p := &appends[b.appends[d.Expectation-1]]
		o.Err = &eventstore.ConflictError{Stream: p.Stream, Expected: p.Expect, Actual: d.Version}
	case "condition":
		o.Err = &eventstore.ConditionError{Index: b.indexes[d.Condition-1], After: eventstore.Position(b.uAfter[d.Condition-1]), Position: *d.Position}
	default:
		o.Err = d.error(code)
	}
	return o, nil
}

// reason is what commit_batch says of a commit that it does not write.
type reason struct {
	First    eventstore.Position // of a commit that stands already
	Versions []eventstore.Version

	Expectation, Condition int // which one of the batch's is not met
	Version                eventstore.Version

	Consumer   string
	Partition  int
	Epoch, Now int64
	Position   *eventstore.Position // null: there is no such partition
	From       eventstore.Position
	Entry      uuid.UUID
}

// result is the first result of a commit that stands already.
func (d *reason) result(appends []eventstore.Append) (r eventstore.Result) {
	if d.First == 0 {
		return r
	}
	n := 0
	for _, a := range appends {
		n += len(a.Events)
		r.Versions = append(r.Versions, d.Versions[n-1])
	}
	r.Position = d.First + eventstore.Position(n) - 1
	return r
}

// error is why a commit is refused that is not what its ids say, or not its committer's to make.
func (d *reason) error(code string) error {
	switch code {
	case "reused":
		return fmt.Errorf("%w: the commit shares ids with another", eventstore.ErrIDReused)
	case "gone":
		return &eventstore.FencedError{Consumer: d.Consumer, Entry: d.Entry, Reason: "it is done, or somebody else's"}
	case "fenced":
		why := fmt.Sprintf("epoch %d has passed to epoch %d", d.Epoch, d.Now)
		switch {
		case d.Position == nil:
			why = "no such partition"
		case d.Now == d.Epoch:
			why = fmt.Sprintf("stands at %d, not at %d", *d.Position, d.From)
		}
		return &eventstore.FencedError{Consumer: d.Consumer, Partition: d.Partition, Reason: why}
	default:
		return fmt.Errorf("commit_batch returned %q", code)
	}
}
