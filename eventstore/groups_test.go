package eventstore_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/necrostack/necrostack/eventstore"
)

func TestParkedGroupsSayWhatFailedAlike(t *testing.T) {
	t.Parallel()
	s := eventstore.New(setAside(t, some()...), eventstore.Config{})
	show := func(list []eventstore.ParkedGroup) (text []string) {
		for _, g := range list {
			text = append(text, fmt.Sprintf("%s %q: %d entries of %d keys, %d to %d, such as %d", g.Consumer, g.Group, g.Entries, g.Keys, g.First, g.Last, g.Example.Position))
		}
		return text
	}
	for _, x := range []struct {
		f    eventstore.ParkedFilter
		want []string
	}{
		{eventstore.ParkedFilter{}, []string{ // the biggest first, then in order of position
			`bills "order # is not there": 2 entries of 2 keys, 1 to 3, such as 1`,
			`mails "dial tcp #.#.#.#:#: timed out after #": 2 entries of 2 keys, 2 to 5, such as 2`,
			`bills "": 1 entries of 1 keys, 4 to 4, such as 4`,
			`mails "no such mailbox": 1 entries of 1 keys, 6 to 6, such as 6`,
			`bills "dial tcp #.#.#.#:#: timed out after #": 1 entries of 1 keys, 7 to 7, such as 7`,
		}},
		{eventstore.ParkedFilter{Key: "ann"}, []string{
			`mails "dial tcp #.#.#.#:#: timed out after #": 1 entries of 1 keys, 2 to 2, such as 2`,
			`mails "no such mailbox": 1 entries of 1 keys, 6 to 6, such as 6`,
		}},
		{eventstore.ParkedFilter{Consumer: "nobody"}, nil},
	} {
		groups, err := s.ParkedGroups(t.Context(), x.f)
		if got := show(groups); err != nil || !slices.Equal(got, x.want) {
			t.Errorf("the groups of %+v are\n\t%s\n%v, not\n\t%s", x.f, strings.Join(got, "\n\t"), err, strings.Join(x.want, "\n\t"))
		}
	}
	twice := []eventstore.Parked{dead("bills", "a", 1, "lost"), dead("bills", "a", 2, "lost"), dead("bills", "b", 9, "lost")}
	groups, err := eventstore.New(setAside(t, twice...), eventstore.Config{}).ParkedGroups(t.Context(), eventstore.ParkedFilter{})
	if want := `bills "lost": 3 entries of 2 keys, 1 to 9, such as 1`; err != nil || len(groups) != 1 || show(groups)[0] != want {
		t.Errorf("the groups are %q, %v, not %q", show(groups), err, want)
	}
}

func TestGroupLeavesOutWhateverHasADigit(t *testing.T) {
	t.Parallel()
	for why, want := range map[string]string{
		"":                               "",
		"no digit at all":                "no digit at all",
		"order 17 is gone":               "order # is gone",
		"order-17 is gone":               "# is gone",
		"17":                             "#",
		"it took 1.5s":                   "it took #.#",
		"key=42, value=x43y":             "key=#, value=#",
		"at 2024-02-29T12:00:00Z":        "at #:#:#",
		"point 0x1F of a_2-b":            "point # of #",
		"id " + uuid.NewString():         "id #",
		"Auftrag ü9 fehlt, ٣ Mal":        "Auftrag # fehlt, # Mal",
		"first\nline 2":                  "first\nline #",
		"id abcdefab-cdef-4abc-8def-000": "id #",
	} {
		p := eventstore.Parked{Failures: []eventstore.Failure{{Error: "before 1"}, {Error: why}}}
		if got := p.Group(); got != want {
			t.Errorf("the group of %q is %q, not %q", why, got, want)
		}
	}
	if got := (&eventstore.Parked{Attempts: 3}).Group(); got != "" {
		t.Errorf("the group of an entry without failures is %q", got)
	}
}
