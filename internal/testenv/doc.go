// Package testenv is where tests get servers from, and faults in front of them. Only tests import it.
//
// Postgres returns the server that all tests of a process share, OwnPostgres one that a test may break, whose databases
// it may dump and restore, and that may have a hot standby; Database a database of one's own on either; NewProxy a network that can fail. A
// package that uses them says so once:
//
//	func TestMain(m *testing.M) { os.Exit(testenv.Main(m).Run()) } // or goleak.VerifyTestMain(testenv.Main(m))
//
// A server comes from the first of these that works; if none does, the test fails and says why:
//
//  1. NECROSTACK_POSTGRES, the DSN of a server that somebody else runs (not for OwnPostgres). The user that it names may
//     create databases.
//  2. A Docker engine with the image NECROSTACK_POSTGRES_IMAGE; without that, postgres:17, which is downloaded if need
//     be, or else an image that is built here from Debian packages, which takes root and about a minute, once.
//  3. The PostgreSQL in the directory NECROSTACK_POSTGRES_PROGRAMS; without that, the newest on this machine: in
//     /usr/lib/postgresql, where pg_config says, or on the PATH. Root installs it by apt if there is none.
//
// NECROSTACK_TESTENV=docker or local leaves only one of the last two. All but the first listen on 127.0.0.1 alone and
// are removed when the tests end, even if the process dies; after such a death, Docker's needs the docker command.
//
// PgBouncer in front of a server is always a program of this machine, which root installs by apt if need be.
//
// A test of another kind of server takes another launch.Product and two functions beside Postgres and OwnPostgres.
package testenv
