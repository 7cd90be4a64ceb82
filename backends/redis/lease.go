package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// definition is a consumer as the log holds it.
type definition struct {
	Partitions int                 `json:"partitions"`
	Keys       int                 `json:"keys"`
	Hash       string              `json:"hash"`
	Listens    []string            `json:"listens"`
	Competing  bool                `json:"competing"`
	Until      eventstore.Position `json:"until"`
	Next       string              `json:"next"`
	Former     []string            `json:"former"`
}

func encodeDefinition(c eventstore.Consumer) ([]byte, error) {
	return json.Marshal(definition{c.Partitions, c.Keys, c.Hash, c.Listens, c.Competing, c.Until, c.Next, c.Former})
}

func (r *reader) consumer(name string, generation, data any) eventstore.Consumer {
	var d definition
	if err := json.Unmarshal([]byte(r.text(data)), &d); err != nil {
		r.fail(data, "a definition")
	}
	return eventstore.Consumer{
		Name: name, Partitions: d.Partitions, Keys: d.Keys, Hash: d.Hash, Listens: d.Listens, Competing: d.Competing,
		Until: d.Until, Next: d.Next, Generation: r.int(generation), Former: d.Former,
	}
}

// control runs a script that changes what consumers are or who runs them, which may be done twice.
func (b *Backend) control(ctx context.Context, s *script, args ...any) ([]any, error) {
	reply, err := b.run(ctx, s, args...)
	if err != nil {
		return nil, classify(err)
	}
	b.wake.Fire()
	return reply, nil
}

// Define implements eventstore.Leaser.
func (b *Backend) Define(ctx context.Context, c eventstore.Consumer) (eventstore.Consumer, error) {
	if err := c.Validate(); err != nil {
		return c, err
	}
	text, err := encodeDefinition(c)
	if err != nil {
		return c, err
	}
	if err := b.tell(ctx); err != nil {
		return c, err
	}
	reply, err := b.control(ctx, defineScript, c.Name, text, c.Partitions, c.Competing)
	if err != nil {
		return c, err
	}
	var r reader
	known := r.consumer(c.Name, r.item(reply, 0), r.item(reply, 1))
	return known, r.err
}

// Redefine implements eventstore.Leaser.
func (b *Backend) Redefine(ctx context.Context, c eventstore.Consumer) (eventstore.Consumer, error) {
	if err := c.Validate(); err != nil {
		return c, err
	}
	text, err := encodeDefinition(c)
	if err != nil {
		return c, err
	}
	reply, err := b.control(ctx, redefineScript, c.Name, text, c.Partitions, c.Competing, c.Generation)
	if err != nil {
		return c, err
	}
	switch {
	case len(reply) > 1:
		var r reader
		known := r.consumer(c.Name, reply[0], reply[1])
		return known, r.err
	case len(reply) == 1 && reply[0] == "positions":
		return c, fmt.Errorf("redefine %s: %w: its partitions stand at different positions", c.Name, eventstore.ErrConflict)
	default:
		return c, fmt.Errorf("redefine %s: %w: generation %d is not the present one", c.Name, eventstore.ErrConflict, c.Generation)
	}
}

// Renew implements eventstore.Leaser.
func (b *Backend) Renew(ctx context.Context, m eventstore.Member, ttl time.Duration) ([]eventstore.Roster, error) {
	if err := eventstore.CheckName("member", m.ID); err != nil {
		return nil, err
	}
	args := []any{m.ID, ttl.Microseconds()}
	for _, c := range m.Consumers {
		args = append(args, c)
	}
	reply, err := b.control(ctx, renewScript, args...)
	if err != nil {
		return nil, err
	}
	return rosters(m.Consumers, reply)
}

