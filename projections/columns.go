package projections

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

// shape is how a Row is kept: a column for each of its fields.
type shape struct {
	columns []eventstore.Column
	fields  []field
}

// field is one of a struct, and what its values are as those of a column.
type field struct {
	index  int
	kind   eventstore.Kind
	null   bool // it is a pointer
	asText bool // it has a text form of its own
	asJSON bool // it is kept as what json.Marshal makes of it
}

// shapeOf reads the fields of a struct. A tag `view:"name,index"` names the column, which is the field's name in snake case
// otherwise, and has it indexed; `view:"-"` leaves the field out.
func shapeOf(t reflect.Type) (s shape, err error) {
	if t.Kind() != reflect.Struct {
		return s, fmt.Errorf("a row is %s, not a struct", t)
	}
	var errs []error
	for i := range t.NumField() {
		f := t.Field(i)
		tag, tagged := f.Tag.Lookup("view")
		name, options, _ := strings.Cut(tag, ",")
		switch {
		case name == "-":
			continue
		case f.Anonymous:
			errs = append(errs, fmt.Errorf("field %s is embedded: name it, or leave it out with `view:\"-\"`", f.Name))
			continue
		case !f.IsExported():
			errs = append(errs, fmt.Errorf("field %s is not exported, so it cannot be kept: leave it out with `view:\"-\"`", f.Name))
			continue
		case options != "" && options != "index":
			errs = append(errs, fmt.Errorf("field %s: there is no option %q", f.Name, options))
		}
		if !tagged || name == "" {
			name = snake(f.Name)
		}
		kept, err := fieldOf(f.Type)
		if err != nil {
			errs = append(errs, fmt.Errorf("field %s %w", f.Name, err))
		}
		kept.index = i
		s.fields = append(s.fields, kept)
		s.columns = append(s.columns, eventstore.Column{Name: name, Kind: kept.kind, Null: kept.null, Index: options == "index"})
	}
	if len(s.fields) == 0 && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("%s has no field to keep", t))
	}
	return s, errors.Join(errs...)
}

