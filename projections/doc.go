// Package projections keeps read models: rows that are folded from events.
//
// A [View] keeps one row for each key, by pure folds; it is an organ, so a Spine runs it. Its rows are kept by the backend
// of the log, in one transaction with the view's progress, so each event counts once, whatever crashes. [View.Rows] reads
// them, in any process.
package projections