// Roster implements eventstore.Leaser.
func (b *Backend) Roster(ctx context.Context, consumer string) (eventstore.Roster, error) {
	reply, err := b.run(ctx, rostersScript, consumer)
	if err != nil {
		return eventstore.Roster{}, classify(err)
	}
	all, err := rosters([]string{consumer}, reply)
	if err != nil {
		return eventstore.Roster{}, err
	}
	return all[0], nil
}

func rosters(names []string, reply []any) ([]eventstore.Roster, error) {
	var r reader
	all := make([]eventstore.Roster, len(names))
	for i, name := range names {
		all[i].Consumer = name
		if said := r.list(r.item(reply, i)); len(said) > 0 {
			r.roster(said, &all[i])
		}
	}
	return all, r.err
}

func (r *reader) roster(said []any, to *eventstore.Roster) {
	to.Generation = r.int(r.item(said, 0))
	to.Competing, to.Paused = r.item(said, 1) == "1", r.item(said, 2) == "1"
	to.Redrives, to.History = r.int(r.item(said, 3)), r.position(r.item(said, 4))
	for _, m := range r.list(r.item(said, 5)) {
		to.Members = append(to.Members, r.text(m))
	}
	slices.Sort(to.Members)
	lanes := r.list(r.item(said, 6))
	for i := 0; i+2 < len(lanes); i += 3 {
		to.Partitions = append(to.Partitions, eventstore.Partition{
			Owner: r.text(lanes[i]), Epoch: r.int(lanes[i+1]), Position: r.position(lanes[i+2]),
		})
	}
}

// Claim implements eventstore.Leaser.
func (b *Backend) Claim(ctx context.Context, member, consumer string, generation int64, partitions []int) ([]eventstore.Lease, error) {
	if err := b.tell(ctx); err != nil {
		return nil, err
	}
	args := []any{member, consumer, generation}
	for _, n := range partitions {
		args = append(args, n)
	}
	reply, err := b.control(ctx, claimScript, args...)
	if err != nil {
		return nil, err
	}
	if code, ok := refusal(reply); ok {
		return nil, fmt.Errorf("claim %s: %w", consumer, unclaimed(code, member, consumer, generation, reply))
	}
	var r reader
	var leases []eventstore.Lease
	for _, lane := range reply {
		l := r.list(lane)
		leases = append(leases, eventstore.Lease{
			Consumer: consumer, Partition: int(r.int(r.item(l, 0))), Epoch: r.int(r.item(l, 1)), Position: r.position(r.item(l, 2)), Lost: int(r.int(r.item(l, 3))),
		})
	}
	return leases, r.err
}

// refusal is a reply that is a word.
func refusal(reply []any) (string, bool) {
	if len(reply) == 0 {
		return "", false
	}
	code, ok := reply[0].(string)
	return code, ok
}

// unclaimed is why a member may not claim.
func unclaimed(code, member, consumer string, generation int64, reply []any) error {
	switch code {
	case "unknown":
		return unheard(consumer)
	case "dead":
		return fmt.Errorf("%w: member %s is not alive", eventstore.ErrFenced, member)
	case "refused":
		return fmt.Errorf("%w: it is paused, or not of generation %d", eventstore.ErrFenced, generation)
	default:
		return &eventstore.InvalidError{Field: "partition", Reason: fmt.Sprintf("%v is not one of %v", reply[1], reply[2])}
	}
}

func unheard(consumer string) error {
	return &eventstore.InvalidError{Field: "consumer", Reason: fmt.Sprintf("%q is not known to the log", consumer)}
}

// Release implements eventstore.Leaser.
func (b *Backend) Release(ctx context.Context, member string, leases []eventstore.Lease) error {
	args := []any{member}
	for _, l := range leases {
		args = append(args, l.Consumer, l.Partition, l.Epoch)
	}
	_, err := b.control(ctx, releaseScript, args...)
	return err
}

// Leave implements eventstore.Leaser.
func (b *Backend) Leave(ctx context.Context, member string) error {
	_, err := b.control(ctx, leaveScript, member)
	return err
}
