package organs

import (
	"context"
	"maps"
	"slices"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

// mostPrefetched is how many streams are read at once, of events that are for many.
const mostPrefetched = 64

// prefetch loads what a batch is about to be decided for by one read, in place of one for each. It takes streams that the cache
// does not have; what becomes of the others, or of all if the read fails, is up to the decisions. One on what was prefetched is
// one on a state from the cache. Nobody waits for a prefetch.
func (es *entities[S]) prefetch(ctx context.Context, batch []spine.Input) {
	ahead := es.absent(batch)
	if len(ahead) < 2 {
		return
	}
	found, done := es.loads.together(ctx, slices.Collect(maps.Keys(ahead))...)
	defer done()
	if found == nil {
		return
	}
	for _, e := range ahead {
		if es.takeAll(e, found) != nil {
			return
		}
	}
	es.mu.Lock()
	defer es.mu.Unlock()
	for stream, e := range ahead {
		if es.in[stream] == nil {
			e.seen, e.loaded = found.through, true
			es.in[stream] = e
		}
	}
	es.evict()
}

// absent makes entities of a batch's streams that the cache does not have: no more than fit well into it, or they were forgotten
// before they are needed.
func (es *entities[S]) absent(batch []spine.Input) map[eventstore.Stream]*entity[S] {
	absent, most := map[eventstore.Stream]*entity[S]{}, min(mostPrefetched, es.size/2)
	es.mu.Lock()
	defer es.mu.Unlock()
	for i := range batch {
		for _, id := range batch[i].Keys {
			stream, err := streamOf(es.aggregate.Category, id)
			if err == nil && len(absent) < most && es.in[stream] == nil {
				absent[stream] = newEntity[S](stream)
			}
		}
	}
	return absent
}
