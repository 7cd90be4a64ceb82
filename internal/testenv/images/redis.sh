#!/bin/bash
# Starts Redis on the data of the container. It understands the arguments of the official image as far as tests use
# them: `redis-server FILE OPTION...`.
set -euo pipefail
if [[ $(id -u) = 0 ]]; then
	chown -R 999:999 /data
	exec chroot --userspec=999:999 / "${BASH_SOURCE[0]}" "$@"
fi
cd /data
exec "$@"
