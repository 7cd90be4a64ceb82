package backends

import (
	"errors"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// strayAt reports an @ that is not the one before the host. Then a part of the password may stand where host, port or
// database are read, and would show up in what is said about them.
func strayAt(address string) bool {
	first := strings.IndexAny(address, "@/")
	if first >= 0 && address[first] == '@' {
		address = address[first+1:]
	}
	return strings.Contains(address, "@")
}

// quoted is a piece of the address within a reason.
var quoted = regexp.MustCompile(`"[^"]*"`)

// misread returns why the driver could not read an address, without any piece of that address. The error itself is not
// to be wrapped: it holds all of it.
func misread(err error) (reason string, is bool) {
	wrong, is := errors.AsType[*pgconn.ParseConfigError](err)
	if !is {
		return "", false
	}
	// What is between backquotes is the address, with its password masked as well as can be.
	_, reason, told := strings.Cut(strings.TrimPrefix(wrong.Error(), "cannot parse `"), "`: ")
	if !told || strings.Contains(wrong.ConnString, "`") {
		return "it has to be postgres://user:password@host:port/database", true
	}
	return quoted.ReplaceAllLiteralString(reason, `"…"`), true
}
