package spine

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestQuotasShareAllPartitionsEvenly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 1024).Draw(t, "partitions")
		var members []string
		for i := range rapid.IntRange(1, 50).Draw(t, "members") {
			members = append(members, fmt.Sprintf("m%02d", i))
		}
		sum, low, high := 0, n, 0
		for _, m := range members {
			q := quota("consumer", n, members, m)
			sum, low, high = sum+q, min(low, q), max(high, q)
		}
		if sum != n || high-low > 1 {
			t.Fatalf("quotas are %d … %d and %d in all", low, high, sum)
		}
		if q := quota("consumer", n, members, "stranger"); q != 0 {
			t.Fatalf("a stranger has a quota of %d", q)
		}
	})
}

func TestConsumersOfOnePartitionDoNotAllLandOnOneMember(t *testing.T) {
	t.Parallel()
	members, has := []string{"a", "b", "c"}, map[string]int{}
	for c := range 60 {
		for _, m := range members {
			has[m] += quota(fmt.Sprintf("consumer %d", c), 1, members, m)
		}
	}
	if has["a"]+has["b"]+has["c"] != 60 || min(has["a"], has["b"], has["c"]) < 10 {
		t.Errorf("60 consumers are shared as %v", has)
	}
}
