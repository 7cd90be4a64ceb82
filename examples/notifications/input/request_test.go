package input_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/necrostack/necrostack/examples/notifications/input"
)

// ids reads a file and returns what its rows are called.
func ids(t *testing.T, name, content string) []uuid.UUID {
	t.Helper()
	rows, faults, err := input.Requests(name, strings.NewReader(content))
	if err != nil || faults != nil {
		t.Fatal(faults, err)
	}
	out := make([]uuid.UUID, len(rows))
	for i, r := range rows {
		if r.Request.RequestID != r.ID.String() {
			t.Errorf("request %s has the id %s", r.Request.RequestID, r.ID)
		}
		out[i] = r.ID
	}
	return out
}

func TestARowKeepsItsIDWhereverItStands(t *testing.T) {
	t.Parallel()
	first := ids(t, "a.csv", header+"ann,email,hi,low\nbob,sms,hi,low\n")
	again := ids(t, "dir/a.csv", header+"\nzoe,email,hi,low\nbob,SMS, hi,low\nann,email,hi,low\n")
	if first[0] != again[2] || first[1] != again[1] {
		t.Errorf("%s became %s", first, again)
	}
	if first[0].String() != "2381f5dc-c240-5163-a45f-d5448db5d859" {
		t.Errorf("ids of an earlier version are not recognised any more: got %s", first[0])
	}
}

func TestRowsThatDifferHaveDifferentIDs(t *testing.T) {
	t.Parallel()
	all := ids(t, "a.csv", header+
		"ann,email,hi,low\n"+"ann,email,hi,low\n"+ // on purpose twice
		"bob,email,hi,low\n"+"ann,sms,hi,low\n"+"ann,email,ho,low\n"+"ann,email,hi,high\n"+"ann,email|sms,hi,low\n"+
		`"ann"" ""email","",hi,low`+"\n")
	all = append(all, ids(t, "b.csv", header+"ann,email,hi,low\n")...)
	seen := map[uuid.UUID]int{}
	for i, id := range all {
		if before, twice := seen[id]; twice {
			t.Errorf("rows %d and %d are both %s", before, i, id)
		}
		seen[id] = i
	}
}
