#!/bin/bash
# A walk through a troubleshooting guide of the kind that operators of replication tools have: each
# trouble is made, each command of the guide is run as it stands there, and what it promises is
# compared with what came. Prints both for each line; the exit code is 0 only if every promise is
# kept. Called by test_guide.py, which makes servers, peers and the mirror my-mirror.
#   BUNNY   http://HOST:PORT        TOKEN   of an admin
#   SOURCE, DEST   connection strings for psql
set -u
: "${BUNNY:?}" "${TOKEN:?}" "${SOURCE:?}" "${DEST:?}"
tmp=$(mktemp -d)
background=
finish() {
	[ -z "$background" ] || kill $background 2>/dev/null
	rm -rf "$tmp"
}
trap finish EXIT
lines=0
failed=0
M=/v1/mirrors/my-mirror

say() { printf '%s\n' "$*"; }
section() { printf '\n%s\n' "== $*"; }
verdict() { # verdict OK-OR-NOT WHAT-CAME
	lines=$((lines + 1))
	say "    came:     ${2:0:300}"
	if [ "$1" = 0 ]; then
		say "    kept"
	else
		failed=$((failed + 1))
		say "    NOT KEPT"
	fi
}

# --- HTTP: call METHOD PATH [BODY] sets code and body ------------------------------------------
call() {
	local arguments=(-sS -o "$tmp/body" -w '%{http_code}' --max-time 60 -X "$1"
		-H "Authorization: Bearer $TOKEN")
	[ $# -lt 3 ] || arguments+=(-H "Content-Type: application/json" -d "$3")
	: >"$tmp/body"
	code=$(curl "${arguments[@]}" "$BUNNY$2")
	body=$(cat "$tmp/body")
}
is() { jq -e "$1" <<<"$body" >/dev/null 2>&1; }

# curl_line PROMISE "CODES" CONDITION METHOD PATH [BODY]: one command of the guide. CONDITION is
# jq's, about the answer.
curl_line() {
	local promise=$1 codes=" $2 " condition=$3 ok=1
	shift 3
	say "curl -X $1 …$2${3:+ -d '$3'}"
	say "    promised: $promise"
	call "$@"
	[[ $codes != *" $code "* ]] || ! is "$condition" || ok=0
	verdict "$ok" "$code $(jq -c . <<<"$body" 2>/dev/null || printf %s "$body")"
}

# --- SQL: psql_line PROMISE CONDITION WHERE SQL: the condition is a pattern for the rows ---------
# An operator who meets a moment between two states (a stream that begins anew has left its slot)
# looks once more, and so does this.
sql() { psql -X -A -t -q -v ON_ERROR_STOP=1 "$1" -c "$2"; }
psql_line() {
	local promise=$1 pattern=$2 got ok=1 end=$((SECONDS + 20))
	say "SQL: $4"
	say "    promised: $promise"
	until got=$(sql "$3" "$4" 2>&1) && [[ $got =~ $pattern ]] && ok=0; do
		[ "$SECONDS" -lt "$end" ] || break
		sleep 0.1
	done
	verdict "$ok" "$(tr '\n' ' ' <<<"$got")"
}

# --- States are awaited ---------------------------------------------------------------------------
until_true() { # until_true SECONDS COMMAND…
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}
status_is() { call GET $M && is ".status == \"$1\" and .operation == null"; }
digest() { sql "$1" "SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM $2 t"; }
is_equal() { [ "$(digest "$SOURCE" "$1")" = "$(digest "$DEST" "$1")" ]; }
equal_tables() { is_equal public.users && is_equal public.orders; }
# awaited PROMISE COMMAND…: what a line of the guide leads to
awaited() {
	local promise=$1 ok=1
	shift
	say "  then"
	say "    promised: $promise"
	until_true 60 "$@" && ok=0
	call GET $M
	verdict "$ok" "$(jq -c '{status, phase, operation, error_message, last_lsn}' <<<"$body")"
}
row=1000
write() { # one more row at the source, whose arrival shows that the mirror works
	row=$((row + 1))
	sql "$SOURCE" "INSERT INTO public.users (id, username) VALUES ($row, 'guide $row')"
}
working() { # working: the mirror runs and nothing was lost
	write
	awaited "the mirror runs, and no change is lost" status_is running
	awaited "source and destination are equal" equal_tables
}
has_error() { call GET $M && is '.status == "error"'; }

section "1. Replication slot already exists"
psql_line "the mirror's slot is there" '^bunny_slot_my_mirror$' "$SOURCE" \
	"SELECT slot_name FROM pg_replication_slots WHERE slot_name = 'bunny_slot_my_mirror'"
write
curl_line "the mirror is started again" "200 202" '.message' POST $M/retry
working

section "2. Slot is active"
call POST $M/pause
until_true 20 eval '[ "$(sql "$SOURCE" "SELECT active FROM pg_replication_slots
	WHERE slot_name = '\''bunny_slot_my_mirror'\''")" = f ]'
