#!/bin/bash
# Starts PostgreSQL on the data of the container, which it makes first. It understands the variables and arguments of
# the official image as far as tests use them: POSTGRES_PASSWORD, POSTGRES_INITDB_ARGS, and `postgres OPTION...`.
set -euo pipefail
if [[ $(id -u) = 0 ]]; then
	install -d -o 999 -g 999 /run/postgresql
	exec chroot --userspec=999:999 / "${BASH_SOURCE[0]}" "$@"
fi

data=/var/lib/postgresql/data
bin=$(echo /usr/lib/postgresql/*/bin)
if [[ ! -s $data/PG_VERSION ]]; then
	password=$(mktemp)
	printf '%s\n' "${POSTGRES_PASSWORD:?}" >"$password"
	# The arguments are meant to be split.
	"$bin/initdb" -D "$data" --username=postgres --auth=scram-sha-256 --pwfile="$password" ${POSTGRES_INITDB_ARGS-}
	rm "$password"
	echo 'host all all all scram-sha-256' >>"$data/pg_hba.conf"
fi
shift
exec "$bin/postgres" -D "$data" -c listen_addresses='*' "$@"
