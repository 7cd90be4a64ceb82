package launch

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
)

// A Source is where servers come from.
type Source string

// The sources, in the order in which they are tried.
const (
	Docker Source = "docker" // a Docker engine; see also Product.Container
	Local  Source = "local"  // programs of this machine; see also Product.Process
)

// Sources returns those that the environment variable NECROSTACK_TESTENV allows: "docker", "local", or unset for both.
func Sources() ([]Source, error) {
	const variable = "NECROSTACK_TESTENV"
	switch forced := Source(os.Getenv(variable)); forced {
	case "":
		return []Source{Docker, Local}, nil
	case Docker, Local:
		return []Source{forced}, nil
	default:
		return nil, fmt.Errorf("%s=%s: want docker, local, or nothing for either", variable, forced)
	}
}

// Start starts a server of the product from the first source that can, and waits until it answers. The caller closes
// it. What takes long is announced through report. The error names every source and why it failed.
func Start(ctx context.Context, product Product, report func(string, ...any), sources ...Source) (*Server, error) {
	var tried []string
	var causes []any
	for _, source := range sources {
		server, err := start(ctx, product, report, source)
		if err == nil {
			return server, nil
		}
		tried = append(tried, "  "+string(source)+": %w")
		causes = append(causes, err)
	}
	const advice = "\nset %s to the DSN of a server, start a Docker engine, or install the programs %v"
	causes = append([]any{product.Name}, causes...)
	causes = append(causes, product.Variable, product.Process.Programs)
	return nil, fmt.Errorf("no %s server for the tests; tried:\n"+strings.Join(tried, "\n")+advice, causes...)
}

// Shared returns the server that the product's variable names, or else starts one from the sources that the
// environment allows.
func Shared(ctx context.Context, product Product, report func(string, ...any)) (*Server, error) {
	if dsn := os.Getenv(product.Variable); dsn != "" {
		addr, err := product.Addr(dsn)
		if err == nil {
			err = product.Ping(ctx, dsn)
		}
		if err != nil {
			return nil, fmt.Errorf("the server that %s names: %w", product.Variable, err)
		}
		return &Server{Product: product, DSN: dsn, Addr: addr, life: foreign{}}, nil
	}
	sources, err := Sources()
	if err != nil {
		return nil, err
	}
	return Start(ctx, product, report, sources...)
}

// start tries one source, and again if somebody else took the port meanwhile.
func start(ctx context.Context, product Product, report func(string, ...any), source Source) (*Server, error) {
	begin := map[Source]func(context.Context, Product, func(string, ...any), plan) (life, error){
		Docker: beginContainer, Local: beginProcess,
	}[source]
	var faults []error
	for range 3 {
		port, err := FreePort(ctx)
		if err != nil {
			return nil, err
		}
		plan := plan{addr: "127.0.0.1:" + port, port: port, password: cmp.Or(product.Password, rand.Text())}
		server := &Server{Product: product, From: source, Addr: plan.addr, DSN: product.DSN(plan.addr, plan.password)}
		server.life, err = begin(ctx, product, report, plan)
		if err == nil {
			if err = server.Start(ctx); err == nil {
				return server, nil
			}
			err = errors.Join(err, server.Close(context.WithoutCancel(ctx)))
		}
		faults = append(faults, err)
		if isFree(ctx, port) {
			break
		}
	}
	return nil, errors.Join(faults...)
}

// A plan is what is decided of a server before it exists.
type plan struct{ addr, port, password string }
