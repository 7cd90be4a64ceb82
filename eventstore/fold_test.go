package eventstore_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/necrostack/necrostack/eventstore"
)

func balance() eventstore.Fold[int] {
	return eventstore.Fold[int]{
		eventstore.On(func(n *int, e deposited) { *n += e.Amount }),
		eventstore.On(func(n *int, e eventstore.Recorded[withdrawn]) { *n -= e.Payload.Amount }),
	}
}

func TestLoadFoldsAStreamAndPassesOverWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	s := opened(t, eventstore.Config{})
	if _, err := s.Append(t.Context(), "account-1", eventstore.NoStream, deposited{7}, good{}, withdrawn{2}, good{}); err != nil {
		t.Fatal(err)
	}
	if n, v, err := eventstore.Load(t.Context(), s, "account-1", balance()); n != 5 || v != 4 || err != nil {
		t.Errorf("it came to %d at version %d, %v", n, v, err)
	}
	if n, v, err := eventstore.Load(t.Context(), s, "account-2", balance()); n != 0 || v != 0 || err != nil {
		t.Errorf("a stream that is not there came to %d at version %d, %v", n, v, err)
	}
	n := 5
	if err := balance().Apply(&n, eventstore.Event{Type: "good"}); !errors.Is(err, eventstore.ErrUnknownType) || n != 5 {
		t.Errorf("what the fold does not know came to %d, %v", n, err)
	}
}

func TestLoadNamesWhatItCannotFold(t *testing.T) {
	t.Parallel()
	s := opened(t, eventstore.Config{})
	wrote(t, s, "account-1", raw("deposited", `{"Amount":3}`), raw("deposited", `{"Amount":"much"}`), raw("deposited", `{"Amount":4}`))
	n, v, err := eventstore.Load(t.Context(), s, "account-1", balance())
	if err == nil || !strings.Contains(err.Error(), "load account-1: decode deposited at account-1@2") || n != 3 || v != 1 {
		t.Errorf("it came to %d at version %d, %v", n, v, err)
	}
	if _, _, err := eventstore.Load(t.Context(), s, " ", balance()); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("a stream that is no name came to %v", err)
	}
}

func TestFoldReportsAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	f := balance()
	err := append(f, f[0], eventstore.Folder[int]{}, eventstore.On(func(*int, *deposited) {}), eventstore.On[int, good](nil), eventstore.On(func(*int, nameless) {})).Validate()
	for _, says := range []string{"two folds for deposited", "fold 4 is empty", "is a pointer", "fold of good is nil", "event type is empty"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("it does not say %q:\n%v", says, err)
		}
	}
	if err := f.Validate(); err != nil {
		t.Errorf("a sound fold: %v", err)
	}
	if !slices.Equal(f.Types(), []string{"deposited", "withdrawn"}) || !f.SeesRecord() || f[:1].SeesRecord() {
		t.Errorf("it takes %q, and sees the record: %t", f.Types(), f.SeesRecord())
	}
}

func TestKeysAreWhatAnEventIsHandledFor(t *testing.T) {
	t.Parallel()
	e, err := eventstore.Encode(enrolled{"go", "ann"})
	if err != nil {
		t.Fatal(err)
	}
	e.Stream = "course-go"
	several := e.Clone()
	several.Tags = append(several.Tags, "student:bob", "student:", "student", "students:x")
	byCourse := eventstore.From(func(e enrolled) string { return e.Course })
	for name, x := range map[string]struct {
		key  eventstore.Key
		e    eventstore.Event
		want []string
		says string // of the error
	}{
		"the stream":             {eventstore.ByStream, e, []string{"course-go"}, ""},
		"a tag":                  {eventstore.ByTag("student"), e, []string{"ann"}, ""},
		"several tags":           {eventstore.ByTag("student"), several, []string{"ann", "bob", ""}, ""},
		"no such tag":            {eventstore.ByTag("stud"), several, nil, ""},
		"the payload":            {eventstore.ByPayload(byCourse), e, []string{"go"}, ""},
		"the whole event":        {eventstore.ByPayload(eventstore.From(func(r eventstore.Recorded[enrolled]) string { return r.Tags[1] })), e, []string{"student:ann"}, ""},
		"another type":           {eventstore.ByPayload(byCourse), eventstore.Event{Type: "good"}, nil, ""},
		"no cases":               {eventstore.ByPayload(), e, nil, ""},
		"a payload that is none": {eventstore.ByPayload(byCourse), eventstore.Event{Type: "enrolled", Data: []byte(`7`)}, nil, "decode enrolled"},
		"a case that is none":    {eventstore.ByPayload(byCourse, eventstore.From(func(*deposited) string { return "" })), e, nil, "is a pointer"},
		"cases that are none": {
			eventstore.ByPayload(eventstore.From(func(nameless) string { return "" }), eventstore.From(func(*deposited) string { return "" })),
			eventstore.Event{Type: "unrelated"},
			nil, "event type is empty",
		},
	} {
		keys, err := x.key(x.e)
		if (err != nil) != (x.says != "") || err != nil && !strings.Contains(err.Error(), x.says) || !slices.Equal(keys, x.want) {
			t.Errorf("by %s: %q, %v; it should be %q, and say %q", name, keys, err, x.want, x.says)
		}
	}
}