pg_recvlogical -d "$SOURCE" --slot=bunny_slot_my_mirror --start --no-loop -f /dev/null -F 0 -s 0 \
	-o proto_version=1 -o publication_names=bunny_pub_my_mirror >/dev/null 2>&1 &
background=$!
until_true 20 eval '[ "$(sql "$SOURCE" "SELECT active FROM pg_replication_slots
	WHERE slot_name = '\''bunny_slot_my_mirror'\''")" = t ]'
call POST $M/resume
curl_line "retry is accepted" "200 202" '.message' POST $M/retry
psql_line "the process that has the slot is found and ended" 'bunny_slot_my_mirror\|[0-9]+\|t' \
	"$SOURCE" "SELECT slot_name, active_pid, pg_terminate_backend(active_pid) AS terminated
	FROM pg_replication_slots WHERE slot_name = 'bunny_slot_my_mirror' AND active"
wait "$background" 2>/dev/null
background=
curl_line "retry starts the mirror" "200 202" '.message' POST $M/retry
working

section "3. A run that has ended already"
sql "$DEST" "ALTER TABLE public.users ADD CONSTRAINT no_guide CHECK (username <> 'refused')"
sql "$SOURCE" "INSERT INTO public.users (id, username) VALUES (900, 'refused')"
until_true 60 has_error
call GET $M/runs
runs=$(jq .total <<<"$body")
sql "$DEST" "ALTER TABLE public.users DROP CONSTRAINT no_guide"
curl_line "retry starts a fresh run" "200 202" '.message' POST $M/retry
working
curl_line "the new run is in the history" 200 ".total > $runs" GET $M/runs

section "4. Heartbeat timeout"
curl_line "the process's health can be asked for" 200 '.status == "ok"' GET /health
curl_line "the log tells of crashes" 200 '.logs | length > 0' GET "$M/logs?limit=100"
curl_line "heartbeats are sent" 200 \
	'(now - (.heartbeat_at | sub("\\.[0-9]+Z"; "Z") | fromdate)) < 15' GET $M
curl_line "retry starts the mirror" "200 202" '.message' POST $M/retry
working

section "5. Relation does not exist at the destination"
sql "$DEST" "DROP TABLE public.orders"
sql "$SOURCE" "INSERT INTO public.orders (id, user_id) VALUES (501, 1)"
until_true 60 has_error
curl_line "missing tables are created" "200 202" '.message' POST $M/sync-schema
awaited "the table is there" eval \
	'[ "$(sql "$DEST" "SELECT to_regclass('\''public.orders'\'') IS NOT NULL")" = t ]'
working

section "6. Operation already in progress"
sql "$DEST" "BEGIN; LOCK TABLE public.users; SELECT pg_sleep(4)" >/dev/null &
background=$!
until_true 20 eval '[ "$(sql "$DEST" "SELECT count(*) FROM pg_locks WHERE granted AND
	mode = '\''AccessExclusiveLock'\'' AND relation = '\''public.users'\''::regclass")" = 1 ]'
call POST $M/resync
curl_line "a second operation gets 409 and its reason" 409 \
	'.error | startswith("Another operation is already in progress")' POST $M/retry
