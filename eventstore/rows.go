package eventstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
)

// Pending is something that is to be written together with a commit, in one transaction: rows of a view, or what handlers
// have done to tables of their own. A backend's package makes it, for a store of that backend.
type Pending interface {
	// Commit writes c, and what is pending, or nothing of both. Its errors are those of an Outcome, and of
	// Backend.Commit. After one that leaves it open whether the commit stands, or says that the log could not be
	// written, the same c may be given to it again: what stands already is not written twice. c is as Store.Prepare
	// returns it.
	Commit(ctx context.Context, c Commit) (Result, error)
}

// Joiner is a Pending that can be written together with another one.
type Joiner interface {
	Pending

	// Join returns both as one, or false if they are not of a kind or too much for one commit. Both stay as they were.
	Join(other Pending) (Pending, bool)
}

// CommitWith is Commit for c and what is pending. It does not join a batch.
func (s *Store) CommitWith(ctx context.Context, p Pending, c Commit) (Result, error) {
	c, err := s.Prepare(ctx, c)
	if err != nil {
		return Result{}, err
	}
	r, err := p.Commit(ctx, c)
	if errors.Is(err, ErrOutcomeUnknown) {
		return Result{}, &OutcomeUnknownError{Commit: c, Err: err}
	}
	if err != nil {
		return Result{}, fmt.Errorf("commit: %w", err)
	}
	if len(c.Checkpoints) > 0 {
		s.moved.Fire()
	}
	return r, nil
}

// RowKeeper is implemented by backends that keep rows of views beside the log, so that they change with a commit or not at
// all. All methods are safe for concurrent use.
//
// A set of rows belongs to the consumer by the name of its Table: Controller.Reset of that to position 0 empties the set,
// and Reset to another position is ErrInvalid. Of the versions of a view, one serves: it is what is read in the name of
// version 0.
type RowKeeper interface {
	// DefineRows makes a set of rows, or finds the one that is there. It fails with a *RowsChangedError if that has
	// other columns. The first version of a view serves at once. If the rows are gone that a consumer has folded, it begins
	// anew.
	DefineRows(ctx context.Context, set RowSet) error
	// WriteRows returns what puts rows into their places with a commit. A row without values is removed. No key comes
	// twice. It does no I/O; the rows are the Pending's from now on.
	WriteRows(set RowSet, rows []Row) Pending

	RowReader

	// DumpRows returns the rows of a set whose keys are to be kept, and how far its consumer has come with them: all as of
	// one moment. keep is asked for each key, and must not use the backend.
	DumpRows(ctx context.Context, set RowSet, keep func(key string) bool) (RowDump, error)
	// ServeRows says that a set is complete, and has it serve from now on. It fails with ErrInvalid if its consumer has not
	// done its History: it was reset meanwhile.
	ServeRows(ctx context.Context, set RowSet) error
	// RowVersions returns the versions there are of a view's rows, the lowest first.
	RowVersions(ctx context.Context, view string) ([]RowVersion, error)
	// DropRows removes a set with all its rows, and its consumer. There need not be one. It fails with ErrInUse if the
	// set serves, or if live members run the consumer.
	DropRows(ctx context.Context, set RowSet) error
}

// RowReader reads rows of one version of a view, or of version 0. The columns that it reads are those of the set, by their
// names. It fails with ErrNoRows if there is no such version, and with a *RowsChangedError if it lacks a column, or has one
// of another kind.
type RowReader interface {
	// LoadRows returns the rows that there are of keys, in any order.
	LoadRows(ctx context.Context, set RowSet, keys []string) ([]Row, error)
	// ListRows yields the rows that a query selects, in its order.
	ListRows(ctx context.Context, set RowSet, q RowQuery) iter.Seq2[Row, error]
	// CountRows counts the rows that meet all of some conditions.
	CountRows(ctx context.Context, set RowSet, where []RowFilter) (int64, error)
}

// RowVersion is a version of a view's rows.
type RowVersion struct {
	Version  int
	Serves   bool // whoever names no version reads it
	Complete bool // it has caught up with the log once, since it began
}

// RowDump is what a set of rows holds at one moment.
type RowDump struct {
	Rows       []Row               // in any order
	Partitions []Position          // where each partition of the set's consumer stands. None: nobody has run it
	Parked     map[string]Position // by key, of whatever was kept or not: the first event that has an entry
}

// ErrNoRows is why a set of rows cannot be read that was never defined.
var ErrNoRows = errors.New("there are no such rows")

// ErrInUse is why something cannot be removed that others need.
var ErrInUse = errors.New("in use")

// RowSet describes rows that are alike: one version of a view.
type RowSet struct {
	Name    string // of the view: 1 … 40 letters, digits and underscores in lower case, with a letter in front, and no version at the end
	Version int    // from 1. To read, 0 is the one that serves
	Columns []Column
}

// Table is the name of the set among all, and of its consumer: the view's, and the version's number. That of version 0 is
// the view's alone.
func (s RowSet) Table() string {
	if s.Version == 0 {
		return s.Name
	}
	return fmt.Sprintf("%s_v%d", s.Name, s.Version)
}

// Column is what a row has beside its key.
type Column struct {
	Name  string // as that of a RowSet; not "key"
	Kind  Kind
	Null  bool // the value may be nil
	Index bool // rows can be found and put into order by it. Not for Bytes and JSON
}

// Kind is what the values of a column are.
type Kind string

// The kinds of columns, with the type of their values.
const (
	Text  Kind = "text"  // string, without the byte 0
	Int   Kind = "int"   // int64
	Float Kind = "float" // float64, finite
	Bool  Kind = "bool"  // bool
	Time  Kind = "time"  // time.Time, of UTC and with microseconds
	Bytes Kind = "bytes" // []byte
	UUID  Kind = "uuid"  // uuid.UUID
	JSON  Kind = "json"  // json.RawMessage
)

// Row is one row of a set.
type Row struct {
	Key    string // 1 … 255 bytes
	Values []any  // one for each column, in their order, of the column's kind, or nil. None: there is no row
}

// RowQuery selects rows. The zero RowQuery selects all, by key.
type RowQuery struct {
	Where   []RowFilter // all of them are to be met
	OrderBy string      // an indexed column. Rows that are equal there, and all without it, are in the order of their keys
	Desc    bool        // the other way round. nil is greater than any value
	After   *RowPlace   // the row behind which to begin. nil: the first
	Limit   int         // 0: none
}

// RowPlace is where a row stands in the order of a query.
type RowPlace struct {
	Value any // of the column of OrderBy. nil without one
	Key   string
}

// RowFilter compares an indexed column, or the key by the name of "key". Nothing compares with nil, but for Eq.
type RowFilter struct {
	Column string
	Op     Op
	Value  any // of the column's kind
}

// Op is a comparison.
type Op string

// The comparisons.
const (
	Eq Op = "="
	Lt Op = "<"
	Le Op = "<="
	Gt Op = ">"
	Ge Op = ">="
)

// RowsChangedError says that a set of rows has other columns than are asked for.
type RowsChangedError struct {
	Set         string // RowSet.Table
	Differences []string
}

func (e *RowsChangedError) Error() string {
	return fmt.Sprintf("rows of %s are kept otherwise: %s", e.Set, strings.Join(e.Differences, "; "))
}
