package postgres

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/necrostack/necrostack/eventstore"
)

// batch is a batch of commits as the arguments of commit_batch: an array for each column, with an element for each
// stream (s), expectation (x), event (e), checkpoint (c), condition (u) and item of a condition (i).
type batch struct {
	sStream            []string
	xCommit, xStream   []int32
	xLeast, xMost      []int64
	eCommit, eStream   []int32
	eNth, eFirst       []int32
	eID                pgtype.FlatArray[pgtype.UUID]
	eType              []string
	eTags              []*string
	eData, eMetadata   []string
	cCommit            []int32
	cConsumer          []string
	cPartition         []int32
	cEpoch, cFrom, cTo []int64
	uCommit            []int32
	uAfter             []int64
	iCondition         []int32
	iStream, iCategory []*string
	iTypes, iTags      []*string
	rest               []rest

	commits []eventstore.Commit
	streams map[eventstore.Stream]int32 // their places in sStream, from 1
	counts  []int32                     // how many events each has here
	appends []int32                     // of each expectation: which append of its commit it is about
	indexes []int                       // of each condition: which one of its commit it is
	tagged  bool                        // some event has tags
}

// newBatch encodes commits. Empty arrays are not nil: that would be null.
func newBatch(commits []eventstore.Commit) (*batch, error) {
	events := 0
	for i := range commits {
		for k := range commits[i].Appends {
			events += len(commits[i].Appends[k].Events)
		}
	}
	b := &batch{
		commits: commits, streams: make(map[eventstore.Stream]int32, len(commits)),
		sStream: make([]string, 0, len(commits)), xCommit: []int32{}, xStream: []int32{}, xLeast: []int64{}, xMost: []int64{},
		eCommit: make([]int32, 0, events), eStream: make([]int32, 0, events), eNth: make([]int32, 0, events), eFirst: make([]int32, 0, events),
		eID: make([]pgtype.UUID, 0, events), eType: make([]string, 0, events), eTags: make([]*string, 0, events),
		eData: make([]string, 0, events), eMetadata: make([]string, 0, events),
		cCommit: []int32{}, cConsumer: []string{}, cPartition: []int32{}, cEpoch: []int64{}, cFrom: []int64{}, cTo: []int64{},
		uCommit: []int32{}, uAfter: []int64{},
		iCondition: []int32{}, iStream: []*string{}, iCategory: []*string{}, iTypes: []*string{}, iTags: []*string{},
	}
	for i := range commits {
		if err := b.add(int32(i+1), &commits[i]); err != nil {
			return nil, fmt.Errorf("%w: %w", eventstore.ErrRefused, err)
		}
	}
	return b, nil
}

// args are the arguments of commit_batch, but for the number of commits.
func (b *batch) args() ([]any, error) {
	var more *string
	if len(b.rest) > 0 {
		data, err := json.Marshal(b.rest)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", eventstore.ErrRefused, err)
		}
		more = new(string(data))
	}
	tags := b.eTags
	if !b.tagged {
		tags = nil
	}
	return []any{
		b.sStream, b.xCommit, b.xStream, b.xLeast, b.xMost,
		b.eCommit, b.eStream, b.eNth, b.eFirst, b.eID, b.eType, tags, b.eData, b.eMetadata,
		b.cCommit, b.cConsumer, b.cPartition, b.cEpoch, b.cFrom, b.cTo,
		b.uCommit, b.uAfter, b.iCondition, b.iStream, b.iCategory, b.iTypes, b.iTags, more,
	}, nil
}

// params are placeholders for args, from $n on, with the types that nothing else tells.
func params(n int) string {
	list := make([]string, batchParams)
	for i := range list {
		list[i] = fmt.Sprintf("$%d::%s", n+i, batchTypes[i])
	}
	return strings.Join(list, ", ")
}

const batchParams = 28

