package redis

import (
	"cmp"
	"context"
	"encoding/json"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/redis/go-redis/v9"
)

// Fire implements eventstore.Scheduler. A call whose answer is lost may be made again: what it has moved is gone.
func (b *Backend) Fire(ctx context.Context, limit int) (fired int, next time.Time, err error) {
	reply, err := b.run(ctx, fireScript, limit)
	if err != nil {
		return 0, next, classify(err)
	}
	var r reader
	fired, next = int(r.int(r.item(reply, 0))), r.time(r.item(reply, 1))
	if fired > 0 {
		b.wake.Fire()
	}
	return fired, next, r.err
}

// listed is how many schedules or parked entries are read at once.
const listed = 500

// Scheduled implements eventstore.Scheduler.
func (b *Backend) Scheduled(ctx context.Context) iter.Seq2[eventstore.Schedule, error] {
	const digits = 17 // and a colon, before the id: see lua/change.lua
	return func(yield func(eventstore.Schedule, error) bool) {
		members, err := b.client.ZRange(ctx, b.key("due"), 0, -1).Result()
		for chunk := range slices.Chunk(members, listed) {
			var replies []*redis.StringSliceCmd
			if err == nil {
				_, err = b.client.Pipelined(ctx, func(p redis.Pipeliner) error {
					for _, m := range chunk {
						replies = append(replies, p.LRange(ctx, b.key("schedule:"+m[digits:]), 1, -1))
					}
					return nil
				})
			}
			if err != nil {
				break
			}
			for i, cmd := range replies {
				list := cmd.Val()
				if len(list) == 0 { // it has fired meanwhile
					continue
				}
				var r reader
				s := r.schedule(chunk[i][digits:], list)
				if !yield(s, r.err) || r.err != nil {
					return
				}
			}
		}
		if err != nil {
			yield(eventstore.Schedule{}, classify(err))
		}
	}
}

// schedule reads when a schedule is due, and its append as it was an argument.
func (r *reader) schedule(id string, list []string) (s eventstore.Schedule) {
	const from = 6
	if len(list) < from || (len(list)-from)%stride != 0 {
		r.fail(list, "a schedule")
		return s
	}
	s.ID, s.Due, s.Append.Stream = r.uuid(id), r.time(list[0]), eventstore.Stream(list[1])
	for i := from; i < len(list); i += stride {
		e := eventstore.Event{Stream: s.Append.Stream, ID: r.uuid(list[i]), Type: list[i+2], Data: json.RawMessage(list[i+5])}
		r.metadata(list[i+3], &e)
		if list[i+4] != "" {
			e.Tags = strings.Split(list[i+4], "\x00")
		}
		s.Append.Events = append(s.Append.Events, e)
	}
	return s
}

// Parked implements eventstore.Parker.
func (b *Backend) Parked(ctx context.Context, f eventstore.ParkedFilter) iter.Seq2[eventstore.Parked, error] {
	return func(yield func(eventstore.Parked, error) bool) {
		all, err := b.parked(ctx, f)
		if err != nil {
			yield(eventstore.Parked{}, classify(err))
			return
		}
		for _, p := range all {
			if !yield(p, nil) {
				return
			}
		}
	}
}

// parked reads the entries that a filter selects, in order.
func (b *Backend) parked(ctx context.Context, f eventstore.ParkedFilter) (all []eventstore.Parked, err error) {
	key := b.key("parked")
	if f.Consumer != "" {
		key = b.key("pc:" + f.Consumer)
	}
	ids, err := b.client.ZRange(ctx, key, 0, -1).Result()
	if err != nil {
		return nil, err
	}
	if f.IDs != nil {
		ids = slices.DeleteFunc(ids, func(id string) bool {
			return !slices.ContainsFunc(f.IDs, func(x uuid.UUID) bool { return x.String() == id })
		})
	}
	for chunk := range slices.Chunk(ids, listed) {
		var replies []*redis.MapStringStringCmd
		if _, err := b.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, id := range chunk {
				replies = append(replies, p.HGetAll(ctx, b.key("parked:"+id)))
			}
			return nil
		}); err != nil {
			return nil, err
		}
		for i, cmd := range replies {
			fields := cmd.Val()
			if len(fields) == 0 { // it was taken back meanwhile
				continue
			}
			var r reader
			p := r.parked(chunk[i], fields)
			if r.err != nil {
				return nil, r.err
			}
			if f.Matches(&p) {
				all = append(all, p)
			}
		}
	}
	slices.SortStableFunc(all, func(x, y eventstore.Parked) int {
		return cmp.Or(cmp.Compare(x.Position, y.Position), cmp.Compare(x.Key, y.Key), cmp.Compare(x.Consumer, y.Consumer))
	})
	return all, nil
}

func (r *reader) parked(id string, f map[string]string) eventstore.Parked {
	return eventstore.Parked{
		ID: r.uuid(id), Consumer: f["consumer"], Partition: int(r.int(f["partition"])), Key: f["key"], Position: r.position(f["position"]),
		Event: r.uuid(f["event"]), Attempts: int(r.int(f["attempts"])), Failures: r.failures(f["failures"]), Due: r.time(f["due"]),
		Redriven: f["redriven"] == "1", At: r.time(f["at"]),
	}
}
