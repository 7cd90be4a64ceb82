// Command readme is the program that the README shows: a library that lends books.
package main
