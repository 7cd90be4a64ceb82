// Package viewtest tries what views promise on a backend.
package viewtest

import (
	"testing"

	"github.com/necrostack/necrostack/spine/spinetest"
)

// Run tries every promise of views on logs that h opens.
func Run(t *testing.T, h spinetest.Harness) {
	t.Helper()
	for name, run := range map[string]func(*spinetest.Trial){
		"rows are what folding the log from its beginning comes to":                    equalsOracle,
		"events are folded together across what is read at once":                       manyTogether,
		"rows are written with a checkpoint that is accepted, or not at all":           fenced,
		"rows are written with all of several checkpoints, or not at all":              jointly,
		"each event counts once, whatever commits are lost and processes come and go":  func(t *spinetest.Trial) { cuts(t, 12) },
		"a fold that fails parks its key alone, and redriven it is as if it never had": parksKey,
		"an event that cannot be folded for one of its rows is for the others":         parksOneOfSeveral,
		"a read waits for what was written":                                            readYourWrites,
		"rows are listed page by page, in order, as filters say":                       lists,
		"a rebuild that is interrupted goes on":                                        rebuilt,
		"a reset empties the rows, and they are folded anew":                           resets,
		"a rebuild is no faster than it may be":                                        throttled,
		"handlers learn what is history":                                               historic,
		"a struct that has changed needs a new version":                                changed,
		"a live fold up to any point is a plain fold of what came before":              liveIsAPlainFold,
		"a row at any point is what folding the log up to there comes to":              rowsOfThePast,
		"a snapshot saves reading what came before it":                                 snapshotSaves,
		"a snapshot is not used for an earlier point, and stays":                       laterSnapshot,
		"a snapshot of a log that was set back is not believed": func(t *spinetest.Trial) {
			snapshotOfAnotherLog(t, spinetest.NewTrial(t.T, h))
		},
		"a point that is not there is refused":                        noSuchPoint,
		"a watch tells every row that changes, as it is by then":      watches,
		"a watch goes on behind any change, and misses nothing":       watchResumes,
		"a watch misses nothing when another version serves":          watchSwitches,
		"a watch tells a row once more when its event is redriven":    watchParked,
		"a watch never takes rows for removed that are folded anew":   watchReset,
		"a watch waits for a paused view and for a log that is away":  watchWaits,
		"a view that is sound verifies clean, in any number of parts": verifies,
		"verifying tells exactly the rows that were spoiled":          spoiled,
		"verifying is exact while the view goes on":                   verifiesUnderLoad,
		"verifying passes over what is parked, and folds what it can": verifiesParked,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(spinetest.NewTrial(t, h))
		})
	}
}
