package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// arrays are the arguments of commit_batch.
type arrays struct {
	eAppend            []int32
	eID                []uuid.UUID
	eType              []string
	eTags              []*string
	eData, eMetadata   []string
	aCommit            []int32
	aStream            []string
	aLeast, aMost      []int64
	cCommit            []int32
	cConsumer          []string
	cPartition         []int32
	cEpoch, cFrom, cTo []int64
	xCommit, xIndex    []int32
	xAfter             []int64
	iCondition         []int32
	iStream, iCategory []*string
	iTypes, iTags      []*string
	rest               []rest
}

// newArrays makes empty arrays: a nil one would be null.
func newArrays() arrays {
	return arrays{
		eAppend: []int32{}, eID: []uuid.UUID{}, eType: []string{}, eTags: []*string{}, eData: []string{}, eMetadata: []string{},
		aCommit: []int32{}, aStream: []string{}, aLeast: []int64{}, aMost: []int64{},
		cCommit: []int32{}, cConsumer: []string{}, cPartition: []int32{}, cEpoch: []int64{}, cFrom: []int64{}, cTo: []int64{},
		xCommit: []int32{}, xAfter: []int64{},
		iCondition: []int32{}, iStream: []*string{}, iCategory: []*string{}, iTypes: []*string{}, iTags: []*string{},
	}
}

const commitSQL = `SELECT code, detail, versions, last FROM @commit_batch($1, $2, $3, $4, $5::text[]::json[], $6::text[]::json[], $7::text[]::json[],
	$8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23::text[]::json[], $24::text[]::json[], $25::text::json)`

// Commit implements eventstore.Backend: a batch is one call, in a transaction of its own.
func (b *Backend) Commit(ctx context.Context, batch []eventstore.Commit) ([]eventstore.Outcome, error) {
	a := newArrays()
	for i := range batch {
		if err := a.add(i+1, &batch[i]); err != nil {
			return nil, fmt.Errorf("%w: %w", eventstore.ErrRefused, err)
		}
	}
	var more *string
	if len(a.rest) > 0 {
		data, err := json.Marshal(a.rest)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", eventstore.ErrRefused, err)
		}
		more = new(string(data))
	}
	rows, err := b.pool.Query(ctx, b.sql(commitSQL), len(batch), a.eAppend, a.eID, a.eType, a.eTags, a.eData, a.eMetadata,
		a.aCommit, a.aStream, a.aLeast, a.aMost, a.cCommit, a.cConsumer, a.cPartition, a.cEpoch, a.cFrom, a.cTo,
		a.xCommit, a.xAfter, a.iCondition, a.iStream, a.iCategory, a.iTypes, a.iTags, more)
	if err != nil {
		return nil, outcome(err)
	}
	defer rows.Close()
	outcomes := make([]eventstore.Outcome, 0, len(batch))
	for rows.Next() {
		var code *string
		var detail []byte
		var versions []int64
		var last *int64
		if err := rows.Scan(&code, &detail, &versions, &last); err != nil {
			return nil, unknown(err)
		}
		var o eventstore.Outcome
		if code != nil {
			o.Err = a.refusal(batch, len(outcomes), *code, detail)
		} else {
			for _, v := range versions {
				o.Result.Versions = append(o.Result.Versions, eventstore.Version(v))
			}
			if last != nil {
				o.Result.Position = eventstore.Position(*last)
			}
		}
		outcomes = append(outcomes, o)
	}
	if err := rows.Err(); err != nil {
		return nil, outcome(err)
	}
	b.wake.Fire()
	return outcomes, nil
}

