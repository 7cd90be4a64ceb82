package eventstore

import "encoding/json"

// Codec turns payloads into JSON and back. It must be safe for concurrent use, and what it encodes must
// be valid JSON in valid UTF-8.
type Codec interface {
	Encode(payload any) ([]byte, error)
	Decode(data []byte, payload any) error
}

// jsonCodec is encoding/json.
type jsonCodec struct{}

func (jsonCodec) Encode(payload any) ([]byte, error) { return json.Marshal(payload) }

func (jsonCodec) Decode(data []byte, payload any) error { return json.Unmarshal(data, payload) }
