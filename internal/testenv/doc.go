// Package testenv is where tests get servers from, and faults in front of them. Only tests import it.
//
// Postgres and Redis return the servers that all tests of a process share, OwnPostgres and OwnRedis one that a test may
// break; Database a database of one's own on any of them, which is a log of a name of its own on Redis; NewProxy a network
// that can fail. A package that uses them says so once:
//
//	func TestMain(m *testing.M) { os.Exit(testenv.Main(m).Run()) } // or goleak.VerifyTestMain(testenv.Main(m))
//
// An own PostgreSQL server can dump and restore its databases, and have a hot standby. OwnRedisTLS is Redis by TLS alone,
// RedisCluster a Redis Cluster whose slots can be moved, RedisPair a server with a replica and Sentinels that have it take
// over: each for one test, which may break any of their servers.
//
// A server comes from the first of these that works; if none does, the test fails and says why. For Redis, the variables
// begin with NECROSTACK_REDIS:
//
//  1. NECROSTACK_POSTGRES, the DSN of a server that somebody else runs, if it may be shared. The user that it names may
//     create databases. That of NECROSTACK_REDIS may do anything; tests keep to the keys of their own logs.
//  2. A Docker engine with the image NECROSTACK_POSTGRES_IMAGE; without that, postgres:17 or redis:8, which is downloaded if
//     need be, or else an image that is built here from Debian packages, which takes root and about a minute, once.
//  3. The PostgreSQL in the directory NECROSTACK_POSTGRES_PROGRAMS; without that, the newest on this machine: in
//     /usr/lib/postgresql, where pg_config says, or on the PATH; for Redis, the one on the PATH. Root installs it by apt if
//     there is none.
//
// NECROSTACK_TESTENV=docker or local leaves only one of the last two. All but the first listen on 127.0.0.1 alone and
// are removed when the tests end, even if the process dies; after such a death, Docker's needs the docker command.
//
// Servers that tell each other where they are, of a Redis Cluster or with Sentinels, share the network of the machine also
// in Docker: an engine elsewhere, as in a virtual machine, will not do for them, and local programs take its place.
//
// PgBouncer in front of a server is always a program of this machine, which root installs by apt if need be.
//
// A test of another kind of server takes another launch.Product and two functions beside Postgres and OwnPostgres.
package testenv
