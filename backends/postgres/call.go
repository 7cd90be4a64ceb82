package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"
)

// A function is one of the schema's that writes the log. It takes the log's name first, and returns a record.
//
// It is called by the protocol's message for function calls, which is all that a call consists of: the server has it whole
// before it begins, and commits by itself before it looks for more. A statement's transaction ends with the Sync that
// follows it: a client that is stopped between the two would hold the log's lock. And a call is faster than a statement,
// which is parsed or bound, described and executed.
// See https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-FUNCTION-CALL
type function struct {
	name      string
	params    []uint32 // the types after the log's name
	signature string   // its name with the types of all
}

func newFunction(name string, params ...string) *function {
	f := &function{name: name, signature: name + "(text, " + strings.Join(params, ", ") + ")"}
	for _, p := range params {
		f.params = append(f.params, typeOIDs[p])
	}
	return f
}

var typeOIDs = map[string]uint32{
	"int": pgtype.Int4OID, "bigint": pgtype.Int8OID, "text": pgtype.TextOID, "uuid": pgtype.UUIDOID, "json": pgtype.JSONOID,
	"int[]": pgtype.Int4ArrayOID, "bigint[]": pgtype.Int8ArrayOID, "text[]": pgtype.TextArrayOID, "uuid[]": pgtype.UUIDArrayOID,
	"json[]": pgtype.JSONArrayOID,
}

// What the log is written by.
var (
	appendOne   = newFunction("append_one", "text", "bigint", "bigint", "uuid", "text", "json", "json", "json")
	commitBatch = newFunction("commit_batch", slices.Insert(batchTypes[:], 0, "int")...)
	fire        = newFunction("fire", "int")
)

// call calls a function of the log and scans the record that it returns. What it returns as an error tells, like those of
// pgx, whether the call may have arrived: see outcome.
func (b *Backend) call(ctx context.Context, f *function, args []any, results ...any) error {
	pooled, err := b.reserve.Acquire(ctx)
	if err != nil {
		return unsent{err}
	}
	defer pooled.Release()
	conn := pooled.Conn()
	oid, err := b.find(ctx, conn, f)
	if err != nil {
		return unsent{err}
	}
	message, err := f.message(conn.TypeMap(), oid, b.log, args)
	if err != nil {
		return unsent{fmt.Errorf("%s: %w", f.name, err)}
	}
	if tracer := conn.Config().Tracer; tracer != nil {
		ctx = tracer.TraceQueryStart(ctx, conn, pgx.TraceQueryStartData{SQL: b.schema + f.name, Args: args})
		defer func() { tracer.TraceQueryEnd(ctx, conn, pgx.TraceQueryEndData{Err: err}) }()
	}
	err = exchange(ctx, conn, message, results)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && (pg.Code == "NS002" || pg.Code == "42883" && strings.Contains(pg.Message, "OID")) {
		// The functions have got other numbers: those who use other connections will ask for them.
		_ = conn.Close(ctx)
		err = retryable{err}
	}
	return err
}

// find returns a function's number. It asks once a connection: the server that is connected to next may be another one.
func (b *Backend) find(ctx context.Context, conn *pgx.Conn, f *function) (oid uint32, err error) {
	known := conn.PgConn().CustomData()
	if oid, ok := known[b.schema+f.name].(uint32); ok {
		return oid, nil
	}
	if err := conn.QueryRow(ctx, "SELECT $1::text::regprocedure::oid", b.schema+f.signature).Scan(&oid); err != nil {
		return 0, err
	}
	known[b.schema+f.name] = oid
	return oid, nil
}

// message encodes a call.
func (f *function) message(m *pgtype.Map, oid uint32, log string, args []any) (*pgproto3.FunctionCall, error) {
	c := &pgproto3.FunctionCall{
		Function: oid, Arguments: make([][]byte, 1, 1+len(args)),
		ArgFormatCodes: []uint16{pgtype.BinaryFormatCode}, ResultFormatCode: pgtype.BinaryFormatCode,
	}
	c.Arguments[0] = []byte(log)
	all := make([]byte, 0, 1024)
	for i, a := range args {
		data, err := m.Encode(f.params[i], pgtype.BinaryFormatCode, a, all)
		if err != nil {
			return nil, err
		}
		if data == nil { // null
			c.Arguments = append(c.Arguments, nil)
			continue
		}
		c.Arguments = append(c.Arguments, data[len(all):])
		all = data
	}
	return c, nil
}

// exchange sends a call and waits until the server has done with it. A connection whose call is given up is closed, and
// the server told, as pgx does it.
func exchange(ctx context.Context, conn *pgx.Conn, call *pgproto3.FunctionCall, results []any) error {
	if ctx.Err() != nil {
		return unsent{context.Cause(ctx)}
	}
	pg, wait := conn.PgConn(), context.WithoutCancel(ctx) // the connection's end ends it
	stop := context.AfterFunc(ctx, func() { _ = pg.Conn().Close() })
	pg.Frontend().Send(call)
	sent := pg.Frontend().Flush()
	answered, err := receive(wait, pg, conn.TypeMap(), results)
	if !stop() {
		for !pg.IsClosed() { // until pgx has noticed
			_, _ = pg.ReceiveMessage(wait)
		}
		if !answered {
			return interrupted{context.Cause(ctx)}
		}
	}
	if !answered && sent != nil {
		err = interrupted{sent}
	}
	return err
}

// receive reads the answer to a call. It reports false if the connection has broken before.
func receive(ctx context.Context, pg *pgconn.PgConn, m *pgtype.Map, results []any) (answered bool, err error) {
	for {
		message, broken := pg.ReceiveMessage(ctx)
		if broken != nil {
			if err != nil { // which was the reason
				return true, err
			}
			return false, interrupted{broken}
		}
		switch message := message.(type) {
		case *pgproto3.FunctionCallResponse:
			err = scan(m, message.Result, results)
		case *pgproto3.ErrorResponse:
			err = pgconn.ErrorResponseToPgError(message)
		case *pgproto3.ReadyForQuery:
			return true, err
		}
	}
}

// scan reads a record.
func scan(m *pgtype.Map, record []byte, results []any) error {
	s := pgtype.NewCompositeBinaryScanner(m, record)
	for _, r := range results {
		if !s.Next() {
			return fmt.Errorf("a record of fewer than %d columns: %w", len(results), s.Err())
		}
		if err := m.Scan(s.OID(), pgtype.BinaryFormatCode, s.Bytes(), r); err != nil {
			return err
		}
	}
	return s.Err()
}

// unsent is why a call was never made.
type unsent struct{ error }

func (e unsent) Unwrap() error { return e.error }

// SafeToRetry is what pgconn.SafeToRetry asks.
func (unsent) SafeToRetry() bool { return true }

// interrupted is why a call has got no answer. pgx says of every message that was not received that it would be safe to ask
// again.
type interrupted struct{ error }

func (e interrupted) Unwrap() error { return e.error }

// SafeToRetry is what pgconn.SafeToRetry asks.
func (interrupted) SafeToRetry() bool { return false }
