package eventstore

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type inner struct {
	A int
	B string `json:"b,omitempty"`
}

// shapes has a field of every kind that payloads may have.
type shapes struct {
	inner

	Number   json.Number
	Raw      json.RawMessage
	Time     time.Time
	Duration time.Duration
	Bytes    []byte
	Map      map[string]any
	Keys     map[int]string
	Any      any
	Pointer  *int
	Slice    []inner
	Array    [3]int
	Float    float64
	Quoted   int64 `json:",string"`
}

// Payloads that were written by earlier versions must be read the same for ever.
func TestPayloadsAreReadByTheRulesOfEncodingJSON(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		`{"Number":12345678901234567890,"Raw":{"a": 1},"Time":"2020-01-02T03:04:05.123456Z","Duration":5}`,
		`{"Bytes":"aGVsbG8=","Map":{"x":1.5,"y":[1,{}]},"Keys":{"1":"a"},"Any":12,"Pointer":5}`,
		`{"A":1,"a":2,"B":"x","Slice":[{"A":1},{"a":2,"b":"y"}],"Array":[1,2],"Float":1e3,"Quoted":"77"}`,
		`{"Array":[1,2,3,4],"Pointer":null,"Slice":null,"Map":null,"unknown":[1]}`,
		`{"FLOAT":1,"float":2,"Float":3}`, `{"b":"\ud800"}`, "{\"b\":\"\xff\"}", `null`, `{}`, ` {} `, `{"Number":"12"}`,
		`{"A":"x"}`, `{"A":1.5}`, `{"A":99999999999999999999}`, `{"A":1,"Float":"1"}`, `{"Slice":[{"A":1},{"A":"x"}]}`,
		`{"Time":"noon"}`, `{"Bytes":"?"}`, `{"Quoted":77}`, `{"Keys":{"x":"a"}}`,
		`[]`, ``, `{} x`, `{"A":1,}`, `{"A":1`,
	} {
		var got, want shapes
		gotErr, wantErr := jsonCodec{}.Decode([]byte(in), &got), json.Unmarshal([]byte(in), &want)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(shapes{})); diff != "" {
			t.Errorf("%s: %s", in, diff)
		}
		if !cmp.Equal(text(gotErr), text(wantErr)) {
			t.Errorf("%s: error is %v, want %v", in, gotErr, wantErr)
		}
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](wantErr); ok != errors.As(gotErr, &wrong) {
			t.Errorf("%s: error is a %T, want a %T", in, gotErr, wantErr)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
