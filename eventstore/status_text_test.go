package eventstore_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/necrostack/necrostack/eventstore"
)

// works is a consumer of which all is well.
func works(change func(*eventstore.Status)) eventstore.Status {
	s := eventstore.Status{
		Consumer: "balances", At: epoch, Generation: 1, Head: 1500, Position: 1500, Members: []string{"a", "b"},
		Partitions: []eventstore.Partition{{"a", 1, 1500}, {"b", 1, 1500}},
	}
	change(&s)
	return s
}

func late(s *eventstore.Status) {
	s.Position, s.Lag, s.Behind, s.Partitions[0].Position = 1200, 300, 2149*time.Millisecond, 1200
}

func dies(s *eventstore.Status) { s.Members, s.Unowned = nil, []int{0, 1} }

func windows(s *eventstore.Status) {
	s.Competing, s.Window, s.Lag, s.Partitions = true, 12, 12, s.Partitions[:1]
}

func parks(s *eventstore.Status) {
	s.Parked, s.ParkedKeys, s.LastError, s.LastFailure = 3, 2, "dial tcp:\n\tno route", epoch
}

func TestStatusInWordsSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		change  func(s *eventstore.Status)
		text    string
		trouble []string
	}{
		"caught up": {func(*eventstore.Status) {}, "balances: at 1500 of 1500, 2 partitions by 2 members", nil},
		"behind":    {late, "balances: at 1200 of 1500 (300 behind, 2.1s), 2 partitions by 2 members", nil},
		"long behind": {
			func(s *eventstore.Status) { late(s); s.Behind = 26*time.Hour + 1499*time.Millisecond },
			"balances: at 1200 of 1500 (300 behind, 26h0m1s), 2 partitions by 2 members", nil,
		},
		"hardly behind": {
			func(s *eventstore.Status) { late(s); s.Behind = 1499 * time.Microsecond },
			"balances: at 1200 of 1500 (300 behind, 1ms), 2 partitions by 2 members", nil,
		},
		"dead": {
			func(s *eventstore.Status) { late(s); dies(s) }, "balances: at 1200 of 1500 (300 behind, 2.1s), 2 partitions by nobody",
			[]string{"it stands at 1200 of 1500, nobody works it"},
		},
		"half dead": {
			func(s *eventstore.Status) { s.Members, s.Unowned = s.Members[:1], []int{1} },
			"balances: at 1500 of 1500, 2 partitions by 1 member (1 by nobody)",
			[]string{"nobody works partition 1"},
		},
		"many without an owner": {
			func(s *eventstore.Status) {
				s.Partitions, s.Unowned = make([]eventstore.Partition, 16), []int{1, 2, 3, 4, 5, 6, 7, 9, 11, 15}
			},
			"balances: at 1500 of 1500, 16 partitions by 2 members (10 by nobody)",
			[]string{"nobody works partition 1, 2, 3, 4, 5, 6, 7, 9 and 2 more"},
		},
		"paused": {
			func(s *eventstore.Status) { late(s); s.Paused, s.Unowned = true, []int{0, 1} },
			"balances: at 1200 of 1500 (300 behind, 2.1s), 2 partitions by 2 members, paused",
			[]string{"it stands at 1200 of 1500, paused"},
		},
		"parked": {
			parks, "balances: at 1500 of 1500, 2 partitions by 2 members, 3 parked",
			[]string{"3 entries are parked for 2 keys, the last for: dial tcp: no route"},
		},
		"one parked": {
			func(s *eventstore.Status) { s.Parked, s.ParkedKeys = 1, 1 }, "balances: at 1500 of 1500, 2 partitions by 2 members, 1 parked",
			[]string{"1 entry is parked for 1 key"},
		},
		"parked for an error without end": {
			func(s *eventstore.Status) { parks(s); s.LastError = strings.Repeat("é", 1000) },
			"balances: at 1500 of 1500, 2 partitions by 2 members, 3 parked",
			[]string{"3 entries are parked for 2 keys, the last for: " + strings.Repeat("é", 200) + "…"},
		},
		"all at once": {
			func(s *eventstore.Status) { late(s); parks(s); s.Unowned = []int{0} },
			"balances: at 1200 of 1500 (300 behind, 2.1s), 2 partitions by 2 members (1 by nobody), 3 parked",
			[]string{"nobody works partition 0", "3 entries are parked for 2 keys, the last for: dial tcp: no route"},
		},
		"competing": {windows, "balances: at 1500 of 1500 (12 behind), 12 in its window, 1 partition by 2 members", nil},
		"a window that nobody fills": {
			func(s *eventstore.Status) { windows(s); s.Unowned = []int{0} },
			"balances: at 1500 of 1500 (12 behind), 12 in its window, 1 partition by 2 members (1 by nobody)",
			[]string{"it stands at 1500 of 1500, nobody fills its window"},
		},
		"dead, competing": {
			func(s *eventstore.Status) { windows(s); dies(s); s.Unowned = []int{0} },
			"balances: at 1500 of 1500 (12 behind), 12 in its window, 1 partition by nobody",
			[]string{"it stands at 1500 of 1500, nobody works it"},
		},
	} {
		s := works(x.change)
		if got := s.String(); got != x.text {
			t.Errorf("%s: it reads\n%s\nnot\n%s", name, got, x.text)
		}
		if got := s.Trouble(); !slices.Equal(got, x.trouble) || s.Healthy() != (len(x.trouble) == 0) {
			t.Errorf("%s: its trouble is %q, not %q; healthy: %t", name, got, x.trouble, s.Healthy())
		}
	}
	if (eventstore.Status{}).Healthy() {
		t.Error("no status at all is a healthy one")
	}
}

