// Package migrations creates and upgrades the schema of a log in PostgreSQL.
//
// The SQL is embedded, numbered, and only ever added to once it is released. Up runs it with golang-migrate, in a
// schema of the caller's choice. Each migration is one transaction together with the version that it leads to: one that
// fails, or whose context ends, has changed nothing, and Up may be called again. Any number of processes may call it at
// once; a lock lets one migrate, and the others find it done. All of that works on a direct connection and through
// PgBouncer in transaction mode alike.
//
// Who has a migrator of their own gives it the files from FS, and keeps the version where Status looks for it: in the
// table schema_migrations (version bigint, dirty boolean) of the same schema, which has one row. golang-migrate does
// so by itself, others by Mark.
package migrations
