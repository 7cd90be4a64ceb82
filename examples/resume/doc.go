// Package resume is what examples need that keep their log in a database, are started again on it, and go on where they
// stopped: input that is put into the log once, and word of a database that does not answer.
//
// What comes after the input goes on by itself: organs begin at their checkpoints.
package resume
