package launch

import (
	"context"

	"github.com/necrostack/necrostack/internal/testenv/images"
)

// A Product is a kind of server: how one is run, and how it is used. It is a value; another product takes another
// literal.
type Product struct {
	Name string // in messages and in the names of images, directories and containers, as in "postgres"
	// Variable names the environment variable for the DSN of a server that somebody else runs, and begins the names of
	// others, as in NECROSTACK_POSTGRES_IMAGE.
	Variable string

	// DSN returns the DSN of a server at addr.
	DSN func(addr, password string) string
	// Ping returns nil if the server answers.
	Ping func(ctx context.Context, dsn string) error
	// Create creates an empty database and returns its DSN.
	Create func(ctx context.Context, dsn, name string) (string, error)
	// Drop removes a database, in use or not.
	Drop func(ctx context.Context, dsn, name string) error

	// Dump returns the command that writes a dump of a database to its output, and Restore the one that reads it from
	// its input, into an empty database. Both begin with a program that is beside the server's own.
	Dump    func(dsn string) []string
	Restore func(dsn string) []string

	Container Container
	Process   Process
}

// A Container says how a product runs in Docker.
type Container struct {
	Image   string // the official one, which is preferred
	Own     string // the name of the one that is built if need be
	Root    images.Root
	Port    string // that the server listens on inside, as in "5432/tcp"
	Env     func(password string) map[string]string
	Command []string
}

// A Process says how a product runs as a program of this machine.
type Process struct {
	Programs []string   // that a usable directory has, the server first
	Dirs     []string   // patterns of directories to look for them in, besides the PATH
	Asked    [][]string // commands that print another such directory
	Packages []string   // the Debian packages that install them
	User     string     // runs the server instead of root

	// Files are written into the data directory, by name, if not nil. Init returns the command that prepares the
	// directory, if not nil, and Serve the one that serves it. Both begin with one of Programs.
	Files func(data, port string) map[string]string
	Init  func(data, passwordFile string) []string
	Serve func(data, port string) []string
}
