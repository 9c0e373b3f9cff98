/* What a diagnosis asks the servers; see diagnose_sql.h. Nobody's statements are asked for: they
 * may hold values of rows. What may have to wait for a lock stands last. */
#include "control/diagnose_sql.h"

#include "base/mem.h"

#define OURS "application_name LIKE 'bunnydb%' AND pid <> pg_backend_pid()"

static const char server_sql[] =
    "SELECT version(), pg_is_in_recovery() AS in_recovery, pg_postmaster_start_time() AS "
    "started_at, clock_timestamp() AS clock, d.datname AS database, pg_encoding_to_char(d.encoding)"
    " AS encoding, d.datcollate AS collation, d.datctype AS ctype, r.rolname AS role, r.rolsuper AS"
    " is_superuser, r.rolreplication AS may_replicate, (SELECT count(*) FROM pg_stat_activity) AS"
    " sessions FROM pg_database d, pg_roles r"
    " WHERE d.datname = current_database() AND r.rolname = current_user";

static const char wal_sql[] =
    "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn()"
    " END AS wal_end, (SELECT count(*) FROM pg_replication_slots) AS slots, (SELECT count(*) FROM"
    " pg_replication_slots WHERE active) AS active_slots, (SELECT count(*) FROM"
    " pg_stat_replication) AS wal_senders";

static const char settings_sql[] =
    "SELECT name, setting, unit, source, pending_restart FROM pg_settings WHERE name IN ("
    "'wal_level', 'max_wal_senders', 'max_replication_slots', 'max_slot_wal_keep_size',"
    " 'wal_keep_size', 'wal_keep_segments', 'wal_sender_timeout', 'wal_receiver_timeout',"
    " 'logical_decoding_work_mem', 'max_connections', 'superuser_reserved_connections',"
    " 'max_worker_processes', 'max_logical_replication_workers', 'max_locks_per_transaction',"
    " 'max_prepared_transactions', 'synchronous_commit', 'synchronous_standby_names', 'fsync',"
    " 'full_page_writes', 'wal_compression', 'max_wal_size', 'checkpoint_timeout',"
    " 'shared_buffers', 'work_mem', 'maintenance_work_mem', 'autovacuum', 'server_encoding',"
    " 'server_version', 'data_checksums', 'default_transaction_isolation',"
    " 'default_transaction_read_only', 'password_encryption', 'ssl', 'hot_standby',"
    " 'hot_standby_feedback', 'shared_preload_libraries', 'log_min_messages') ORDER BY name";

static const char slot_sql[] =
    "SELECT s.*, CASE WHEN NOT pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_current_wal_lsn(),"
    " s.restart_lsn) END AS retained_bytes FROM pg_replication_slots s WHERE s.slot_name = $1";

static const char publication_sql[] = "SELECT * FROM pg_publication WHERE pubname = $1";

static const char publication_tables_sql[] =
    "SELECT * FROM pg_publication_tables WHERE pubname = $1 ORDER BY schemaname, tablename";

static const char replication_sql[] =
    "SELECT pid, usename, application_name, client_addr, backend_start, state, sent_lsn, write_lsn,"
    " flush_lsn, replay_lsn, write_lag, flush_lag, replay_lag, sync_state, reply_time"
    " FROM pg_stat_replication WHERE " OURS " ORDER BY pid";

static const char progress_sql[] = "SELECT * FROM _bunnydb.progress WHERE mirror_id::text = $1";

static const char sequences_sql[] =
    "SELECT sequence_schema, sequence_name, last_value, is_called, updated_at"
    " FROM _bunnydb.sequences WHERE mirror_id = $1 ORDER BY 1, 2";

static const char sessions_sql[] =
    "SELECT pid, usename, application_name, client_addr, backend_type, state, wait_event_type,"
    " wait_event, backend_start, xact_start, query_start, state_change, backend_xmin"
    " FROM pg_stat_activity WHERE datname = current_database() AND " OURS " ORDER BY pid";

