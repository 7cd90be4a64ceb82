package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/necrostack/necrostack/eventstore"
)

// Handlers write a read model in tables of the caller's own, in the database of the log: put them into
// projections.Handlers.To. They run in one transaction with the read model's progress, at READ COMMITTED, so each event
// counts once. A handler that does nothing with its transaction for five seconds loses it: a process that has stopped must
// not hold up who takes its work over. If a batch fails, its events are handled again one by one, and what came before the
// one that cannot be handled is committed.
type Handlers []Handler

// Handler writes what events of one type mean. It is made by On, OnLive and OnBatch; or by OnReset.
type Handler struct {
	typ   string
	run   func(ctx context.Context, tx Tx, batch []eventstore.Event) error
	reset func(ctx context.Context, tx Tx) error
	fault error
}

// On handles one event after the other. E may be eventstore.Recorded, to see the whole event.
func On[E eventstore.Payload](handle func(ctx context.Context, tx Tx, e E) error) Handler {
	h := OnBatch(func(ctx context.Context, tx Tx, es []E) error {
		for _, e := range es {
			if err := handle(ctx, tx, e); err != nil {
				return err
			}
		}
		return nil
	})
	if handle == nil {
		h.fault = errors.Join(h.fault, fmt.Errorf("handler of %s is nil", h.typ))
	}
	return h
}

// OnLive is On for what has effects elsewhere, or is about what is new: it passes over events that were in the log before the
// handlers were first run, or rebuilt. See eventstore.History.
func OnLive[E eventstore.Payload](handle func(ctx context.Context, tx Tx, e E) error) Handler {
	h := On(handle)
	all := h.run
	h.run = func(ctx context.Context, tx Tx, batch []eventstore.Event) error {
		history, n := eventstore.History(ctx), 0
		for n < len(batch) && batch[n].Position <= history {
			n++
		}
		if n == len(batch) {
			return nil
		}
		return all(ctx, tx, batch[n:])
	}
	return h
}

// OnReset removes what the other handlers have written, so that projections.Rebuild can begin: usually by TRUNCATE.
func OnReset(remove func(ctx context.Context, tx Tx) error) Handler {
	h := Handler{reset: remove}
	if remove == nil {
		h.fault = errors.New("handler of a reset is nil")
	}
	return h
}

// OnBatch handles as many events of E's type together as follow one another among those that the handlers listen to, so
// that order is kept.
func OnBatch[E eventstore.Payload](handle func(ctx context.Context, tx Tx, es []E) error) Handler {
	name, fault := eventstore.TypeOf[E]()
	if handle == nil {
		fault = errors.Join(fault, fmt.Errorf("handler of %s is nil", name))
	}
	return Handler{typ: name, fault: fault, run: func(ctx context.Context, tx Tx, batch []eventstore.Event) error {
		es := make([]E, len(batch))
		for i := range batch {
			var err error
			if es[i], err = eventstore.Decode[E](batch[i]); err != nil {
				return err
			}
		}
		return handle(ctx, tx, es)
	}}
}

// Tx is a transaction that somebody else ends. It is a DBTX of sqlc.
type Tx struct{ tx pgx.Tx }

// Exec executes a statement.
func (t Tx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return t.tx.Exec(ctx, sql, args...)
}

// Query queries rows, which must be closed before the handler returns.
func (t Tx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return t.tx.Query(ctx, sql, args...)
}

// QueryRow queries one row.
func (t Tx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return t.tx.QueryRow(ctx, sql, args...)
}

// SendBatch sends statements together.
func (t Tx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	return t.tx.SendBatch(ctx, b)
}

// CopyFrom copies rows into a table.
func (t Tx) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, from pgx.CopyFromSource) (int64, error) {
	return t.tx.CopyFrom(ctx, table, columns, from)
}

// Attach implements projections.Target.
func (hs Handlers) Attach(st *eventstore.Store) (types []string, err error) {
	errs := []error{}
	if _, ok := st.Backend().(*Backend); !ok {
		errs = append(errs, fmt.Errorf("handlers in SQL need a log in PostgreSQL, and this one is kept by %T", st.Backend()))
	}
	for i, h := range hs {
		if h.run == nil && h.reset == nil && h.fault == nil {
			h.fault = fmt.Errorf("handler %d is empty: make it with On or OnBatch", i+1)
		}
		if errs = append(errs, h.fault); h.typ != "" && !slices.Contains(types, h.typ) {
			types = append(types, h.typ)
		}
	}
	return types, errors.Join(errs...)
}

// Apply implements projections.Target.
func (hs Handlers) Apply(ctx context.Context, st *eventstore.Store, batch []eventstore.Event) (eventstore.Pending, func(), int, error) {
	b, ok := st.Backend().(*Backend)
	if !ok {
		return nil, nil, 0, fmt.Errorf("the log is kept by %T, not in PostgreSQL", st.Backend())
	}
	p := &pendingSQL{b: b, handlers: hs, events: batch}
	done, err := p.apply(ctx)
	if done == 0 {
		if p.conn == nil && eventstore.IsRetryable(err) || p.conn != nil && p.conn.Conn().IsClosed() && ctx.Err() == nil {
			err = fmt.Errorf("%w: %w", eventstore.ErrUnavailable, err) // no event is to blame
		}
		p.release(ctx)
		return nil, nil, 0, err
	}
	return p, func() { p.release(ctx) }, done, err
}

