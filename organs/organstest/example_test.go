package organstest_test

import (
	"fmt"
	"testing"

	"github.com/necrostack/necrostack/organs/organstest"
)

// In a test, t is its *testing.T. Here it is one that prints.
func Example() {
	t := printer{}

	organstest.Given(t, bottles, Filled{4}, Poured{1}).
		When(Pour{3}).
		Then(Poured{3})

	organstest.Given(t, bottles, Filled{4}, Poured{1}).
		When(Pour{4}).
		ThenError(errEmpty)

	organstest.Given(t, bottles).
		When(Pour{1}).
		Then(Poured{1}) // but there is nothing to pour

	// Output:
	// when organstest_test.Pour{Glasses:1}: failed: 0 glasses: the bottle is empty
	// want events:
	//   organstest_test.Poured{Glasses:1}
}

type printer struct{ testing.TB }

func (printer) Helper() {}

func (printer) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }
