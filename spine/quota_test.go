package spine

import (
	"fmt"
	"slices"
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

func TestPartitionOfAKeyNeverChanges(t *testing.T) {
	t.Parallel()
	var got []int
	for _, key := range []string{"", "a", "order-42", "ä", "a longer key, with spaces"} {
		got = append(got, partition(key, 16), partition(key, 1000))
	}
	if want := goldenPartitions; !slices.Equal(got, want) {
		t.Errorf("partitions are %v, want %v: a log in use would lose the order of its keys", got, want)
	}
}

// goldenPartitions are 64-bit FNV-1a hashes modulo 16 and 1000; that of nothing is 0xcbf29ce484222325.
var goldenPartitions = []int{5, 37, 12, 996, 4, 4, 2, 562, 13, 893}
