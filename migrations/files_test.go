package migrations_test

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"github.com/necrostack/necrostack/migrations"
)

func TestMigrationsAreNumberedWithoutGapsAndEachHasAWayBack(t *testing.T) {
	t.Parallel()
	names, err := fs.Glob(migrations.FS(), "*")
	if err != nil {
		t.Fatal(err)
	}
	if want := 2 * int(migrations.Latest()); len(names) != want || want == 0 { //nolint:gosec // it is small
		t.Errorf("%d files, want %d: %v", len(names), want, names)
	}
	for i, name := range names { // sorted, and "down" comes before "up"
		number, way := i/2+1, []string{"down", "up"}[i%2]
		if !strings.HasPrefix(name, fmt.Sprintf("%04d_", number)) || !strings.HasSuffix(name, "."+way+".sql") {
			t.Errorf("file %s, want %04d_NAME.%s.sql", name, number, way)
		}
	}
}

// A migration is a part of the migrator's transaction.
func TestMigrationsDoNotEndTheirTransaction(t *testing.T) {
	t.Parallel()
	ends := regexp.MustCompile(`(?im)^(BEGIN|START TRANSACTION|COMMIT|ROLLBACK|END)\s*;|\bCONCURRENTLY\b|^VACUUM\b`)
	err := fs.WalkDir(migrations.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(migrations.FS(), name)
		// What functions are made of is indented, or has $$ behind its END.
		if found := ends.Find(text); found != nil {
			t.Errorf("%s: %s", name, found)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
