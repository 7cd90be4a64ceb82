package eventstore

import (
	"encoding/json"
	"reflect"

	jsonv2 "github.com/go-json-experiment/json"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// Codec turns payloads into JSON and back. It must be safe for concurrent use, and what it encodes must
// be valid JSON in valid UTF-8. The bytes that Encode returns are the store's, for good; those that Decode
// gets must not be changed or kept. Decode gets a pointer to a payload to fill.
type Codec interface {
	Encode(payload any) ([]byte, error)
	Decode(data []byte, payload any) error
}

// jsonCodec follows the rules of encoding/json.
type jsonCodec struct{}

func (jsonCodec) Encode(payload any) ([]byte, error) { return json.Marshal(payload) }

// Decode reads with encoding/json/v2, here the mirror of what the standard library has from Go 1.27, under
// the rules of encoding/json: it takes half the time. What it fails on is read again by encoding/json, whose
// errors callers know, and whose json.Number the mirror does not.
func (jsonCodec) Decode(data []byte, payload any) error {
	if jsonv2.Unmarshal(data, payload, asV1) == nil {
		return nil
	}
	if v := reflect.ValueOf(payload); v.Kind() == reflect.Pointer && !v.IsNil() {
		v.Elem().SetZero()
	}
	return json.Unmarshal(data, payload)
}

// asV1 is without what would have every payload checked before it is read: where that matters, it is read again.
var asV1 = jsonv2.JoinOptions(jsonv1.DefaultOptionsV1(), jsonv1.ReportErrorsWithLegacySemantics(false))

// unreadable is the codec of an event that an upcaster failed on.
type unreadable struct{ fault error }

func (u unreadable) Encode(any) ([]byte, error) { return nil, u.fault }

func (u unreadable) Decode([]byte, any) error { return u.fault }