var (
	timeType      = reflect.TypeFor[time.Time]()
	uuidType      = reflect.TypeFor[uuid.UUID]()
	bytesType     = reflect.TypeFor[[]byte]()
	jsonType      = reflect.TypeFor[json.RawMessage]()
	marshalerType = reflect.TypeFor[encoding.TextMarshaler]()
	unmarshaler   = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func fieldOf(t reflect.Type) (f field, err error) {
	if t.Kind() == reflect.Pointer {
		f.null, t = true, t.Elem()
	}
	switch {
	case t == timeType:
		f.kind = eventstore.Time
	case t == uuidType:
		f.kind = eventstore.UUID
	case t == jsonType:
		f.kind = eventstore.JSON
		f.null = true // nil is no JSON
	case t == bytesType:
		f.kind = eventstore.Bytes
	case t.Implements(marshalerType) && reflect.PointerTo(t).Implements(unmarshaler):
		f.kind, f.asText = eventstore.Text, true
	default:
		switch t.Kind() {
		case reflect.String:
			f.kind = eventstore.Text
		case reflect.Bool:
			f.kind = eventstore.Bool
		case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
			reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
			f.kind = eventstore.Int
		case reflect.Float32, reflect.Float64:
			f.kind = eventstore.Float
		case reflect.Struct, reflect.Map, reflect.Slice, reflect.Array:
			f.kind, f.asJSON = eventstore.JSON, true
		default:
			return f, fmt.Errorf("is %s, which no column can hold", t)
		}
	}
	return f, nil
}

// snake writes a name in snake case: HTTPStatus is http_status.
func snake(name string) string {
	var b strings.Builder
	letters := []rune(name)
	for i, r := range letters {
		if unicode.IsUpper(r) && i > 0 && (!unicode.IsUpper(letters[i-1]) || i+1 < len(letters) && unicode.IsLower(letters[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// values are a row's, as a backend keeps them.
func (s *shape) values(row reflect.Value) ([]any, error) {
	values := make([]any, len(s.fields))
	for i := range s.fields {
		v, err := s.fields[i].value(row.Field(s.fields[i].index))
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", s.columns[i].Name, err)
		}
		values[i] = v
	}
	return values, nil
}

// value is a field's, as that of its column.
func (f *field) value(v reflect.Value) (any, error) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil, nil //nolint:nilnil // null
		}
		v = v.Elem()
	}
	switch f.kind {
	case eventstore.Text:
		text := v.String()
		if f.asText {
			data, err := v.Interface().(encoding.TextMarshaler).MarshalText() //nolint:forcetypeassert // so it was found
			if err != nil {
				return nil, err
			}
			text = string(data)
		}
		if strings.ContainsRune(text, 0) || strings.ToValidUTF8(text, "") != text {
			return nil, errors.New("the text has a byte 0, or is not UTF-8")
		}
		return text, nil
	case eventstore.Int:
		if v.CanInt() {
			return v.Int(), nil
		}
		if v.Uint() > math.MaxInt64 {
			return nil, fmt.Errorf("%d is greater than %d", v.Uint(), int64(math.MaxInt64))
		}
		return int64(v.Uint()), nil
	case eventstore.Float:
		if math.IsNaN(v.Float()) || math.IsInf(v.Float(), 0) {
			return nil, fmt.Errorf("%v is not a number that can be kept", v.Float())
		}
		return v.Float(), nil
	case eventstore.Bool:
		return v.Bool(), nil
	case eventstore.Time:
		return v.Interface().(time.Time).UTC().Truncate(time.Microsecond), nil //nolint:forcetypeassert // so it was found
	case eventstore.UUID:
		return v.Interface(), nil
	case eventstore.Bytes:
		return append([]byte{}, v.Bytes()...), nil
	default:
		return f.document(v)
	}
}

// document is a value as JSON.
func (f *field) document(v reflect.Value) (any, error) {
	if !f.asJSON {
		if v.Len() == 0 {
			return nil, nil //nolint:nilnil // null
		}
		if !json.Valid(v.Bytes()) {
			return nil, errors.New("it is not JSON")
		}
		return json.RawMessage(append([]byte{}, v.Bytes()...)), nil
	}
	data, err := json.Marshal(v.Interface())
	return json.RawMessage(data), err
}

// row sets a zero row to what its values were.
func (s *shape) row(values []any, row reflect.Value) error {
	if len(values) != len(s.fields) {
		return fmt.Errorf("a row of %d values has %d columns", len(values), len(s.fields))
	}
	for i := range s.fields {
		if values[i] == nil {
			continue
		}
		if err := s.fields[i].set(row.Field(s.fields[i].index), values[i]); err != nil {
			return fmt.Errorf("column %s: %w", s.columns[i].Name, err)
		}
	}
	return nil
}

// set sets a field to the value of its column.
func (f *field) set(to reflect.Value, value any) error {
	if to.Kind() == reflect.Pointer {
		to.Set(reflect.New(to.Type().Elem()))
		to = to.Elem()
	}
	switch v := value.(type) {
	case string:
		if f.asText {
			return to.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(v)) //nolint:forcetypeassert // so it was found
		}
		to.SetString(v)
	case int64:
		if to.CanInt() {
			to.SetInt(v)
		} else {
			to.SetUint(uint64(v))
		}
	case float64:
		to.SetFloat(v)
	case bool:
		to.SetBool(v)
	case json.RawMessage:
		if f.asJSON {
			return json.Unmarshal(v, to.Addr().Interface())
		}
		to.SetBytes(append([]byte{}, v...))
	case []byte:
		to.SetBytes(append([]byte{}, v...))
	case time.Time, uuid.UUID:
		to.Set(reflect.ValueOf(v))
	default:
		return fmt.Errorf("%T is not of a kind that is kept", value)
	}
	return nil
}
