// Package report tells how a trading run went: Text draws it for a terminal, JSON writes it for a program.
package report
