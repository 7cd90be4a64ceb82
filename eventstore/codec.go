package eventstore

import "encoding/json"

// Codec turns payloads into JSON and back. It must be safe for concurrent use, and what it encodes must
// be valid JSON in valid UTF-8. The bytes that Encode returns are the store's, for good; those that Decode
// gets must not be changed or kept. Decode gets a pointer to a payload to fill.
type Codec interface {
	Encode(payload any) ([]byte, error)
	Decode(data []byte, payload any) error
}

// jsonCodec is encoding/json.
type jsonCodec struct{}

func (jsonCodec) Encode(payload any) ([]byte, error) { return json.Marshal(payload) }

func (jsonCodec) Decode(data []byte, payload any) error { return json.Unmarshal(data, payload) }
