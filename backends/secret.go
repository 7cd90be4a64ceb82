package backends

import "strings"

// strayAt reports an @ that is not the one before the host. Then a part of the password may stand where host, port or
// database are read, and would show up in what is said about them.
func strayAt(address string) bool {
	first := strings.IndexAny(address, "@/")
	if first >= 0 && address[first] == '@' {
		address = address[first+1:]
	}
	return strings.Contains(address, "@")
}
