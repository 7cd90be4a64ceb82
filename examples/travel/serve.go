package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/necrostack/necrostack/backends/memory"
	"github.com/necrostack/necrostack/eventstore"
	"github.com/necrostack/necrostack/examples/travel/service"
)

// open opens the services: those of other processes by their addresses, and the others here. Stop ends what there is to end.
func (o options) open(ctx context.Context, store *eventstore.Store, diagnostics io.Writer) (services map[string]service.Service, stop func() error, err error) {
	services = map[string]service.Service{}
	addresses, end := o.addresses, func() {}
	if o.serve {
		if addresses, end, err = o.spawn(ctx, diagnostics); err != nil {
			end()
			return nil, nil, err
		}
	}
	books := store
	if inMemory(store) {
		books = memory.Open(memory.Config{}) // they are outside: a crash of ours does not touch them
	}
	client := &http.Client{Transport: &http.Transport{}}
	for _, name := range service.Names() {
		if address := addresses[name]; address != "" {
			services[name] = service.NewClient(address, client)
			continue
		}
		desk, err := service.Open(books, name, o.faults(name))
		if err != nil {
			end()
			return nil, nil, err
		}
		services[name] = desk
	}
	return services, func() error {
		client.CloseIdleConnections()
		end()
		if books != store {
			return books.Close()
		}
		return nil
	}, nil
}

// serveOne is a service, until ctx ends.
func (o options) serveOne(ctx context.Context, store *eventstore.Store, out io.Writer) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	if o.attached {
		go func() { // until the process ends: nothing else ends a read of the standard input
			_, _ = io.Copy(io.Discard, os.Stdin)
			end()
		}()
	}
	desk, err := service.Open(store, o.service, o.faults(o.service))
	if err != nil {
		return err
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", o.listen)
	if err != nil {
		return fmt.Errorf("-listen: %w", err)
	}
	server := &http.Server{
		Handler: service.Handler(desk), ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx }, // ends calls that are still waiting
	}
	fmt.Fprintf(out, "%s listens at http://%s, process %d\n", o.service, listener.Addr(), os.Getpid())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(last); err != nil {
		return err
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// spawn starts a process for each service. They end with this one, however that ends: their standard input does.
func (o options) spawn(ctx context.Context, diagnostics io.Writer) (addresses map[string]string, stop func(), err error) {
	addresses = map[string]string{}
	var stops []func()
	stop = func() {
		for _, s := range stops {
			s()
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, stop, err
	}
	for _, name := range service.Names() {
		args := []string{"-service", name, "-attached", "-store", o.store}
		for flag, on := range map[string]bool{
			"-fail": o.faults(name).Refuses, "-timeout": o.faults(name).Late, "-outage": o.faults(name).Away,
		} {
			if on {
				args = append(args, flag, name)
			}
		}
		p := exec.CommandContext(ctx, self, args...) //nolint:gosec // ourselves
		p.Stderr = diagnostics
		in, err := p.StdinPipe()
		if err != nil {
			return nil, stop, err
		}
		out, err := p.StdoutPipe()
		if err != nil {
			return nil, stop, err
		}
		if err := p.Start(); err != nil {
			return nil, stop, fmt.Errorf("service %s: %w", name, err)
		}
		stops = append(stops, func() {
			_ = in.Close() // it is gone already if the process is
			_ = p.Wait()   // it ends because we do
		})
		line, err := bufio.NewReader(out).ReadString('\n')
		_, rest, found := strings.Cut(strings.TrimSpace(line), " listens at ")
		address, _, _ := strings.Cut(rest, ",")
		if !found {
			return nil, stop, fmt.Errorf("service %s does not say where it listens: %w", name, err)
		}
		addresses[name] = address
		fmt.Fprintln(diagnostics, strings.TrimSpace(line))
	}
	return addresses, stop, nil
}
