package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/redis/go-redis/v9"
)

// How a log is kept, and what is kept beside one that is elsewhere: a program that does not know it must not touch it.
const (
	format       = "1"
	formatBeside = "beside-1"
)

var errNoNode = errors.New("the client has no single server")

// prepare makes sure that the server is such as the log needs it, and that the log is of a kind that this program knows.
func (b *Backend) prepare(ctx context.Context) error {
	s, err := b.reach(ctx)
	if err != nil {
		return err
	}
	b.clustered = s.clustered
	if err := s.fit(b.cfg.AcceptVolatile, b.follow != nil); err != nil {
		return err
	}
	for _, w := range b.warnings(s) {
		b.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "a setting of the server endangers the log",
			slog.String("log", b.cfg.Log), slog.String("server", s.address), slog.String("setting", w))
	}
	// Whoever cannot write for the moment, such as a replica, is told when it commits.
	if _, err := b.run(ctx, probeScript); err != nil && !eventstore.IsRetryable(classify(err)) {
		return classify(err)
	}
	if err := b.identify(ctx); err != nil {
		return err
	}
	if err := b.tell(ctx); err != nil && !eventstore.IsRetryable(err) { // claims look again
		return err
	}
	return nil
}

const (
	// attempts is how often Open tries a server that is starting up, or not there, with pauses that double from firstPause: 3.1 s in all.
	attempts   = 6
	firstPause = 100 * time.Millisecond
)

// reach asks the server what it is, again if it may soon be there.
func (b *Backend) reach(ctx context.Context) (s server, err error) {
	wait := firstPause
	for n := 1; ; n++ {
		if s, err = b.inspect(ctx); err == nil {
			return s, nil
		}
		err = classify(err)
		if !eventstore.IsRetryable(err) || ctx.Err() != nil {
			return s, err
		}
		if n == attempts {
			return s, fmt.Errorf("%d attempts: %w", n, err)
		}
		pause(ctx, wait)
		wait *= 2
	}
}

// identify begins a log, or finds the one that is there.
func (b *Backend) identify(ctx context.Context) error {
	meta, format := b.key("meta"), b.format()
	kept, err := b.client.HGet(ctx, meta, "format").Result()
	if errors.Is(err, redis.Nil) {
		_, err = b.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			p.HSetNX(ctx, meta, "id", uuid.NewString())
			p.HSetNX(ctx, meta, "format", format)
			return nil
		})
		kept = format
	}
	if err != nil {
		return classify(err)
	}
	if kept != format {
		return fmt.Errorf("log %q is of format %s, and %s is wanted", b.cfg.Log, kept, format)
	}
	if b.follow != nil {
		return nil
	}
	return b.check(ctx)
}

// check refuses a log of which a part is missing, for instance because somebody has removed keys.
func (b *Backend) check(ctx context.Context) error {
	reply, err := b.run(ctx, checkScript)
	if err != nil {
		return classify(err)
	}
	var r reader
	head, last := r.position(r.item(reply, 0)), r.text(r.item(reply, 1))
	if r.err == nil && place(head) != last {
		return fmt.Errorf("log %q is damaged: its head is %d, and its last entry %s", b.cfg.Log, head, last)
	}
	return r.err
}

func (b *Backend) format() string {
	if b.follow != nil {
		return formatBeside
	}
	return format
}

// server is what a server says of itself.
type server struct {
	address    string
	version    string
	role       string
	clustered  bool
	durability Durability
}

// inspect asks the server that has the log.
func (b *Backend) inspect(ctx context.Context) (s server, err error) {
	node, err := b.node(ctx)
	if err != nil {
		return s, err
	}
	if c, ok := node.(*redis.Client); ok {
		s.address = c.Options().Addr
	}
	asked := once{redis.NewCmd(ctx, "INFO")}
	_ = node.Process(ctx, asked)
	info, err := asked.Text()
	if err != nil {
		return s, err
	}
	f := fields(info)
	s.version, s.role, s.clustered = f["redis_version"], f["role"], f["cluster_enabled"] == "1"
	s.durability = Durability{
		AppendOnly: f["aof_enabled"] == "1", MaxMemory: number(f["maxmemory"]), Eviction: f["maxmemory_policy"],
		Replicas: int(number(f["connected_slaves"])), Behind: behind(f), LastWrite: f["aof_last_write_status"],
	}
	// Where CONFIG is not allowed, as in most clouds, only when what was written is flushed stays unknown.
	settings, err := node.ConfigGet(ctx, "append*").Result()
	if _, said := answer(err); err != nil && !said {
		return s, err
	}
	s.durability.AppendFsync = settings["appendfsync"]
	return s, nil
}

// fields reads lines of "name:value".
func fields(info string) map[string]string {
	f := map[string]string{}
	for line := range strings.Lines(info) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			f[name] = value
		}
	}
	return f
}

// behind is how far the last of the replicas is behind, which the server lists as "slave0:ip=…,port=…,state=online,offset=…,lag=…".
func behind(f map[string]string) (most int64) {
	for n := range number(f["connected_slaves"]) {
		for setting := range strings.SplitSeq(f[fmt.Sprint("slave", n)], ",") {
			if offset, ok := strings.CutPrefix(setting, "offset="); ok {
				most = max(most, number(f["master_repl_offset"])-number(offset))
			}
		}
	}
	return most
}

func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64) // what is no number is none
	return n
}

// fit refuses a server that is too old, or that would lose what it has acknowledged. What is beside a log may be lost as a whole, for
// it is made of that.
func (s server) fit(volatile, beside bool) error {
	major, _, _ := strings.Cut(s.version, ".")
	if number(major) < 7 {
		return fmt.Errorf("the server at %s is Redis %s, and the log needs 7.0 or newer", s.address, s.version)
	}
	if volatile {
		return nil
	}
	if !s.durability.AppendOnly && !beside {
		return fmt.Errorf("%w: the one at %s has appendonly no, so a restart loses what was acknowledged: set appendonly yes, or Config.AcceptVolatile",
			ErrVolatile, s.address)
	}
	if s.durability.evicts() {
		return fmt.Errorf("%w: the one at %s has maxmemory-policy %s, and would remove parts of it: set noeviction, or Config.AcceptVolatile",
			ErrVolatile, s.address, s.durability.Eviction)
	}
	return nil
}

// warnings says what endangers that which is kept here.
func (b *Backend) warnings(s server) []string {
	if b.follow != nil {
		return s.evicting()
	}
	return s.warnings()
}

func (s server) evicting() []string {
	if !s.durability.evicts() {
		return nil
	}
	return []string{"maxmemory-policy " + s.durability.Eviction + ": the server removes parts of the log when its memory is full"}
}

// warnings says which settings endanger the log, and how.
func (s server) warnings() (found []string) {
	warn := func(is bool, text string) {
		if is {
			found = append(found, text)
		}
	}
	d := s.durability
	warn(!d.AppendOnly, "appendonly no: a restart loses what was acknowledged")
	found = append(found, s.evicting()...)
	warn(d.AppendOnly && d.AppendFsync == "everysec", "appendfsync everysec: a crash of the machine loses up to two seconds of what was acknowledged")
	warn(d.AppendOnly && d.AppendFsync == "no", "appendfsync no: a crash of the machine loses what the kernel has not written yet")
	warn(d.AppendOnly && d.AppendFsync == "", "appendfsync cannot be read: the user may not use CONFIG GET")
	warn(d.LastWrite != "" && d.LastWrite != "ok", "the last write to the append-only file has failed")
	warn(s.role != "" && s.role != "master", "the server is a replica: it refuses every commit until it is promoted")
	return found
}
