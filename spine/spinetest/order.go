package spinetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/spine"
)

func order() []promise {
	return []promise{
		{"events of a key keep their order and count once, while many write", ordersUnderLoad},
		{"a log that was there before is handled from its beginning", handlesHistory},
	}
}

// ordersUnderLoad lets a chain of organs with 16 lanes each follow concurrent writers. Every copy must stand
// in the order of what it copies, once.
func ordersUnderLoad(t *Trial) {
	const writers, each, streams = 8, 60, 20
	sp := t.Spine(t.Open(t.Tap()), spine.Config{},
		On("copier", "in", Copy("copy.", "mid")),
		On("second", "mid", Copy("again.", "end")),
		On("other", "in", Copy("other.", "side")),
	)
	stop := t.Start(sp)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for i := range each {
				if _, err := t.Store.Commit(t.Ctx, Out(Event(fmt.Sprint("s-", i%streams), "in", i)).Commit); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, organ := range []string{"copier", "second", "other"} {
		t.Done(organ)
	}
	for i := range streams {
		s := fmt.Sprint("s-", i)
		want := t.Numbers(s)
		for _, prefix := range []string{"copy.", "again.copy.", "other."} {
			t.WantNumbers(prefix+s, want...)
		}
	}
	if st := sp.Stats(); st.Processed != 3*writers*each || st.Emitted != 3*writers*each || st.Failed != 0 {
		t.Errorf("stats are %+v, want %d processed and emitted", st, 3*writers*each)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func handlesHistory(t *Trial) {
	for i := range 3 {
		t.Put(Event("s-1", "in", i), Event("s-2", "in", i))
	}
	sp := t.Spine(t.Store, spine.Config{}, On("copier", "in", Copy("copy.", "mid")))
	t.Drain(sp)
	t.WantNumbers("copy.s-1", 0, 1, 2)
	t.WantNumbers("copy.s-2", 0, 1, 2)
	t.Drain(sp) // again: nothing is done twice
	t.Drain(t.Spine(t.Open(t.Tap()), spine.Config{}, On("copier", "in", Copy("copy.", "mid"))))
	t.WantNumbers("copy.s-1", 0, 1, 2)
}

func keys() []promise {
	return []promise{
		{"an event with several keys is handled once for each", severalKeys},
		{"keys that share a lane are handled together", keysTogether},
		{"an event without keys is passed over", noKeys},
		{"an event whose keys cannot be had is parked, and nothing else", faultyKeys},
	}
}

func tagged(e eventstore.Event, tags ...string) eventstore.Event {
	e.Tags = tags
	return e
}

// seen collects the keys that events were handled for.
type seen struct {
	mu   sync.Mutex
	keys map[int][]string
	runs int
}

func (s *seen) handle(_ context.Context, in spine.Input) (spine.Output, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		s.keys = map[int][]string{}
	}
	s.runs++
	s.keys[N(in.Event)] = append(s.keys[N(in.Event)], in.Keys...)
	return spine.Output{}, nil
}

func severalKeys(t *Trial) {
	var s seen
	o := On("keyed", "in", s.handle)
	o.Key = eventstore.ByTag("k")
	t.Put(tagged(Event("s-1", "in", 1), "k:a", "k:b", "k:c", "x:d"), tagged(Event("s-1", "in", 2), "k:b"))
	t.Drain(t.Spine(t.Store, spine.Config{}, o))
	slices.Sort(s.keys[1])
	if !slices.Equal(s.keys[1], []string{"a", "b", "c"}) || !slices.Equal(s.keys[2], []string{"b"}) {
		t.Errorf("handled for %v", s.keys)
	}
}

func keysTogether(t *Trial) {
	var s seen
	o := On("keyed", "in", s.handle)
	o.Key, o.Policy.Partitions = eventstore.ByTag("k"), 1
	t.Put(tagged(Event("s-1", "in", 1), "k:a", "k:b"))
	t.Drain(t.Spine(t.Store, spine.Config{}, o))
	if s.runs != 1 || !slices.Equal(s.keys[1], []string{"a", "b"}) {
		t.Errorf("handled %d times, for %v", s.runs, s.keys)
	}
}

func noKeys(t *Trial) {
	var s seen
	o := On("keyed", "in", s.handle)
	o.Key = eventstore.ByTag("k")
	t.Put(Event("s-1", "in", 1), tagged(Event("s-1", "in", 2), "k:a"))
	sp := t.Spine(t.Store, spine.Config{}, o)
	t.Start(sp)
	t.Done("keyed")
	if s.runs != 1 || len(s.keys[1]) > 0 {
		t.Errorf("handled %v", s.keys)
	}
}

func faultyKeys(t *Trial) {
	faults := []func() ([]string, error){
		func() ([]string, error) { return nil, errors.New("no key today") },
		func() ([]string, error) { panic("key fell over") },
		func() ([]string, error) { return []string{""}, nil },
		func() ([]string, error) { return []string{"twice", "twice"}, nil },
		func() ([]string, error) { return []string{strings.Repeat("x", 256)}, nil },
		func() ([]string, error) { return []string{"nul\x00"}, nil },
	}
	o := On("keyed", "in", Copy("copy.", "mid"))
	o.Key = func(e eventstore.Event) ([]string, error) {
		if n := N(&e); n < len(faults) {
			return faults[n]()
		}
		return []string{string(e.Stream)}, nil
	}
	var want []string
	for i := range faults {
		t.Put(Event(fmt.Sprint("s-", i), "in", i))
		want = append(want, fmt.Sprintf("s-%d@%d!", i, i+1))
	}
	good := t.Put(Event("s-9", "in", 100))
	sp := t.Spine(t.Store, spine.Config{}, o)
	t.Drain(sp)
	t.WantParked("keyed", want...)
	t.WantNumbers("copy.s-9", 100)
	if err := sp.WaitFor(t.Ctx, "keyed", good.Position); err != nil {
		t.Error(err)
	}
	for i, p := range t.Parked("keyed") {
		if text := []string{"no key today", "panic: key fell over", "key", "twice", "256", "NUL"}[i]; !strings.Contains(p.Failures[0].Error, text) {
			t.Errorf("entry %d was parked for %q, want it to mention %q", i, p.Failures[0].Error, text)
		}
	}
}