// Clear implements projections.Clearer, by those that OnReset has made.
func (hs Handlers) Clear(ctx context.Context, st *eventstore.Store, consumer string) error {
	b, ok := st.Backend().(*Backend)
	if !ok {
		return fmt.Errorf("the log is kept by %T, not in PostgreSQL", st.Backend())
	}
	if !slices.ContainsFunc(hs, func(h Handler) bool { return h.reset != nil }) {
		return fmt.Errorf("%s cannot be rebuilt: none of its handlers is OnReset, to clear what they have written", consumer)
	}
	return b.tx(ctx, func(tx pgx.Tx) error {
		for _, h := range hs { // before the partitions are locked, as in a commit
			if h.reset == nil {
				continue
			}
			if err := h.reset(ctx, Tx{tx}); err != nil {
				return fmt.Errorf("clear what %s has written: %w", consumer, err)
			}
		}
		if _, err := b.consumer(ctx, tx, consumer, "FOR UPDATE"); err != nil {
			return err
		}
		return b.reset(ctx, tx, consumer, 0)
	})
}

// pendingSQL is a transaction in which handlers have handled events.
type pendingSQL struct {
	b        *Backend
	handlers Handlers
	events   []eventstore.Event
	conn     *pgxpool.Conn // nil: the transaction is over
	tx       pgx.Tx
}

// handlersQuery begins a transaction in which functions of the caller's run.
const handlersQuery = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '5s'"

func (p *pendingSQL) begin(ctx context.Context) (err error) {
	if p.conn, err = p.b.pool.Acquire(ctx); err != nil {
		return classify(err)
	}
	if p.tx, err = p.conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, BeginQuery: handlersQuery}); err != nil {
		p.conn.Release()
		p.conn = nil
		return classify(err)
	}
	return nil
}

// release ends the transaction, if it has not ended.
func (p *pendingSQL) release(ctx context.Context) {
	if p.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollback)
	defer cancel()
	_ = p.tx.Rollback(ctx) // if that fails, the connection is closed
	p.conn.Release()
	p.conn = nil
}

// apply handles all events at once, or as many as it can one by one.
func (p *pendingSQL) apply(ctx context.Context) (done int, err error) {
	if err := p.begin(ctx); err != nil {
		return 0, err
	}
	if err = p.run(ctx, p.tx, p.events); err == nil {
		return len(p.events), nil
	}
	if next(p.events) == len(p.events) || ctx.Err() != nil {
		return 0, err
	}
	p.release(ctx)
	if err := p.begin(ctx); err != nil {
		return 0, err
	}
	for done < len(p.events) {
		n := next(p.events[done:])
		err = pgx.BeginFunc(ctx, p.tx, func(savepoint pgx.Tx) error { return p.run(ctx, savepoint, p.events[done:done+n]) })
		if err != nil {
			break
		}
		done += n
	}
	p.events = p.events[:done]
	return done, err
}

// next is how many events at the front are parts of one.
func next(events []eventstore.Event) int {
	n := 1
	for n < len(events) && events[n].Position == events[0].Position {
		n++
	}
	return n
}

// run runs the handlers for events in order, those of one type together.
func (p *pendingSQL) run(ctx context.Context, tx pgx.Tx, events []eventstore.Event) error {
	for len(events) > 0 {
		n := 1
		for n < len(events) && events[n].Type == events[0].Type {
			n++
		}
		for _, h := range p.handlers {
			if h.run == nil || h.typ != events[0].Type {
				continue
			}
			if err := h.run(ctx, Tx{tx}, events[:n]); err != nil {
				return fmt.Errorf("handler of %s: %w", h.typ, err)
			}
		}
		events = events[n:]
	}
	return nil
}

// Commit implements eventstore.Pending. When it is called again, the handlers run again, unless what they did stands
// already: whose partition it is tells, and that is locked first, so that a commit under way has come to its end.
func (p *pendingSQL) Commit(ctx context.Context, c eventstore.Commit) (r eventstore.Result, err error) {
	defer p.release(ctx)
	if p.conn == nil {
		if err := p.begin(ctx); err != nil {
			return r, err
		}
		stands, err := p.b.stands(ctx, p.tx, c)
		if stands || err != nil {
			return r, classify(err)
		}
		if err := p.run(ctx, p.tx, p.events); err != nil {
			return r, retryable{fmt.Errorf("handled again: %w", err)}
		}
	}
	if err := p.b.stage(ctx, p.tx, c); err != nil {
		return r, err
	}
	return r, p.b.finish(ctx, p.tx)
}

// stands reports whether the checkpoints of a commit that moves some have been made by their owner. It locks them.
func (b *Backend) stands(ctx context.Context, tx pgx.Tx, c eventstore.Commit) (bool, error) {
	moves := slices.Clone(c.Checkpoints)
	slices.SortFunc(moves, func(x, y eventstore.Checkpoint) int {
		if x.Consumer != y.Consumer {
			if x.Consumer < y.Consumer {
				return -1
			}
			return 1
		}
		return x.Partition - y.Partition
	})
	stand := false
	for _, m := range moves {
		if m.From == m.To {
			continue
		}
		var epoch int64
		if err := tx.QueryRow(ctx, b.sql("SELECT epoch FROM @partitions WHERE consumer = $1 AND partition = $2 FOR UPDATE"), m.Consumer, m.Partition).Scan(&epoch); err != nil {
			return false, err
		}
		var at eventstore.Position
		if err := tx.QueryRow(ctx, b.sql("SELECT position FROM @checkpoints WHERE consumer = $1 AND partition = $2 ORDER BY moved DESC LIMIT 1"),
			m.Consumer, m.Partition).Scan(&at); err != nil {
			return false, err
		}
		if epoch != m.Epoch || at != m.To {
			return false, nil
		}
		stand = true
	}
	return stand, nil
}
