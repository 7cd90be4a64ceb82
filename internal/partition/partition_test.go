package partition

import (
	"slices"
	"testing"
)

func TestPartitionOfAKeyNeverChanges(t *testing.T) {
	t.Parallel()
	var got []int
	for _, key := range []string{"", "a", "order-42", "ä", "a longer key, with spaces"} {
		got = append(got, Of(key, 16), Of(key, 1000))
	}
	if want := goldenPartitions; !slices.Equal(got, want) {
		t.Errorf("partitions are %v, want %v: a log in use would lose the order of its keys", got, want)
	}
}

// goldenPartitions are 64-bit FNV-1a hashes modulo 16 and 1000; that of nothing is 0xcbf29ce484222325.
var goldenPartitions = []int{5, 37, 12, 996, 4, 4, 2, 562, 13, 893}
