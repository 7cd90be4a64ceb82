package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// follow is a log that is elsewhere. It can go back: its server may lose the last of what it had, when a replica takes over or a
// backup is restored, and go on with other events in their places. So marks are kept, here and in Redis: the latest event that
// is known, which is at or behind whatever a checkpoint has come to. A mark gives way to a later one only when it has been
// looked up after that was read. So whatever was made of events that the log lacks, one of them is a mark that is not there.
type follow struct {
	b    *Backend
	log  *eventstore.Store
	turn chan struct{} // whoever looks marks up

	mu      sync.Mutex
	last    mark      // the latest event that is known
	fresh   []mark    // what has been read since, each behind the one before
	at      time.Time // when marks were last looked up
	doubted bool      // a read has failed since
}

const (
	looking   = time.Second // how often marks are looked up while the log is read. When a read has failed, they are before the next
	mostFresh = 32          // and so are they when there are so many
	lastWord  = time.Second // how long Redis may take to remember that the log went back
)

func newFollow(b *Backend, log *eventstore.Store) *follow {
	return &follow{b: b, log: log, turn: make(chan struct{}, 1)}
}

// note keeps an event that was read, if none that is known is behind it.
func (f *follow) note(m mark) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m.position > f.latest().position {
		f.fresh = append(f.fresh, m)
	}
}

func (f *follow) latest() mark {
	if n := len(f.fresh); n > 0 {
		return f.fresh[n-1]
	}
	return f.last
}

func (f *follow) known() mark {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

// doubt has the marks looked up before the next read.
func (f *follow) doubt() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.doubted = true
}

func (f *follow) due() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.doubted || len(f.fresh) >= mostFresh || time.Since(f.at) >= looking
}

// sure fails if the log went back. It looks marks up where it is time to, those in Redis as well if that answers.
func (f *follow) sure(ctx context.Context) error {
	if _, back := f.b.seen.state(); back != nil {
		return back
	}
	if !f.due() {
		return nil
	}
	if err := f.take(ctx); err != nil {
		return err
	}
	defer func() { <-f.turn }()
	if !f.due() {
		return nil
	}
	kept, err := f.kept(ctx)
	if errors.Is(err, eventstore.ErrWentBack) {
		return err
	} // else Redis need not be there for the log to be read
	return f.look(ctx, kept)
}

// certain is sure at once, and with the marks in Redis.
func (f *follow) certain(ctx context.Context) error {
	if _, back := f.b.seen.state(); back != nil {
		return back
	}
	if err := f.take(ctx); err != nil {
		return err
	}
	defer func() { <-f.turn }()
	kept, err := f.kept(ctx)
	if err != nil {
		return err
	}
	return f.look(ctx, kept)
}

