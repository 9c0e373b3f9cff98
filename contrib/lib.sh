# Shared by contrib/check and contrib/demo (bash): packages, a private copy of the sources to build
# in, builds, and throw-away PostgreSQL clusters. Sourced; sets top, cache, pgbin.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
jobs=$(nproc 2>/dev/null || echo 2)

build_packages="build-essential autoconf automake pkg-config libpq-dev libncurses-dev libsqlite3-dev
	libinih-dev libmicrohttpd-dev libjansson-dev libsodium-dev"
server_packages="postgresql postgresql-contrib curl util-linux procps"
test_packages="libcmocka-dev clang-format jq openssl ncurses-term xz-utils python3-pytest python3-pytest-xdist
	python3-psycopg python3-pexpect python3-pyte libfaketime"
fuzz_packages="clang libclang-rt-dev"

say() { printf '%s\n' "$*"; }
die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# --- packages ---------------------------------------------------------------------------------

# Prints those of the named packages that are not installed.
lib_missing() {
	local p
	for p in "$@"; do
		[ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || say "$p"
	done
}

# Runs a command as root: as we are, or by sudo without a question when nobody could answer it.
lib_as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif [ -t 0 ]; then
		sudo "$@"
	else
		sudo -n "$@"
	fi
}

# Installs what is missing. Debian would make and start a cluster of its own for a new PostgreSQL:
# a setting and a policy that exist only meanwhile keep it from that.
lib_install() {
	command -v dpkg-query >/dev/null ||
		{ say "not a Debian system: the packages of contrib/lib.sh must be there already"; return 0; }
	local missing
	missing=$(lib_missing "$@")
	[ -n "$missing" ] || return 0
	[ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
		die "these packages are missing, and only root can install them: $(echo $missing)"
	say "installing: $(echo $missing)"
	lib_as_root bash -s -- $missing <<'ROOT' || die "the packages could not be installed"
set -u
export DEBIAN_FRONTEND=noninteractive
conf=/etc/postgresql-common/createcluster.d/bunnydb-no-cluster.conf
policy=/usr/sbin/policy-rc.d
made_policy=
had_conf_dir=1
[ -d "${conf%/*}" ] || had_conf_dir=
undo() {
	rm -f "$conf"
	[ -n "$had_conf_dir" ] || rmdir "${conf%/*}" 2>/dev/null
	[ -z "$made_policy" ] || rm -f "$policy"
}
trap undo EXIT
trap 'exit 1' INT TERM
mkdir -p "${conf%/*}" && echo "create_main_cluster = false" >"$conf"
if [ ! -e "$policy" ]; then
	made_policy=1
	printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
fi
install() {
	apt-get install -y -q --no-install-recommends -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 \
		-o Dpkg::Options::=--force-confold "$@" </dev/null
}
log=$(mktemp)
{ apt-get update -q -o DPkg::Lock::Timeout=120 </dev/null && install "$@"; } >"$log" 2>&1 ||
	{ tail -n 30 "$log" >&2; echo "apt-get failed; all of it: $log" >&2; exit 1; }
rm -f "$log"
ROOT
	missing=$(lib_missing "$@")
	[ -z "$missing" ] || die "still missing: $missing"
}

# Finds promtool, or fetches it: Debian has it only in the package of the Prometheus server, which
# would be started and listen. So the package is not installed; the program is taken out of it, into
# the cache. Sets promtool.
lib_promtool() {
	promtool=$(command -v promtool) && return 0
	promtool=$cache/tools/promtool
	[ ! -x "$promtool" ] || return 0
	command -v dpkg-deb >/dev/null || die "promtool (of Prometheus) is missing"
	local dir
	say "fetching promtool"
	mkdir -p "$cache/tools" && dir=$(mktemp -d "$cache/tools/XXXXXX") || return 1
	(
		cd "$dir" || exit 1
		apt-get download -q prometheus || {
			lib_as_root apt-get update -q -o DPkg::Lock::Timeout=120 && apt-get download -q prometheus
		} || exit 1
		dpkg-deb --fsys-tarfile prometheus_*.deb | tar -xf - ./usr/bin/promtool &&
			mv usr/bin/promtool "$promtool"
	) >"$cache/tools/log" 2>&1 </dev/null || { tail -n 20 "$cache/tools/log" >&2; promtool=; }
	rm -rf "$dir"
	[ -n "$promtool" ] || die "promtool could not be fetched"
}

# --- building ---------------------------------------------------------------------------------

# Chooses the cache directory: sources are copied there, so that a tree that is read-only, belongs
# to somebody else or is configured already does not matter. BUNNYDB_CACHE names another place.
lib_cache() {
	local base=${BUNNYDB_CACHE:-${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/bunnydb}
	mkdir -p "$base" 2>/dev/null && [ -w "$base" ] || base=/tmp/bunnydb-cache-$(id -u)
	cache=$base/$(printf %s "$top" | cksum | cut -d' ' -f1)
	mkdir -p "$cache" || die "cannot write to $cache"
}

# The sources' files, without what a build or an editor leaves among them.
lib_sources() {
	(cd "$top" && find . \( -name .git -o -name autom4te.cache -o -name .deps -o -name __pycache__ \
		-o -name .pytest_cache -o -path './build*' -o -path ./m4 \) -prune -o -type f \
		! -name '*.o' ! -name '*.a' ! -name '*.log' ! -name '*.trs' ! -name Makefile.in \
		! -name '*~' ! -path ./Makefile ! -path ./configure ! -path './config.*[hgs]' \
		! -path ./stamp-h1 ! -path ./aclocal.m4 ! -path ./bunnydb ! -name .dirstamp \
		! -name 'bunnydb-*.tar.*' -print -o -path ./configure.ac -print | sort -u)
}

# Brings the copy up to date (times kept, so that make rebuilds only what changed) and makes
# configure in it.
lib_stage() {
	lib_cache
	exec 8>"$cache/lock"
	flock -n 8 || { say "waiting for another build in $cache"; flock 8; }
	mkdir -p "$cache/src"
	touch "$cache/stage.new" # before the copy: what changes from here on counts as newer
	lib_sources >"$cache/list.new"
	if [ -f "$cache/list" ]; then
		comm -23 "$cache/list" "$cache/list.new" | (cd "$cache/src" && xargs -r -d '\n' rm -f)
	fi
	mv "$cache/list.new" "$cache/list"
	# Only what differs, and with the time of now: a source that changed while an earlier run was
	# building from its old text is newer than what that run has built.
	rm -rf "$cache/new" && mkdir "$cache/new" &&
		tar -C "$top" -cf - -T "$cache/list" | tar -C "$cache/new" --no-same-owner -xf - ||
		die "cannot copy the sources to $cache/new"
	while IFS= read -r file; do
		cmp -s "$cache/new/$file" "$cache/src/$file" && continue
		mkdir -p "$cache/src/$(dirname "$file")" &&
			cp --preserve=mode "$cache/new/$file" "$cache/src/$file" ||
			die "cannot copy $file to $cache/src"
	done <"$cache/list"
	rm -rf "$cache/new"
	if [ ! -f "$cache/staged" ] || [ -n "$(cd "$cache/src" && find . \( -name '*.am' -o \
		-name configure.ac \) -newer ../staged -print -quit)" ]; then
		(cd "$cache/src" && autoreconf -fi) >"$cache/autoreconf.log" 2>&1 ||
			{ tail -n 20 "$cache/autoreconf.log" >&2; return 1; }
		mv "$cache/stage.new" "$cache/staged"
	fi
}

# lib_build NAME [configure arguments]: an out-of-tree build in $cache/NAME.
lib_build() {
	local name=$1
	shift
	mkdir -p "$cache/$name" || return 1
	(
		cd "$cache/$name" || exit 1
		if [ ! -f Makefile ] || [ ../src/configure -nt config.status ] ||
			[ "$(cat configured 2>/dev/null)" != "$*" ]; then
			../src/configure -q "$@" && say "$*" >configured || exit 1
		fi
		make -s -j"$jobs"
	)
}

# Makes a directory NAME.XXXXXX for throw-away things, in memory if there is plenty: a new database
# is some 300 files, which cost ten times as much on a disk. Prints its path.
lib_scratch() {
	local place=/tmp room free
	room=$(df -k --output=avail /dev/shm 2>/dev/null | tail -n 1)
	free=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB$/\1/p' /proc/meminfo)
	[ "${room:-0}" -lt 4194304 ] || [ "${free:-0}" -lt 4194304 ] || [ ! -w /dev/shm ] ||
		place=/dev/shm
	place=$(mktemp -d "$place/$1.XXXXXX") && chmod 755 "$place" && say "$place"
}

# --- PostgreSQL -------------------------------------------------------------------------------

# Finds the server's programs: the newest that Debian's packages brought, else those of PATH.
lib_pg_find() {
	pgbin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5 -n | tail -n 1)
	[ -n "$pgbin" ] || pgbin=$(dirname "$(command -v postgres)" 2>/dev/null)
	[ -x "$pgbin/postgres" ] || die "no PostgreSQL server programs found"
	PATH=$pgbin:$PATH
}

# Runs a server program: never as root. It ends when the calling shell ends.
lib_as_postgres() {
	if [ "$(id -u)" = 0 ]; then
		setpriv --pdeathsig INT --reuid postgres --regid postgres --clear-groups -- "$@"
	else
		setpriv --pdeathsig INT -- "$@"
	fi
}

# A free TCP port of 127.0.0.1.
lib_free_port() {
	local port
	while :; do
		port=$((10000 + RANDOM % 20000)) # below those that the kernel gives away
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
	done
	say "$port"
}

# lib_cluster DIRECTORY PORT [name=value…]: makes and starts a cluster that trusts this machine's
# users on a socket in DIRECTORY and on 127.0.0.1. Its postmaster's PID goes to cluster_pid.
lib_cluster() {
	local dir=$1 port=$2
	shift 2
	mkdir -p "$dir" && { [ "$(id -u)" != 0 ] || chown postgres:postgres "$dir"; } || return 1
	(cd / && lib_as_postgres "$pgbin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 \
		--locale=C.UTF-8 --no-sync --no-instructions >"$dir.log" 2>&1) ||
		{ cat "$dir.log" >&2; return 1; }
	local settings=() s
	for s in "$@"; do settings+=(-c "$s"); done
	(
		cd / && exec setsid setpriv --pdeathsig INT \
			$([ "$(id -u)" != 0 ] || echo --reuid postgres --regid postgres --clear-groups) -- \
			"$pgbin/postgres" -D "$dir/data" -k "$dir" -p "$port" \
			-c listen_addresses=127.0.0.1 "${settings[@]}"
	) >>"$dir.log" 2>&1 </dev/null 8>&- &
	cluster_pid=$!
	local i
	for ((i = 0; i < 300; i++)); do
		"$pgbin/pg_isready" -q -h "$dir" -p "$port" -U postgres -d postgres && return 0
		kill -0 "$cluster_pid" 2>/dev/null || break
		sleep 0.1
	done
	tail -n 20 "$dir.log" >&2
	return 1
}
