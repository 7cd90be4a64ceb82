package launch

import (
	"context"
	"errors"
)

func beginProcess(context.Context, Product, func(string, ...any), plan) (life, error) {
	return nil, errors.New("servers as processes need a Unix; on Windows only Docker will do")
}

// deadman does nothing here: a test process that dies leaves its containers behind.
func deadman(string, ...string) (release func(), err error) {
	return func() {}, nil
}
