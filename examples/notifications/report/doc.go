// Package report tells what became of requests: Text and Totals write it for people, JSON for programs.
package report
