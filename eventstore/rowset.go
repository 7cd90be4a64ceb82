package eventstore

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Difference says how columns differ from those that are asked for. None: not at all.
func (s RowSet) Difference(kept []Column) (list []string) {
	at := map[string]Column{}
	for _, c := range kept {
		at[c.Name] = c
	}
	for _, c := range s.Columns {
		k, known := at[c.Name]
		delete(at, c.Name)
		switch {
		case !known:
			list = append(list, fmt.Sprintf("column %s is new", c.Name))
		case k.Kind != c.Kind || k.Null != c.Null:
			list = append(list, fmt.Sprintf("column %s is %s, not %s", c.Name, k.kind(), c.kind()))
		case k.Index != c.Index:
			list = append(list, fmt.Sprintf("column %s is indexed: %t, not %t", c.Name, k.Index, c.Index))
		}
	}
	for _, c := range kept {
		if _, gone := at[c.Name]; gone {
			list = append(list, fmt.Sprintf("column %s is gone", c.Name))
		}
	}
	return list
}

func (c Column) kind() string {
	if c.Null {
		return string(c.Kind) + " or null"
	}
	return string(c.Kind)
}

// Bounds of a set of rows.
const (
	maxColumns     = 200
	maxColumnBytes = 40
)

// Lacks says what of the set's columns those that are kept do not have. None: they can be read.
func (s RowSet) Lacks(kept []Column) (list []string) {
	for _, c := range s.Columns {
		at := slices.IndexFunc(kept, func(k Column) bool { return k.Name == c.Name })
		switch {
		case at < 0:
			list = append(list, fmt.Sprintf("there is no column %s", c.Name))
		case kept[at].Kind != c.Kind:
			list = append(list, fmt.Sprintf("column %s is %s, not %s", c.Name, kept[at].Kind, c.Kind))
		}
	}
	return list
}

// CheckView holds the name of a view to the rules: see RowSet.
func CheckView(name string) error {
	if err := checkColumn(name); err != nil {
		return invalid("view", "%q %v", name, err)
	}
	if versioned.MatchString(name) {
		return invalid("view", "%q ends as if it were a version", name)
	}
	return nil
}

var versioned = regexp.MustCompile(`_v[0-9]+$`)

// Validate reports all faults of a set at once.
func (s RowSet) Validate() error {
	errs := []error{CheckView(s.Name)}
	if s.Version < 1 || s.Version > math.MaxInt32 {
		errs = append(errs, invalid("version", "of view %s is %d, not 1 … %d", s.Name, s.Version, math.MaxInt32))
	}
	if len(s.Columns) > maxColumns {
		errs = append(errs, invalid("columns", "of view %s are %d, more than %d", s.Name, len(s.Columns), maxColumns))
	}
	seen := map[string]bool{"key": true}
	for _, c := range s.Columns {
		if err := checkColumn(c.Name); err != nil {
			errs = append(errs, invalid("column", "%q %v", c.Name, err))
		} else if seen[c.Name] {
			errs = append(errs, invalid("column", "%s is there twice", c.Name))
		}
		seen[c.Name] = true
		if c.Index && (c.Kind == Bytes || c.Kind == JSON) {
			errs = append(errs, invalid("column", "%s is %s, which has no index", c.Name, c.Kind))
		}
	}
	return errors.Join(errs...)
}

// checkColumn holds a name to what every server takes without quotes.
func checkColumn(name string) error {
	if name == "" || len(name) > maxColumnBytes {
		return fmt.Errorf("has %d bytes, not 1 … %d", len(name), maxColumnBytes)
	}
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (i == 0 || (c < '0' || c > '9') && c != '_') {
			return errors.New("is not lower-case letters, digits and underscores, with a letter in front")
		}
	}
	return nil
}

// column finds an indexed column, or the key's.
func (s RowSet) column(name string) (at int, c Column, err error) {
	if name == "key" {
		return -1, Column{Name: "key", Kind: Text, Index: true}, nil
	}
	for i, c := range s.Columns {
		if c.Name != name {
			continue
		}
		if !c.Index {
			return 0, c, invalid("column", "%s of view %s has no index", name, s.Name)
		}
		return i, c, nil
	}
	return 0, c, invalid("column", "view %s has none by the name of %q", s.Name, name)
}

// Check reports what is wrong with a query of a set.
func (s RowSet) Check(q RowQuery) error {
	var errs []error
	for _, f := range q.Where {
		errs = append(errs, s.checkFilter(f))
	}
	if q.OrderBy != "" {
		_, _, err := s.column(q.OrderBy)
		errs = append(errs, err)
	}
	if q.Limit < 0 {
		errs = append(errs, invalid("limit", "is %d", q.Limit))
	}
	return errors.Join(errs...)
}

func (s RowSet) checkFilter(f RowFilter) error {
	_, c, err := s.column(f.Column)
	if err != nil {
		return err
	}
	switch f.Op {
	case Eq, Lt, Le, Gt, Ge:
	default:
		return invalid("filter", "of column %s: there is no comparison %q", f.Column, f.Op)
	}
	if f.Value == nil && f.Op == Eq && c.Null {
		return nil
	}
	if !c.Kind.holds(f.Value) {
		return invalid("filter", "of column %s: %T is not %s", f.Column, f.Value, c.Kind)
	}
	return nil
}

// holds reports whether a value is of a kind.
func (k Kind) holds(v any) bool {
	switch v.(type) {
	case string:
		return k == Text
	case int64:
		return k == Int
	case float64:
		return k == Float
	case bool:
		return k == Bool
	case time.Time:
		return k == Time
	case uuid.UUID:
		return k == UUID
	default:
		return false
	}
}

// Compare puts two values of a kind into order. Only those of kinds that can be indexed have one.
func (k Kind) Compare(a, b any) int {
	switch a := a.(type) {
	case string:
		return cmp.Compare(a, b.(string)) //nolint:forcetypeassert // of the same kind
	case int64:
		return cmp.Compare(a, b.(int64)) //nolint:forcetypeassert // of the same kind
	case float64:
		return cmp.Compare(a, b.(float64)) //nolint:forcetypeassert // of the same kind
	case time.Time:
		return a.Compare(b.(time.Time)) //nolint:forcetypeassert // of the same kind
	case uuid.UUID:
		b := b.(uuid.UUID) //nolint:forcetypeassert // of the same kind
		return cmp.Compare(string(a[:]), string(b[:]))
	case bool:
		b := b.(bool) //nolint:forcetypeassert // of the same kind
		switch {
		case a == b:
			return 0
		case b:
			return -1
		}
		return 1
	default:
		return 0
	}
}

// Find returns where a row's values have an indexed column, or -1 for the key.
func (s RowSet) Find(column string) (int, error) {
	at, _, err := s.column(column)
	return at, err
}

// Meets reports whether a row meets all of some conditions.
func (s RowSet) Meets(r Row, where []RowFilter) (bool, error) {
	for _, f := range where {
		at, c, err := s.column(f.Column)
		if err != nil {
			return false, err
		}
		value := any(r.Key)
		if at >= 0 {
			value = r.Values[at]
		}
		if value == nil || f.Value == nil {
			if f.Op != Eq || value != f.Value {
				return false, nil
			}
			continue
		}
		order := c.Kind.Compare(value, f.Value)
		if meets := map[Op]bool{Eq: order == 0, Lt: order < 0, Le: order <= 0, Gt: order > 0, Ge: order >= 0}[f.Op]; !meets {
			return false, nil
		}
	}
	return true, nil
}
