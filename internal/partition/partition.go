// Package partition spreads keys over the partitions of a consumer.
package partition

// Of is a key's partition among n, by the 64-bit FNV-1a hash, so that every process agrees, today and later.
// See http://www.isthe.com/chongo/tech/comp/fnv/.
func Of(key string, n int) int {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * prime
	}
	return int(h % uint64(n))
}
