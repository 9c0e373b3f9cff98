/* What runs at the source, and what it keeps, that would delay a mirror or be made worse by it. */
#include "schema/preflight_private.h"

/* A slot's snapshot waits for every transaction that has an id, of whatever database. pg_locks
 * shows them to everybody; since when they run is hidden from users without pg_read_all_stats. */
static const char long_transactions_sql[] =
    "SELECT NULL, format('process %s', l.pid), concat_ws(', ', 'for '"
    " || date_trunc('second', clock_timestamp() - a.xact_start), a.state, 'database '"
    " || quote_ident(a.datname), 'user ' || quote_ident(a.usename), nullif(a.application_name, "
    "'')),"
    " format('SELECT pg_terminate_backend(%s);', l.pid) FROM pg_locks l JOIN pg_stat_activity a"
    " ON a.pid = l.pid WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock'"
    " AND l.granted AND l.pid <> pg_backend_pid()"
    " AND a.xact_start < clock_timestamp() - interval '10 s' ORDER BY a.xact_start";

static const char prepared_sql[] =
    "SELECT NULL, quote_literal(p.gid), format('for %s, database %I, user %I',"
    " date_trunc('second', clock_timestamp() - p.prepared), p.database, p.owner),"
    " format('ROLLBACK PREPARED %L;', p.gid) FROM pg_prepared_xacts p ORDER BY p.prepared";

static const char hidden_sql[] =
    "SELECT NULL, quote_ident(current_user), NULL, format('GRANT pg_read_all_stats TO %I;',"
    " current_user) WHERE NOT pg_has_role('pg_read_all_stats', 'USAGE')";

static const char slots_sql[] =
    "SELECT NULL, quote_ident(s.slot_name), concat_ws(', ', pg_size_pretty(w.bytes) || ' of WAL',"
    " 'database ' || quote_ident(s.database), s.plugin, 'wal_status ' ||"
    " (to_jsonb(s) ->> 'wal_status')), format('SELECT pg_drop_replication_slot(%L);', s.slot_name)"
    " FROM pg_replication_slots s CROSS JOIN LATERAL (SELECT pg_wal_lsn_diff(CASE WHEN"
    "  pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,"
    "  s.restart_lsn) AS bytes) w WHERE NOT s.active AND NOT s.temporary"
    " AND (w.bytes >= 67108864 OR to_jsonb(s) ->> 'wal_status' = 'lost')"
    " ORDER BY w.bytes DESC NULLS LAST";

static const char age_sql[] =
    "SELECT NULL, quote_ident(d.datname), format('age %s, autovacuum_freeze_max_age %s',"
    " age(d.datfrozenxid), current_setting('autovacuum_freeze_max_age')), 'VACUUM (FREEZE);'"
    " FROM pg_database d WHERE d.datname = current_database() AND age(d.datfrozenxid) >"
    " 2.0 * current_setting('autovacuum_freeze_max_age')::int8";

static const char sender_timeout_sql[] =
    "SELECT NULL, 'wal_sender_timeout = ' || current_setting('wal_sender_timeout'), NULL,"
    " 'ALTER SYSTEM SET wal_sender_timeout = ''60s''; SELECT pg_reload_conf();'"
    " FROM pg_settings WHERE name = 'wal_sender_timeout' AND (setting::int = 0 OR"
    " setting::int < 5000)";

static const char second_slot_sql[] =
    "SELECT NULL, 'max_replication_slots = ' || x.most, format('%s in use', x.used),"
    " format('ALTER SYSTEM SET max_replication_slots = %s;', x.most + 5)"
    " FROM (SELECT current_setting('max_replication_slots')::int AS most, count(*)::int AS used"
    "  FROM pg_replication_slots) x WHERE x.most - x.used = 1 UNION ALL"
    " SELECT NULL, 'max_wal_senders = ' || x.most, format('%s in use', x.used),"
    " format('ALTER SYSTEM SET max_wal_senders = %s;', x.most + 5)"
    " FROM (SELECT current_setting('max_wal_senders')::int AS most, count(*)::int AS used"
    "  FROM pg_stat_replication) x WHERE x.most - x.used = 1";

/* Since the minor releases of August 2026. */
static const char plugin_sql[] =
    "SELECT NULL, 'output_plugin_libraries = ' || quote_literal(setting), NULL,"
    " format('ALTER SYSTEM SET output_plugin_libraries = %s; SELECT pg_reload_conf();',"
    "  concat_ws(', ', quote_literal('pgoutput'), (SELECT string_agg(quote_literal(btrim(x, ' "
    "\"')),"
    "   ', ' ORDER BY n) FROM unnest(string_to_array(setting, ',')) WITH ORDINALITY l(x, n)"
    "   WHERE btrim(x, ' \"') <> ''))) FROM pg_settings WHERE name = 'output_plugin_libraries'"
    " AND NOT EXISTS (SELECT FROM unnest(string_to_array(setting, ',')) x"
    "  WHERE btrim(x, ' \"') = 'pgoutput')";

const struct question server_questions[] = {
    {"output_plugin", SEVERITY_ERROR, ABOUT_SERVER, FOR_MIRROR,
     "the source does not allow the output plugin pgoutput",
     "Changes are read through it, and no slot can be made without it.", "", plugin_sql},
    {"long_transaction", SEVERITY_WARNING, ABOUT_SERVER, FOR_REPORT, "a transaction runs for long",
     "A slot can be made only once all transactions that run now, of every database, have ended.",
     "", long_transactions_sql},
    {"prepared_transaction", SEVERITY_WARNING, ABOUT_SERVER, FOR_REPORT,
     "a prepared transaction is open",
     "A slot can be made only once it has ended: COMMIT PREPARED or ROLLBACK PREPARED in its"
     " database, as whoever prepared it knows.",
     "", prepared_sql},
    {"slot_holds_wal", SEVERITY_WARNING, ABOUT_SERVER, FOR_REPORT,
     "a slot that nobody reads keeps WAL",
     "It fills the disk, and keeps rows of the catalogs from being vacuumed. Drop it only when"
     " nobody will read it again.",
     "", slots_sql},
    {"transaction_ids", SEVERITY_WARNING, ABOUT_SERVER, FOR_REPORT,
     "old transaction ids are not frozen in time",
     "A first copy keeps its snapshot for as long as it takes, and nothing newer can be frozen"
     " meanwhile.",
     "", age_sql},
    {"wal_sender_timeout", SEVERITY_WARNING, ABOUT_SERVER, FOR_REPORT,
     "wal_sender_timeout is off or very short",
     "Off: a connection that hangs keeps its slot in use. Short: a busy network ends the stream.",
     "", sender_timeout_sql},
    {"second_slot", SEVERITY_WARNING, ABOUT_SERVER, FOR_REPORT,
     "the source has room for one slot or WAL sender only",
     "The mirror takes it. To copy a single table again, and to verify, another one is needed for"
     " that time. Needs a restart.",
     "", second_slot_sql},
    {"sessions_hidden", SEVERITY_INFO, ABOUT_SERVER, FOR_REPORT,
     "the source's user cannot see how long others' transactions run",
     "Long ones, which delay the mirror's slot, are not listed here.", "", hidden_sql},
};
const size_t server_question_count = COUNT_OF(server_questions);
