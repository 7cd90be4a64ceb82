package service

import "errors"

// IsNo reports whether an error is a service's no.
func IsNo(err error) bool {
	_, no := errors.AsType[*noError](err)
	return no
}
