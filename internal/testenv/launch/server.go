package launch

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// patience is how long a server may take to answer after its start.
const patience = 60 * time.Second

// ErrForeign is the error of whatever would change a server that somebody else runs.
var ErrForeign = errors.New("somebody else runs this server")

// A Server is one that tests use. Its methods are not safe for concurrent use.
type Server struct {
	Product Product
	From    Source // empty if somebody else runs it
	Addr    string
	DSN     string // of its administrator; it holds the password

	life life
}

// life is what can be done to a server, one way in Docker and another with processes; hence its many methods.
type life interface {
	start(context.Context) error
	stop(context.Context) error // returns when all of the server's processes are gone, like kill
	kill(context.Context) error
	pause(context.Context) error
	resume(context.Context) error
	pids(context.Context) ([]int, error) // the first is the server's own, the others are its children
	remove(context.Context) error        // ends the processes too, in whatever state they are
	alive(context.Context) bool          // reports whether the server's own process is there
	log(context.Context) string          // its last lines

	// run runs a program of the product where the server runs, and returns its output. The server listens at inside.
	run(ctx context.Context, input []byte, command ...string) ([]byte, error)
	inside() (addr string)
}

// Start starts a server that was stopped or killed, at the same address and with its data, and waits until it answers.
func (s *Server) Start(ctx context.Context) error {
	if err := s.life.start(ctx); err != nil {
		return fmt.Errorf("starting %s: %w", s.Product.Name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := s.Product.Ping(attempt, s.DSN)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || !s.life.alive(ctx) {
			log := s.life.log(context.WithoutCancel(ctx))
			return fmt.Errorf("starting %s: it does not answer: %w; its log ends with:\n%s", s.Product.Name, err, log)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Stop has the server end in good order, without waiting for its clients.
func (s *Server) Stop(ctx context.Context) error { return s.fault("stopping", s.life.stop(ctx)) }

// Kill ends all of the server's processes by SIGKILL and returns when they are gone.
func (s *Server) Kill(ctx context.Context) error { return s.fault("killing", s.life.kill(ctx)) }

// Pause freezes the server: its connections stay open, and nothing answers.
func (s *Server) Pause(ctx context.Context) error { return s.fault("pausing", s.life.pause(ctx)) }

// Resume lets a frozen server go on.
func (s *Server) Resume(ctx context.Context) error { return s.fault("resuming", s.life.resume(ctx)) }

// Pids returns the server's processes, the one that started the others first. In Docker they are numbered as its
// engine's machine sees them.
func (s *Server) Pids(ctx context.Context) ([]int, error) {
	pids, err := s.life.pids(ctx)
	return pids, s.fault("listing the processes of", err)
}

// Dump returns a dump of a database of the server. Options are more arguments of the product's program.
func (s *Server) Dump(ctx context.Context, dsn string, options ...string) ([]byte, error) {
	dump, err := s.run(ctx, nil, dsn, func(dsn string) []string { return append(s.Product.Dump(dsn), options...) })
	return dump, s.fault("dumping a database of", err)
}

// Restore restores a dump into an empty database of the server, which is of the same version as the dump's or newer.
func (s *Server) Restore(ctx context.Context, dsn string, dump []byte) error {
	_, err := s.run(ctx, dump, dsn, s.Product.Restore)
	return s.fault("restoring a database of", err)
}

func (s *Server) run(ctx context.Context, input []byte, dsn string, command func(dsn string) []string) ([]byte, error) {
	if s.From == "" {
		return nil, ErrForeign
	}
	dsn, err := Redirect(dsn, s.life.inside())
	if err != nil {
		return nil, err
	}
	return s.life.run(ctx, input, command(dsn)...)
}

// Close ends the server and removes all that there is of it, unless somebody else runs it.
func (s *Server) Close(ctx context.Context) error { return s.fault("removing", s.life.remove(ctx)) }

func (s *Server) fault(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s the server %s %s: %w", doing, s.Product.Name, s.Addr, err)
}

// foreign is the life of a server that somebody else runs.
type foreign struct{}

func (foreign) start(context.Context) error         { return ErrForeign }
func (foreign) stop(context.Context) error          { return ErrForeign }
func (foreign) kill(context.Context) error          { return ErrForeign }
func (foreign) pause(context.Context) error         { return ErrForeign }
func (foreign) resume(context.Context) error        { return ErrForeign }
func (foreign) pids(context.Context) ([]int, error) { return nil, ErrForeign }
func (foreign) remove(context.Context) error        { return nil }
func (foreign) alive(context.Context) bool          { return true }
func (foreign) log(context.Context) string          { return "" }
func (foreign) inside() string                      { return "" }

func (foreign) run(context.Context, []byte, ...string) ([]byte, error) { return nil, ErrForeign }
