// Package launch starts the servers that tests need, breaks them on demand, and leaves nothing of them behind.
//
// A Product says what it takes to run a kind of server, and how one is used, as Postgres and Redis do. Where its
// servers come from is a Source: a Docker engine, or programs of this machine. A server listens on 127.0.0.1 only, on
// a port that stays its own when it is started again, and trusts a password that is drawn for it.
//
// Servers keep what is committed when they are killed. When the machine is, those of PostgreSQL do not, unless their
// settings say so: they do not wait for the disk.
package launch
