#!/bin/sh
# A throw-away PostgreSQL cluster for a test; as user postgres when root asks.
#   cluster.sh start DIR PORT [setting=value ...]   new cluster in DIR, socket in DIR/sock, TCP too
#   cluster.sh stop DIR                             ends it at once and removes DIR
# Everybody may log in as postgres without a password from the socket; over TCP passwords count.
# Exit 77: there is no initdb. PG_BIN names the folder of the binaries when it is not found.
set -u

find_bin() {
	for dir in "${PG_BIN:-}" $(command -v initdb >/dev/null 2>&1 && dirname "$(command -v initdb)") \
		$(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin 2>/dev/null | sort -Vr); do
		[ -n "$dir" ] && [ -x "$dir/initdb" ] && { bin=$dir; return; }
	done
	exit 77
}

as_postgres() {
	if [ "$(id -u)" = 0 ]; then
		(cd / && setpriv --reuid postgres --regid postgres --clear-groups -- "$@")
	else
		"$@"
	fi
}

start() {
	dir=$1 port=$2
	shift 2
	mkdir -p "$dir/sock"
	[ "$(id -u)" != 0 ] || chown -R postgres "$dir"
	as_postgres "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 -N \
		>"$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log" >&2; exit 1; }
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
	as_postgres "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w -s start || { cat "$dir/log" >&2; exit 1; }
}

find_bin
case ${1:-} in
start) shift; start "$@" ;;
stop)
	as_postgres "$bin/pg_ctl" -D "$2/data" -m immediate -w -s stop
		rm -rf "$2"
	;;
*) echo "usage: cluster.sh start DIR PORT [setting=value ...] | stop DIR" >&2; exit 2 ;;
esac
