package redis

import (
	"context"
	"encoding/json"

	"github.com/necrostack/necrostack/eventstore"
)

// Save implements eventstore.Snapshotter.
func (b *Backend) Save(ctx context.Context, s eventstore.Snapshot) error {
	_, err := b.run(ctx, saveScript, string(s.Stream), s.Fold, int64(s.Version), []byte(s.Data))
	return classify(err)
}

// Snapshot implements eventstore.Snapshotter.
func (b *Backend) Snapshot(ctx context.Context, fold string, stream eventstore.Stream) (s eventstore.Snapshot, err error) {
	values, err := b.client.HMGet(ctx, b.key("snapshot:"+string(stream)), "v:"+fold, "d:"+fold).Result()
	if err != nil {
		return s, classify(err)
	}
	if values[0] == nil || values[1] == nil {
		return s, nil
	}
	var r reader
	return eventstore.Snapshot{
		Fold: fold, Stream: stream, Version: eventstore.Version(r.int(values[0])), Data: json.RawMessage(r.text(values[1])),
	}, r.err
}