// batchColumns are the same as columns of staged.
const batchColumns = "s_stream, x_commit, x_stream, x_least, x_most, " +
	"e_commit, e_stream, e_nth, e_first, e_id, e_type, e_tags, e_data, e_metadata, " +
	"c_commit, c_consumer, c_partition, c_epoch, c_from, c_to, " +
	"u_commit, u_after, i_condition, i_stream, i_category, i_types, i_tags, rest"

var batchTypes = [batchParams]string{
	"text[]", "int[]", "int[]", "bigint[]", "bigint[]",
	"int[]", "int[]", "int[]", "int[]", "uuid[]", "text[]", "json[]", "json[]", "json[]",
	"int[]", "text[]", "int[]", "bigint[]", "bigint[]", "bigint[]",
	"int[]", "bigint[]", "int[]", "text[]", "text[]", "json[]", "json[]", "json",
}

// add adds the nth commit.
func (b *batch) add(n int32, c *eventstore.Commit) error {
	first := int32(len(b.eID) + 1)
	for i := range c.Appends {
		p := &c.Appends[i]
		at := b.stream(p.Stream)
		if p.Expect != eventstore.Any {
			least, most := p.Expect.Bounds()
			b.xCommit, b.xStream, b.appends = append(b.xCommit, n), append(b.xStream, at), append(b.appends, int32(i))
			b.xLeast, b.xMost = append(b.xLeast, int64(least)), append(b.xMost, int64(most))
		}
		for k := range p.Events {
			b.counts[at-1]++
			b.eCommit, b.eStream, b.eFirst = append(b.eCommit, n), append(b.eStream, at), append(b.eFirst, first)
			b.eNth = append(b.eNth, b.counts[at-1])
			if err := b.event(&p.Events[k]); err != nil {
				return err
			}
		}
	}
	for _, c := range c.Checkpoints {
		b.cCommit, b.cConsumer = append(b.cCommit, n), append(b.cConsumer, c.Consumer)
		b.cPartition, b.cEpoch = append(b.cPartition, int32(c.Partition)), append(b.cEpoch, c.Epoch)
		b.cFrom, b.cTo = append(b.cFrom, int64(c.From)), append(b.cTo, int64(c.To))
	}
	for i, u := range c.Unless {
		b.uCommit, b.uAfter, b.indexes = append(b.uCommit, n), append(b.uAfter, int64(u.After)), append(b.indexes, i)
		for _, it := range u.Query.Items() {
			if err := b.item(&it); err != nil {
				return err
			}
		}
	}
	if r, some := restOf(int(n), c); some {
		b.rest = append(b.rest, r)
	}
	return nil
}

// stream returns the place of a stream.
func (b *batch) stream(s eventstore.Stream) int32 {
	at, known := b.streams[s]
	if !known {
		b.sStream, b.counts = append(b.sStream, string(s)), append(b.counts, 0)
		at = int32(len(b.sStream))
		b.streams[s] = at
	}
	return at
}

func (b *batch) event(e *eventstore.Event) error {
	tags, err := encodeTags(e.Tags)
	if err != nil {
		return err
	}
	m, err := encodeMetadata(&e.Metadata)
	if err != nil {
		return err
	}
	b.tagged = b.tagged || tags != nil
	b.eID, b.eType, b.eTags = append(b.eID, pgtype.UUID{Bytes: e.ID, Valid: true}), append(b.eType, e.Type), append(b.eTags, tags)
	b.eData, b.eMetadata = append(b.eData, string(e.Data)), append(b.eMetadata, m)
	return nil
}

// item adds an alternative of the last condition.
func (b *batch) item(it *eventstore.Item) error {
	types, err := encodeTags(it.Types)
	if err != nil {
		return err
	}
	tags, err := encodeTags(it.Tags)
	if err != nil {
		return err
	}
	b.iCondition = append(b.iCondition, int32(len(b.uAfter)))
	b.iStream, b.iCategory = append(b.iStream, some(string(it.Stream))), append(b.iCategory, some(it.Category))
	b.iTypes, b.iTags = append(b.iTypes, types), append(b.iTags, tags)
	return nil
}

// some is null for nothing.
func some(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
