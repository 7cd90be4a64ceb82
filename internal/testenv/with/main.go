// Command with runs a command with the servers that tests need: it starts each once, tells the command where it is by
// the variable that the tests read, and removes them when the command has ended.
//
//	go run ./internal/testenv/with -- go test ./...
//
// A server that the environment already names is used as it is. If one cannot be had, the reason is printed and the
// command runs all the same: the tests that need the server fail, and the others still tell what they find. The exit
// code is the command's.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"

	"github.com/necrostack/necrostack/internal/testenv/launch"
)

func main() {
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		report("usage: with [--] COMMAND [ARGUMENT...]")
		os.Exit(2)
	}
	code, err := run(args, launch.Postgres(), launch.Redis())
	if err != nil {
		report("%v", err)
	}
	os.Exit(code)
}

// run runs a command while there are servers of the products, and returns its exit code.
func run(args []string, products ...launch.Product) (code int, err error) {
	// ^C reaches the command as well; the servers go when it has gone.
	ctx := context.Background()
	interrupted, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()

	var servers []*launch.Server
	defer func() {
		for _, server := range servers {
			err = errors.Join(err, server.Close(ctx))
		}
	}()
	servers = start(interrupted, products)
	for _, server := range servers {
		if fault := os.Setenv(server.Product.Variable, server.DSN); fault != nil {
			return 1, fault
		}
	}
	if interrupted.Err() != nil {
		return 1, interrupted.Err()
	}
	return execute(interrupted, args)
}

// start starts a server of each product, side by side, and returns those that it could get.
func start(ctx context.Context, products []launch.Product) (servers []*launch.Server) {
	var starting sync.WaitGroup
	var mu sync.Mutex
	for _, product := range products {
		starting.Go(func() {
			server, err := launch.Shared(ctx, product, report)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				report("%v", err)
				return
			}
			servers = append(servers, server)
		})
	}
	starting.Wait()
	return servers
}

// execute runs a command, which is told to end when ctx does.
func execute(ctx context.Context, args []string) (code int, err error) {
	command := exec.CommandContext(ctx, args[0], args[1:]...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	err = command.Run()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok && ended.ExitCode() >= 0 {
		return ended.ExitCode(), nil
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}

// report tells what goes on, beside what the command prints.
func report(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "testenv: "+format+"\n", args...)
}