curl_line "the status names the operation" 200 '.operation == "resync"' GET $M
wait "$background"
background=
awaited "the operation comes to its end" status_is running
curl_line "then the other one is done" 200 '.status == "paused"' POST $M/pause
call POST $M/resume
working

section "7. Mirror must be paused to update tables"
sql "$SOURCE" "CREATE TABLE public.extra (id int PRIMARY KEY, v text);
	INSERT INTO public.extra SELECT i, 'x' FROM generate_series(1, 10) i" >/dev/null
tables='{"table_mappings": [{"source_table": "public.users"}, {"source_table": "public.orders"},
	{"source_table": "public.extra"}]}'
curl_line "409 Mirror must be paused to update tables" 409 \
	'.error | test("must be paused to update tables")' PUT $M/tables "$tables"
curl_line "the mirror is paused" 200 '.status == "paused"' POST $M/pause
curl_line "the tables are updated" 200 'length == 3' PUT $M/tables "$tables"
curl_line "the mirror goes on" 200 '.status == "running"' POST $M/resume
awaited "the new table has its rows" is_equal public.extra
working

section "8. LSN not advancing"
call GET $M
before=$(jq -r .last_lsn <<<"$body")
curl_line "status, last_lsn and error_message" 200 \
	'.status == "running" and (.last_lsn | test("^[0-9A-F]+/[0-9A-F]+$")) and has("error_message")' \
	GET $M
psql_line "the slot is active, and its lag is known" \
	'^bunny_slot_my_mirror\|t\|[0-9A-F]+/[0-9A-F]+\|[0-9]+' "$SOURCE" \
	"SELECT slot_name, active, confirmed_flush_lsn,
	pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn) AS lag_bytes
	FROM pg_replication_slots WHERE slot_name = 'bunny_slot_my_mirror'"
psql_line "the publication lists every table" 'extra.*orders.*users' "$SOURCE" \
	"SELECT string_agg(schemaname || '.' || tablename, ' ' ORDER BY tablename)
	FROM pg_publication_tables WHERE pubname = 'bunny_pub_my_mirror'"
write
awaited "the LSN advances with a change" eval 'call GET $M && is ".last_lsn != \"$before\""'
curl_line "retry" "200 202" '.message' POST $M/retry
working
curl_line "sync-schema" "200 202" '.message' POST $M/sync-schema
awaited "the mirror runs" status_is running

section "9. Foreign key violations"
psql_line "constraints can be looked at" 'f\|' "$DEST" \
	"SELECT contype, conname, condeferrable, condeferred FROM pg_constraint
	WHERE conrelid = 'public.orders'::regclass ORDER BY contype"
sql "$SOURCE" "BEGIN; SET CONSTRAINTS ALL DEFERRED;
	INSERT INTO public.orders (id, user_id) VALUES (601, 2000);
	INSERT INTO public.users (id, username) VALUES (2000, 'parent that comes later'); COMMIT"
working
curl_line "children before their parents are no error" 200 '.error_count == 0' GET $M

section "Debugging"
curl_line "status, error_message and error_count" 200 \
	'.status == "running" and .error_message == null and .error_count == 0' GET $M
curl_line "error logs: what failed, why and when" 200 \
	'.logs | length > 0 and length <= 20 and all(.level == "ERROR" and .created_at and .message)' \
	GET "$M/logs?level=ERROR&limit=20"
psql_line "slots" 'bunny_slot_my_mirror' "$SOURCE" \
	"SELECT * FROM pg_replication_slots WHERE slot_name LIKE 'bunny_%'"
psql_line "publications" 'bunny_pub_my_mirror' "$SOURCE" \
	"SELECT * FROM pg_publication_tables WHERE pubname LIKE 'bunny_%'"
psql_line "wal_level" '^logical$' "$SOURCE" "SHOW wal_level"
psql_line "slot lag" 'bytes|kB' "$SOURCE" \
	"SELECT slot_name, pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn))
	AS lag FROM pg_replication_slots WHERE slot_name LIKE 'bunny_%'"
