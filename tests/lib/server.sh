#!/bin/sh
# A throw-away PostgreSQL server for a test; as user postgres when root asks.
#   server.sh DIR PORT [setting=value ...]
# Makes a cluster in DIR, with a socket in DIR/sock and on 127.0.0.1, and stays while it runs. On
# SIGTERM, and when the server ends, it removes DIR. Everybody may log in as postgres without a
# password from the socket; over TCP passwords count.
# Exit 77: there is no initdb, or BUNNYDB_NO_SERVERS is set. PG_BIN names the folder of the programs when it is not found.
set -u

find_bin() {
	[ -z "${BUNNYDB_NO_SERVERS:-}" ] || { rmdir "$1"; exit 77; }
	for dir in "${PG_BIN:-}" $(command -v initdb >/dev/null 2>&1 && dirname "$(command -v initdb)") \
		$(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin 2>/dev/null | sort -Vr); do
		[ -n "$dir" ] && [ -x "$dir/initdb" ] && { bin=$dir; return; }
	done
	rmdir "$1"
	exit 77
}

as_postgres() {
	cd / || exit 1
	if [ "$(id -u)" = 0 ]; then
		exec setpriv --pdeathsig INT --reuid postgres --regid postgres --clear-groups -- "$@"
	else
		exec setpriv --pdeathsig INT -- "$@"
	fi
}

# The last words of a log, unless we were told to end.
failed() {
	[ -n "$told" ] || tail -n 20 "$1" >&2
	exit 1
}

[ $# -ge 2 ] || { echo "usage: server.sh DIR PORT [setting=value ...]" >&2; exit 2; }
find_bin "$1"
dir=$1 port=$2
shift 2
server='' told=''
trap 'rm -rf "$dir"' EXIT
trap 'told=1; [ -z "$server" ] || kill -QUIT "$server" 2>/dev/null' TERM INT HUP
mkdir -p "$dir/sock"
[ "$(id -u)" != 0 ] || chown -R postgres "$dir"
(as_postgres "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 -N) \
	>"$dir/initdb.log" 2>&1 </dev/null || failed "$dir/initdb.log"
cat >"$dir/data/pg_hba.conf" <<-EOF
	local all,replication all trust
	host  all,replication all 127.0.0.1/32 scram-sha-256
EOF
{
	echo "port = $port"
	echo "listen_addresses = '127.0.0.1'"
	echo "unix_socket_directories = '$dir/sock'"
	echo "fsync = off"
	echo "wal_level = logical"
	echo "shared_buffers = 64MB"
	for setting in "$@"; do echo "$setting"; done
} >>"$dir/data/postgresql.conf"
(as_postgres "$bin/postgres" -D "$dir/data") >>"$dir/log" 2>&1 </dev/null &
server=$!
[ -z "$told" ] || kill -QUIT "$server"
while kill -0 "$server" 2>/dev/null; do
	wait "$server" # until it ends, or a signal comes
done
failed "$dir/log"
