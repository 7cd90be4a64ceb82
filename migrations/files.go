package migrations

import (
	"embed"
	"io/fs"
	"strconv"
	"strings"
)

//go:embed sql/*.sql
var files embed.FS

// FS returns the SQL files, named NUMBER_NAME.up.sql and NUMBER_NAME.down.sql. Each is to run in one transaction, with
// the log's schema first in the search path and pg_temp last, as in SET LOCAL search_path = necrostack, pg_temp:
// functions keep the search path that they are created with.
func FS() fs.FS {
	sub, err := fs.Sub(files, "sql")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return sub
}

// Latest returns the newest version: the number of the last file.
func Latest() uint {
	all, err := fs.ReadDir(files, "sql")
	if err != nil {
		panic(err) // the folder is embedded
	}
	var latest uint64
	for _, file := range all {
		digits, _, _ := strings.Cut(file.Name(), "_")
		number, err := strconv.ParseUint(digits, 10, 32)
		if err != nil {
			panic(err) // a test has seen every name
		}
		latest = max(latest, number)
	}
	return uint(latest)
}