psql_line "tables at the destination" 'users' "$DEST" \
	"SELECT schemaname, tablename FROM pg_tables WHERE schemaname = 'public'"
psql_line "locks can be looked at" '' "$DEST" \
	"SELECT relation::regclass AS table, mode, granted FROM pg_locks WHERE relation IS NOT NULL"
curl_line "the program tells locks and waits by itself" 200 \
	'.destination.locks and .destination.sessions and .source.slot[0].active' GET $M/diagnostics

section "Recovery: stuck mirror"
curl_line "pause" 200 '.status == "paused"' POST $M/pause
curl_line "resume" 200 '.status == "running"' POST $M/resume
curl_line "retry" "200 202" '.message' POST $M/retry
working

section "Recovery: data drift"
sql "$DEST" "DELETE FROM public.users WHERE id % 3 = 0"
curl_line "only that table is copied again" "200 202" '.message' POST $M/resync/public.users
working

section "Recovery: schema drift"
count=$(sql "$DEST" "SELECT count(*) FROM public.orders")
sql "$SOURCE" "ALTER TABLE public.orders ADD COLUMN note text"
curl_line "differences are found and applied" "200 202" '.message' POST $M/sync-schema
awaited "the column is there" eval '[ "$(sql "$DEST" "SELECT count(*) FROM pg_attribute WHERE
	attrelid = '\''public.orders'\''::regclass AND attname = '\''note'\''")" = 1 ]'
psql_line "existing rows are kept" "^$count\$" "$DEST" "SELECT count(*) FROM public.orders"
sql "$SOURCE" "UPDATE public.orders SET note = 'new' WHERE id = 501"
working

section "Recovery: complete failure"
curl_line "the mirror is deleted" 200 '.deleted == "my-mirror"' DELETE $M
psql_line "no slot is left" '^$' "$SOURCE" \
	"SELECT * FROM pg_replication_slots WHERE slot_name = 'bunny_slot_my_mirror'"
psql_line "no publication is left" '^$' "$SOURCE" \
	"SELECT * FROM pg_publication WHERE pubname = 'bunny_pub_my_mirror'"
curl_line "nothing of it is left here" 404 '.code == "mirror_not_found"' GET $M
# A new mirror never overwrites rows without being told to: the refusal says how to go on.
mirror='{"name": "my-mirror", "source_peer": "source-db", "destination_peer": "dest-db",
	"table_mappings": [{"source_table": "public.users"}, {"source_table": "public.orders"}],
	"snapshot_max_parallel_workers": 8, "snapshot_num_tables_in_parallel": 4,
	"snapshot_num_rows_per_partition": 1000000, "cdc_batch_size": 50000}'
curl_line "rows at the destination are not overwritten in silence" 409 \
	'.code == "preflight_failed" and (.findings | length > 0)' POST /v1/mirrors "$mirror"
sql "$DEST" "TRUNCATE public.users, public.orders"
curl_line "the mirror is made again" 201 '.status == "initializing"' POST /v1/mirrors "$mirror"
working

section "Performance"
curl_line "the log tells of the snapshot" 200 \
	'.logs | length > 0 and all((.message + (.details // "")) | ascii_downcase | test("snapshot"))' \
	GET "$M/logs?search=snapshot"
sql "$DEST" "TRUNCATE public.extra"
curl_line "a long interval between batches can be asked for" 201 '.name == "slow"' \
	POST /v1/mirrors '{"name": "slow", "source_peer": "source-db", "destination_peer": "dest-db",
	"table_mappings": [{"source_table": "public.extra"}], "cdc_sync_interval_seconds": 30}'
curl_line "and deleted" 200 '.deleted == "slow"' DELETE /v1/mirrors/slow

section "Getting help"
curl_line "status" 200 '.status' GET $M
curl_line "recent errors" 200 '.logs | type == "array"' GET "$M/logs?level=ERROR"
curl_line "all that a report needs, in one piece" 200 \
	'.program.version and .source.server.version and .destination.server.version and .configuration
	and .status and .source.slot and .runs' GET $M/diagnostics

say
say "$lines lines, $failed promises not kept"
[ "$failed" = 0 ]
