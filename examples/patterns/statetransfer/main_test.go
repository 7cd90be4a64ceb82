package main

import (
	"testing"

	"github.com/necrostack/necrostack/organs/organstest"
)

func Example() {
	main()
	// Output:
	// 1 label held {"Parcel":"1"} <nil>
	// 2 address noted {"Address":"Oak Lane 1","Revision":1} <nil>
	// 3 label printed {"Parcel":"1","Address":"Oak Lane 1"} <nil>
	// 4 label printed {"Parcel":"2","Address":"Oak Lane 1"} <nil>
	// 5 address noted {"Address":"Elm Road 2","Revision":2} <nil>
	// 6 label printed {"Parcel":"3","Address":"Elm Road 2"} <nil>
}

func TestAddressThatComesAgainOrLateIsPassedOver(t *testing.T) {
	t.Parallel()
	for _, revision := range []int{1, 2} {
		organstest.Given(t, Recipients, AddressNoted{"Elm Road 2", 2}).WhenEvent(CustomerMoved{"ann", "Oak Lane 1", revision}).Then()
	}
}

func TestLabelIsHeldUntilTheAddressIsKnownAndPrintedOnce(t *testing.T) {
	t.Parallel()
	organstest.Given(t, Recipients).WhenEvent(ParcelPacked{"1", "ann"}).Then(LabelHeld{"1"})
	organstest.Given(t, Recipients, LabelHeld{"1"}).WhenEvent(CustomerMoved{"ann", "Oak Lane 1", 1}).
		Then(AddressNoted{"Oak Lane 1", 1}, LabelPrinted{"1", "Oak Lane 1"})
	organstest.Given(t, Recipients, LabelHeld{"1"}, AddressNoted{"Oak Lane 1", 1}, LabelPrinted{"1", "Oak Lane 1"}).
		WhenEvent(CustomerMoved{"ann", "Elm Road 2", 2}).Then(AddressNoted{"Elm Road 2", 2})
}
