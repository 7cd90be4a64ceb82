// Package projections keeps read models: rows that are folded from events.
//
// A [View] keeps one row for each key, by pure folds; it is an organ, so a Spine runs it. Its rows are kept by the backend
// of the log, in one transaction with the view's progress, so each event counts once, whatever crashes. [View.Rows] reads
// them, in any process; [Rows.Watch] tells which of them change, and [View.Verify] whether they are what the log says. A [Live] fold keeps nothing: it is made when it is asked for, as of now or of any point in the past.
package projections
