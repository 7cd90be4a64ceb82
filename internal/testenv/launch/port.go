package launch

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// FreePort returns a port of 127.0.0.1 on which nothing listens. It is outside of the ports that systems give to
// outgoing connections and to those who ask for any, so that nobody gets it by chance while its server is down.
func FreePort(ctx context.Context) (string, error) {
	for range 100 {
		port := strconv.Itoa(20000 + rand.IntN(10000))
		if isFree(ctx, port) {
			return port, nil
		}
	}
	return "", errors.New("found no free port between 20000 and 30000 on 127.0.0.1")
}

func isFree(ctx context.Context, port string) bool {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:"+port)
	if err != nil {
		return false
	}
	return listener.Close() == nil
}