// take waits for the turn to look marks up.
func (f *follow) take(ctx context.Context) error {
	select {
	case f.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// kept is the mark in Redis. It fails if somebody has found that the log went back.
func (f *follow) kept(ctx context.Context) (m mark, err error) {
	list, err := f.b.client.HMGet(ctx, f.b.key("meta"), "mark", "event", "back").Result()
	if err != nil {
		return m, classify(err)
	}
	var r reader
	if len(list) == 3 && list[2] != nil {
		return m, f.b.seen.went("%s", r.text(list[2]))
	}
	if len(list) == 3 && list[0] != nil {
		m.position, m.id = r.position(list[0]), r.uuid(list[1])
	}
	return m, r.err
}

// look looks up all marks but the latest that was read, and that in Redis. The latest is what counts from then on: whether it is
// of the same log shows when the next one has been read.
func (f *follow) look(ctx context.Context, kept mark) error {
	f.mu.Lock()
	marks := append([]mark{kept, f.last}, f.fresh...)
	f.doubted = false
	f.mu.Unlock()
	last := marks[len(marks)-1]
	if len(marks) > 2 {
		marks = marks[:len(marks)-1]
	}
	for i, m := range marks {
		if m.position == 0 || i > 0 && m == kept {
			continue
		}
		err := f.find(ctx, m)
		if i > 0 && errors.Is(err, eventstore.ErrWentBack) { // it was the log's when it was read here
			err = f.spoil(ctx, err)
		}
		if err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.fresh = time.Now(), slices.DeleteFunc(f.fresh, func(m mark) bool { return m.position <= last.position })
	if f.last = last; kept.position > last.position {
		f.last = kept
	}
	return nil
}

// find fails unless the log has an event.
func (f *follow) find(ctx context.Context, m mark) error {
	var head eventstore.Position
	r := eventstore.Range{After: m.position - 1, UpTo: m.position, Through: &head}
	for e, err := range f.log.Backend().Read(ctx, eventstore.All(), r) {
		if err != nil {
			f.doubt()
			return err
		}
		if e.ID != m.id {
			return f.other(m, e.ID)
		}
		return nil
	}
	return f.shorter(m, head)
}

// spoil has nobody go on with what is kept in Redis: some of it is made of events that the log lacks, and the marks there need not
// tell so any more. Else the next to look finds out by himself.
func (f *follow) spoil(ctx context.Context, back error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWord)
	defer cancel()
	_ = f.b.client.HSet(ctx, f.b.key("meta"), "back", strings.TrimPrefix(back.Error(), eventstore.ErrWentBack.Error()+": ")).Err()
	return back
}

// other says that the log has another event in the place of one.
func (f *follow) other(m mark, is any) error {
	return f.b.seen.went("it has the event %v at position %d, and what %q keeps in Redis is made of one with the event %s there", is, m.position, f.b.cfg.Log, m.id)
}

// shorter says that the log ends before an event.
func (f *follow) shorter(m mark, head eventstore.Position) error {
	return f.b.seen.went("it ends at position %d, and what %q keeps in Redis is made of one with the event %s at position %d", head, f.b.cfg.Log, m.id, m.position)
}

// head is the last event of the log: none, if it is empty.
func (f *follow) head(ctx context.Context) (m mark, err error) {
	for e, err := range f.log.Backend().Read(ctx, eventstore.All(), eventstore.Range{Backward: true, Limit: 1}) {
		if err != nil {
			f.doubt()
			return m, err
		}
		m = mark{e.Position, e.ID}
	}
	f.note(m)
	return m, nil
}

// upTo returns a mark at or behind a position.
func (f *follow) upTo(ctx context.Context, p eventstore.Position) (mark, error) {
	if m := f.known(); m.position >= p {
		return m, nil
	}
	if err := f.take(ctx); err != nil {
		return mark{}, err
	}
	defer func() { <-f.turn }()
	if m := f.known(); m.position >= p {
		return m, nil
	}
	f.mu.Lock()
	latest := f.latest()
	f.mu.Unlock()
	if latest.position < p {
		m, err := f.head(ctx)
		if err != nil {
			return m, err
		}
		if m.position < p {
			return m, f.b.seen.went("it ends at position %d, and what %q keeps in Redis has come to position %d", m.position, f.b.cfg.Log, p)
		}
	}
	if err := f.look(ctx, mark{}); err != nil {
		return mark{}, err
	}
	return f.known(), nil
}

// following begins the arguments of commits: with a mark, if they have checkpoints in a log that is elsewhere.
func (b *Backend) following(ctx context.Context, commits []eventstore.Commit) (a arguments, err error) {
	if b.follow == nil {
		return a, nil
	}
	most := eventstore.Position(-1)
	for i := range commits {
		for _, c := range commits[i].Checkpoints {
			most = max(most, c.To)
		}
	}
	if most <= 0 {
		return a, nil
	}
	if a.mark, err = b.follow.upTo(ctx, most); err != nil {
		return a, fmt.Errorf("read the log: %w", err)
	}
	return a, nil
}

// tell makes sure of a log that is elsewhere, and tells Redis of its head.
func (b *Backend) tell(ctx context.Context) error {
	if b.follow == nil {
		return nil
	}
	if err := b.follow.certain(ctx); err != nil {
		return err
	}
	m, err := b.follow.head(ctx)
	if err != nil || m.position == 0 {
		return err
	}
	reply, err := b.run(ctx, tellScript, int64(m.position), m.id.String())
	if err != nil {
		return classify(err)
	}
	var r reader
	if event := r.text(r.item(reply, 0)); event != "" {
		return b.follow.other(mark{m.position, r.uuid(event)}, m.id)
	}
	return r.err
}