// add adds the nth commit.
func (a *arrays) add(n int, c *eventstore.Commit) error {
	for i := range c.Appends {
		p := &c.Appends[i]
		least, most := p.Expect.Bounds()
		a.aCommit, a.aStream = append(a.aCommit, int32(n)), append(a.aStream, string(p.Stream))
		a.aLeast, a.aMost = append(a.aLeast, int64(least)), append(a.aMost, int64(most))
		for k := range p.Events {
			if err := a.event(&p.Events[k]); err != nil {
				return err
			}
		}
	}
	for _, c := range c.Checkpoints {
		a.cCommit, a.cConsumer = append(a.cCommit, int32(n)), append(a.cConsumer, c.Consumer)
		a.cPartition, a.cEpoch = append(a.cPartition, int32(c.Partition)), append(a.cEpoch, c.Epoch)
		a.cFrom, a.cTo = append(a.cFrom, int64(c.From)), append(a.cTo, int64(c.To))
	}
	for i, x := range c.Unless {
		a.xCommit, a.xIndex = append(a.xCommit, int32(n)), append(a.xIndex, int32(i))
		a.xAfter = append(a.xAfter, int64(x.After))
		for _, it := range x.Query.Items() {
			if err := a.item(&it); err != nil {
				return err
			}
		}
	}
	if r, some := restOf(n, c); some {
		a.rest = append(a.rest, r)
	}
	return nil
}

func (a *arrays) event(e *eventstore.Event) error {
	tags, err := encodeTags(e.Tags)
	if err != nil {
		return err
	}
	m, err := encodeMetadata(&e.Metadata)
	if err != nil {
		return err
	}
	a.eAppend, a.eID = append(a.eAppend, int32(len(a.aCommit))), append(a.eID, e.ID)
	a.eType, a.eTags = append(a.eType, e.Type), append(a.eTags, tags)
	a.eData, a.eMetadata = append(a.eData, string(e.Data)), append(a.eMetadata, m)
	return nil
}

// item adds an alternative of the last condition.
func (a *arrays) item(it *eventstore.Item) error {
	types, err := encodeTags(it.Types)
	if err != nil {
		return err
	}
	tags, err := encodeTags(it.Tags)
	if err != nil {
		return err
	}
	a.iCondition = append(a.iCondition, int32(len(a.xAfter)))
	a.iStream, a.iCategory = append(a.iStream, some(string(it.Stream))), append(a.iCategory, some(it.Category))
	a.iTypes, a.iTags = append(a.iTypes, types), append(a.iTags, tags)
	return nil
}

// some is null for nothing.
func some(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// refusal is why a commit was not written.
func (a *arrays) refusal(batch []eventstore.Commit, n int, code string, detail []byte) error {
	var d struct {
		Consumer       string
		Partition      int
		Epoch, Now     *int64
		Position, From *int64
		Entry          uuid.UUID
		Append         int
		Version        int64
		Condition      int
	}
	if len(detail) > 0 {
		if err := json.Unmarshal(detail, &d); err != nil {
			return err
		}
	}
	switch code {
	case "reused":
		return fmt.Errorf("%w: the commit shares ids with another", eventstore.ErrIDReused)
	case "gone":
		return &eventstore.FencedError{Consumer: d.Consumer, Entry: d.Entry, Reason: "it is done, or somebody else's"}
	case "fenced":
		reason := "no such partition"
		switch {
		case d.Now != nil && *d.Now != *d.Epoch:
			reason = fmt.Sprintf("epoch %d has passed to epoch %d", *d.Epoch, *d.Now)
		case d.Now != nil:
			reason = fmt.Sprintf("stands at %d, not at %d", *d.Position, *d.From)
		}
		return &eventstore.FencedError{Consumer: d.Consumer, Partition: d.Partition, Reason: reason}
	case "conflict":
		first := 0
		for i := range n {
			first += len(batch[i].Appends)
		}
		p := &batch[n].Appends[d.Append-1-first]
		return &eventstore.ConflictError{Stream: p.Stream, Expected: p.Expect, Actual: eventstore.Version(d.Version)}
	case "condition":
		e := &eventstore.ConditionError{Index: int(a.xIndex[d.Condition-1]), After: eventstore.Position(a.xAfter[d.Condition-1])}
		if d.Position != nil {
			e.Position = eventstore.Position(*d.Position)
		}
		return e
	default:
		return fmt.Errorf("commit_batch returned %q", code)
	}
}