func TestPaceTellsHowFastAndForHowLong(t *testing.T) {
	t.Parallel()
	at := func(after time.Duration, head eventstore.Position, positions ...eventstore.Position) eventstore.Status {
		s := eventstore.Status{Consumer: "c", At: epoch.Add(after), Head: head, Position: slices.Min(positions)}
		for _, p := range positions {
			s.Partitions = append(s.Partitions, eventstore.Partition{Position: p})
		}
		s.Lag = int64(head - s.Position)
		return s
	}
	window := func(s eventstore.Status, n int) eventstore.Status {
		s.Competing, s.Window, s.Lag = true, n, s.Lag+int64(n)
		return s
	}
	other := at(0, 100, 10)
	other.Consumer = "d"
	for name, x := range map[string]struct {
		before, now eventstore.Status
		want        eventstore.Pace
	}{
		"it nears":               {at(0, 1000, 0, 100), at(10*time.Second, 1000, 200, 200), eventstore.Pace{Rate: 15, Left: 40 * time.Second, Nears: true}},
		"the log grows":          {at(0, 1000, 0), at(10*time.Second, 1100, 200), eventstore.Pace{Rate: 20, Left: 90 * time.Second, Nears: true}},
		"the log grows as fast":  {at(0, 1000, 0), at(10*time.Second, 1200, 200), eventstore.Pace{Rate: 20}},
		"one partition is stuck": {at(0, 1000, 0, 0), at(10*time.Second, 1000, 0, 500), eventstore.Pace{Rate: 25}},
		"it has caught up":       {at(0, 1000, 900), at(10*time.Second, 1000, 1000), eventstore.Pace{Rate: 10, Nears: true}},
		"it stays caught up":     {at(0, 1000, 1000), at(time.Second, 1000, 1000), eventstore.Pace{Nears: true}},
		"it was reset":           {at(0, 1000, 1000), at(10*time.Second, 1000, 0), eventstore.Pace{Rate: -100}},
		"its window empties":     {window(at(0, 100, 100), 20), window(at(2*time.Second, 100, 100), 10), eventstore.Pace{Rate: 5, Left: 2 * time.Second, Nears: true}},
		"its window fills":       {at(0, 100, 50), window(at(time.Second, 100, 70), 20), eventstore.Pace{}},
		"it takes forever":       {at(0, math.MaxInt32+1, 0), at(9*time.Hour, math.MaxInt32+1, 1), eventstore.Pace{Rate: 1 / (9 * time.Hour).Seconds(), Left: math.MaxInt64, Nears: true}},
		"other partitions":       {at(0, 1000, 100), at(time.Second, 1000, 200, 300, 100), eventstore.Pace{Rate: 100}},
		"another consumer":       {other, at(time.Second, 100, 20), eventstore.Pace{}},
		"the other way round":    {at(time.Second, 100, 20), at(0, 100, 10), eventstore.Pace{}},
		"at the same time":       {at(0, 100, 10), at(0, 100, 20), eventstore.Pace{}},
		"nothing before":         {eventstore.Status{}, at(0, 100, 100), eventstore.Pace{Nears: true}},
		"nothing at all":         {eventstore.Status{}, eventstore.Status{}, eventstore.Pace{}},
	} {
		if got := x.now.Since(x.before); got != x.want {
			t.Errorf("%s: its pace is %+v, not %+v", name, got, x.want)
		}
	}
}

func TestDoneIsTheShareOfTheLogOnAverage(t *testing.T) {
	t.Parallel()
	for want, s := range map[float64]eventstore.Status{
		1:    {},
		0:    {Head: 100},
		0.25: {Head: 100, Partitions: []eventstore.Partition{{Position: 50}, {}}},
		0.5:  {Head: 100, Competing: true, Window: 20, Partitions: []eventstore.Partition{{Position: 70}}},
	} {
		if got := s.Done(); got != want {
			t.Errorf("of %+v, %f is done, not %f", s, got, want)
		}
	}
	full := eventstore.Status{Head: 5, Competing: true, Window: 9, Partitions: []eventstore.Partition{{Position: 5}}}
	if got := full.Done(); got != 0 {
		t.Errorf("of a log that has more deliveries than events, %f is done", got)
	}
}
