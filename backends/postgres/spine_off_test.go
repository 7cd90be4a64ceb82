//go:build !spine

package postgres_test

import (
	"context"
	"errors"
)

// workerProgram is a part of the tests that take the tag spine.
func workerProgram(context.Context, *parent) error { return errors.New("built without the tag spine") }
