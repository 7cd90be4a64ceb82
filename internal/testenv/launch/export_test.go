package launch

import (
	"context"
	"os"
	"testing"

	"github.com/moby/moby/client"
)

// WithDatabase is withDatabase.
var WithDatabase = withDatabase

// Running is running.
var Running = running

// Offered returns the sources that this machine has something of.
func Offered(ctx context.Context, product Product) (offered []Source) {
	if provider, err := engine(ctx); err == nil {
		offered = append(offered, Docker)
		provider.Close()
	}
	if _, found := programs(ctx, product.Process); found {
		offered = append(offered, Local)
	}
	return offered
}

// Left returns what there still is of a server that was removed, besides its processes.
func Left(t *testing.T, server *Server) []string {
	t.Helper()
	switch life := server.life.(type) {
	case *host:
		if _, err := os.Stat(life.dir); err == nil {
			return []string{life.dir}
		}
	case vessel:
		_, err := life.docker.ContainerInspect(t.Context(), life.id(), client.ContainerInspectOptions{})
		if err == nil {
			return []string{life.id()}
		}
		if err := life.docker.Close(); err != nil {
			t.Error(err)
		}
	}
	return nil
}
