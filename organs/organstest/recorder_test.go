package organstest_test

import (
	"fmt"
	"runtime"
	"testing"
)

// recorder is a testing.TB that keeps what it is told.
type recorder struct {
	testing.TB
	errors  []string
	fatal   bool
	helpers map[string]bool // functions that said they are
	blamed  string          // a function that failed the test and is none
}

func (r *recorder) Helper() {
	if r.helpers == nil {
		r.helpers = map[string]bool{}
	}
	r.helpers[caller()] = true
}

func (r *recorder) Errorf(format string, args ...any) {
	if f := caller(); !r.helpers[f] {
		r.blamed = f
	}
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
	r.fatal = true
	panic(stop{})
}

// caller is the function that called the method of recorder that calls it.
func caller() string {
	pc, _, _, _ := runtime.Caller(2)
	return runtime.FuncForPC(pc).Name()
}

type stop struct{}

// record runs a test and returns what it came to.
func record(t *testing.T, test func(t testing.TB)) *recorder {
	t.Helper()
	r := &recorder{TB: t}
	func() {
		defer func() {
			if p := recover(); p != nil && p != (stop{}) {
				panic(p)
			}
		}()
		test(r)
	}()
	return r
}
