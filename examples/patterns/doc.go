// Package patterns holds the programs of docs/patterns.md, in a package for each pattern.
package patterns
