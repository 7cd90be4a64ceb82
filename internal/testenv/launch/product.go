package launch

import (
	"context"
	"strings"

	"github.com/necrostack/necrostack/internal/testenv/images"
)

// A Product is a kind of server: how one is run, and how it is used. It is a value; another product takes another
// literal.
type Product struct {
	Name string // in messages and in the names of images, directories and containers, as in "postgres"
	// Variable names the environment variable for the DSN of a server that somebody else runs, and begins the names of
	// others, as in NECROSTACK_POSTGRES_IMAGE.
	Variable string

	// DSN returns the DSN of a server at addr, and Addr where the server of a DSN listens: host:port, or the path of a
	// Unix socket. Addr's errors do not hold the DSN.
	DSN  func(addr, password string) string
	Addr func(dsn string) (string, error)
	// Ping returns nil if the server answers.
	Ping func(ctx context.Context, dsn string) error
	// Create creates an empty database, or whatever keeps what one test has apart from what others have, and returns its
	// DSN.
	Create func(ctx context.Context, dsn, name string) (string, error)
	// Drop removes a database, in use or not.
	Drop func(ctx context.Context, dsn, name string) error

	// Dump returns the command that writes a dump of a database to its output, and Restore the one that reads it from
	// its input, into an empty database. Both begin with a program that is beside the server's own; not every product has
	// them.
	Dump    func(dsn string) []string
	Restore func(dsn string) []string

	// Password is that of every server. If it is empty, one is drawn for each.
	Password string
	// Files are written into the data directory before the first start, by name, if not nil.
	Files func(Place) map[string]string

	Container Container
	Process   Process
}

// A Place is where a server is, as its own files tell it.
type Place struct {
	Data     string // its data directory
	Host     string // the address to listen on
	Port     string
	Password string
}

// A Container says how a product runs in Docker.
type Container struct {
	Image   string // the official one, which is preferred
	Own     string // the name of the one that is built if need be
	Root    images.Root
	Port    string                                  // that the server listens on inside, as in "5432/tcp"
	Env     func(password string) map[string]string // if not nil
	Command []string
	// Host has it share the network of the engine's machine, where it listens on 127.0.0.1 at its own port: for servers
	// that tell each other, and their clients, where they are. It takes an engine of this machine.
	Host bool
}

// place returns where a server is inside of its container.
func (c Container) place(plan plan) Place {
	place := Place{Data: c.Root.Data, Host: "127.0.0.1", Port: plan.port, Password: plan.password}
	if !c.Host {
		place.Host = "0.0.0.0"
		place.Port, _, _ = strings.Cut(c.Port, "/")
	}
	return place
}

// A Process says how a product runs as a program of this machine.
type Process struct {
	Programs []string   // that a usable directory has, the server first
	Dirs     []string   // patterns of directories to look for them in, besides the PATH
	Asked    [][]string // commands that print another such directory
	Packages []string   // the Debian packages that install them
	User     string     // runs the server instead of root

	// Init returns the command that prepares the data directory, if not nil, and Serve the one that serves it. Both begin
	// with one of Programs.
	Init  func(data, passwordFile string) []string
	Serve func(data, port string) []string
}