static const char locks_sql[] =
    "SELECT l.pid, l.locktype, l.relation::regclass::text AS relation, l.mode, l.granted"
    " FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE a.datname ="
    " current_database() AND a.application_name LIKE 'bunnydb%' AND a.pid <> pg_backend_pid()"
    " ORDER BY l.granted, l.pid, l.locktype, l.relation LIMIT 500";

static const char blockers_sql[] =
    "SELECT a.pid AS waiting_pid, b.pid, b.usename, b.application_name, b.backend_type, b.state,"
    " b.wait_event_type, b.wait_event, b.xact_start, b.state_change FROM pg_stat_activity a"
    " CROSS JOIN LATERAL unnest(pg_blocking_pids(a.pid)) x(pid) JOIN pg_stat_activity b ON b.pid ="
    " x.pid WHERE a.datname = current_database() AND a.application_name LIKE 'bunnydb%'"
    " ORDER BY a.pid, b.pid LIMIT 500";

static const char extensions_sql[] =
    "SELECT extname AS name, extversion AS version FROM pg_extension ORDER BY extname";

static const char database_size_sql[] = "SELECT pg_database_size(current_database()) AS bytes";

static const char tables_sql[] =
    "SELECT m.s AS schema, m.t AS table, c.oid IS NOT NULL AS exists, CASE c.relkind WHEN 'p' THEN"
    " 'partitioned table' WHEN 'r' THEN 'table' ELSE c.relkind::text END AS kind, CASE WHEN"
    " c.reltuples >= 0 THEN c.reltuples::int8 END AS estimated_rows, pg_table_size(c.oid) AS"
    " table_bytes, pg_indexes_size(c.oid) AS index_bytes, c.relreplident AS replica_identity,"
    " st.n_tup_ins, st.n_tup_upd, st.n_tup_del, st.n_dead_tup, st.last_autovacuum, st.last_analyze"
    " FROM unnest($1::text[], $2::text[]) m(s, t)"
    " LEFT JOIN pg_namespace n ON n.nspname = m.s"
    " LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = m.t"
    " LEFT JOIN pg_stat_all_tables st ON st.relid = c.oid ORDER BY m.s, m.t";

const struct question source_questions[] = {
    {"server", false, server_sql, {PARAM_NONE}},
    {"wal", false, wal_sql, {PARAM_NONE}},
    {"settings", true, settings_sql, {PARAM_NONE}},
    {"slot", true, slot_sql, {PARAM_SLOT}},
    {"publication", true, publication_sql, {PARAM_PUBLICATION}},
    {"publication_tables", true, publication_tables_sql, {PARAM_PUBLICATION}},
    {"replication", true, replication_sql, {PARAM_NONE}},
    {"sessions", true, sessions_sql, {PARAM_NONE}},
    {"locks", true, locks_sql, {PARAM_NONE}},
    {"blockers", true, blockers_sql, {PARAM_NONE}},
    {"extensions", true, extensions_sql, {PARAM_NONE}},
    {"database_size", false, database_size_sql, {PARAM_NONE}},
    {"tables", true, tables_sql, {PARAM_SCHEMAS, PARAM_TABLES}},
};
const size_t source_question_count = COUNT_OF(source_questions);

const struct question dest_questions[] = {
    {"server", false, server_sql, {PARAM_NONE}},
    {"settings", true, settings_sql, {PARAM_NONE}},
    {"progress", true, progress_sql, {PARAM_MIRROR_ID}},
    {"sequences", true, sequences_sql, {PARAM_MIRROR_ID}},
    {"sessions", true, sessions_sql, {PARAM_NONE}},
    {"locks", true, locks_sql, {PARAM_NONE}},
    {"blockers", true, blockers_sql, {PARAM_NONE}},
    {"extensions", true, extensions_sql, {PARAM_NONE}},
    {"database_size", false, database_size_sql, {PARAM_NONE}},
    {"tables", true, tables_sql, {PARAM_SCHEMAS, PARAM_TABLES}},
};
const size_t dest_question_count = COUNT_OF(dest_questions);
