/* Wait events and locks; see sight.h. (PostgreSQL docs, "The Cumulative Statistics System", wait
 * events; "pg_locks") */
#include "control/sight.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

/* A prepared transaction that is in the way has no session: PID 0. */
static const char sessions_sql[] =
    "SELECT a.application_name, a.pid, coalesce(a.wait_event_type, ''), coalesce(a.wait_event, ''),"
    " a.backend_type = 'walsender', coalesce(x.pid, 0), coalesce(b.application_name, ''),"
    " coalesce(b.usename, ''), coalesce(pg_catalog.host(b.client_addr), 'local'),"
    " coalesce(b.state, ''), coalesce(extract(epoch FROM pg_catalog.clock_timestamp() -"
    " b.xact_start)::int8, 0), coalesce(pg_catalog.left(pg_catalog.regexp_replace(b.query,"
    " '\\s+', ' ', 'g'), 100), ''), coalesce((SELECT l.relation::pg_catalog.regclass::text FROM"
    " pg_catalog.pg_locks l WHERE l.pid = a.pid AND NOT l.granted AND l.relation IS NOT NULL"
    " LIMIT 1), (SELECT min(l.relation::pg_catalog.regclass::text) FROM pg_catalog.pg_locks l JOIN"
    " pg_catalog.pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p') AND c.oid > 16383"
    " WHERE l.pid = a.pid AND l.mode = 'RowExclusiveLock' AND l.relation::pg_catalog.regclass::text"
    " NOT LIKE '\\_bunnydb.%' AND a.wait_event_type = 'Lock'), '')"
    " FROM pg_catalog.pg_stat_activity a LEFT JOIN LATERAL (SELECT p.pid FROM pg_catalog.unnest("
    "CASE WHEN a.wait_event_type = 'Lock' THEN pg_catalog.pg_blocking_pids(a.pid) END) p(pid)"
    " LIMIT 1) x ON true LEFT JOIN pg_catalog.pg_stat_activity b ON b.pid = x.pid"
    " WHERE a.application_name = ANY($1::pg_catalog.text[]) AND a.datname ="
    " pg_catalog.current_database() AND a.state = 'active'";

static void see_blocker(struct sight *s, const struct pg_result *r, size_t row)
{
    if (s->blocked_pid)
        return;
    s->blocked_pid = (int)pg_int(r, row, 1);
    s->blocker_pid = (int)pg_int(r, row, 5);
    str_copy(s->blocked_table, sizeof s->blocked_table, pg_text(r, row, 12));
    if (!s->blocker_pid)
        str_copy(s->blocker, sizeof s->blocker, "a prepared transaction (see pg_prepared_xacts)");
    else
        str_printf(s->blocker, sizeof s->blocker, "PID %d (%s, %s, client %s, %s for %lld s: %s)",
                   s->blocker_pid, *pg_text(r, row, 6) ? pg_text(r, row, 6) : "no name",
                   pg_text(r, row, 7), pg_text(r, row, 8), pg_text(r, row, 9),
                   (long long)pg_int(r, row, 10), pg_text(r, row, 11));
}

static enum sender sender_of(const char *type, const char *event)
{
    if (!strcmp(event, "WalSenderWriteData"))
        return SENDER_SENDS;
    if (!strcmp(event, "WalSenderWaitForWAL") || !strcmp(event, "WalSenderWaitForWal") ||
        !strcmp(event, "WalSenderMain"))
        return SENDER_IDLE;
    return !strcmp(type, "Client") ? SENDER_SENDS : SENDER_DECODES;
}

static void see_session(struct sight *s, const struct pg_result *r, size_t row)
{
    const char *type = pg_text(r, row, 2);
    if (pg_bool(r, row, 4)) {
        s->sender = sender_of(type, pg_text(r, row, 3));
        return;
    }
    s->running++;
    s->io += !strcmp(type, "IO");
    s->client += !strcmp(type, "Client");
    s->lock += !strcmp(type, "Lock");
    if (!strcmp(type, "Lock"))
        see_blocker(s, r, row);
}

bool sight_read(struct pg_conn *c, struct task *task, int limit_ms, size_t n,
                const char *const *mirrors, struct sight *sights, struct err *err)
{
    struct buf names = {0};
    struct pg_result *r;
    char **apps = mem_calloc(n + 1, sizeof *apps);
    for (size_t i = 0; i < n; i++) {
        apps[i] = mem_printf("bunnydb %s", mirrors[i]);
        apps[i][strnlen(apps[i], 63)] = '\0'; /* as the server cuts it */
        sights[i] = (struct sight){.at_ms = clock_mono_ms()};
    }
    pg_quote_array(&names, n, (const char *const *)apps);
    const char *value = buf_text(&names);
    bool ok = pg_exec_params(c, task, limit_ms, sessions_sql, 1, &value, &r, err);
    for (size_t row = 0; ok && row < pg_rows(r); row++)
        for (size_t i = 0; i < n; i++)
            if (!strcmp(pg_text(r, row, 0), apps[i]))
                see_session(&sights[i], r, row);
    if (ok)
        pg_free(r);
    for (size_t i = 0; i < n; i++)
        free(apps[i]);
    free(apps);
    buf_free(&names);
    return ok;
}

/* The column with the most values is the one to index where all columns find the row. */
static const char slow_sql[] =
    "SELECT pg_catalog.format('%I.%I', k.s, k.t), pg_catalog.format('CREATE INDEX CONCURRENTLY ON"
    " %I.%I (%s);', k.s, k.t, CASE WHEN k.c::pg_catalog.text[] <> '{}' THEN (SELECT"
    " pg_catalog.string_agg(pg_catalog.quote_ident(n), ', ') FROM"
    " pg_catalog.unnest(k.c::pg_catalog.text[]) n) ELSE pg_catalog.quote_ident((SELECT a.attname"
    " FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_stats p ON p.schemaname = k.s AND"
    " p.tablename = k.t AND p.attname = a.attname WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT"
    " a.attisdropped ORDER BY CASE WHEN p.n_distinct < 0 THEN -p.n_distinct * 1000000 ELSE"
    " coalesce(p.n_distinct, 0) END DESC, a.attnum LIMIT 1)) END)"
    " FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest("
    "$2::pg_catalog.text[]), pg_catalog.unnest($3::pg_catalog.text[])) k(s, t, c) JOIN "
    "pg_catalog.pg_namespace n ON n.nspname = k.s JOIN pg_catalog.pg_class c ON"
    " c.relnamespace = n.oid AND c.relname = k.t JOIN pg_catalog.pg_stat_all_tables st ON st.relid"
    " = c.oid WHERE greatest(st.n_live_tup, c.reltuples) >= 5000 AND NOT EXISTS (SELECT FROM"
    " pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum ="
    " i.indkey[0] WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND"
    " (k.c::pg_catalog.text[] = '{}' OR a.attname = ANY(k.c::pg_catalog.text[])))"
    " ORDER BY st.seq_tup_read DESC LIMIT 1";

bool sight_read_slow(struct pg_conn *c, struct task *task, int limit_ms, const char *schemas,
                     const char *tables, const char *columns, struct sight *s, struct err *err)
{
    struct pg_result *r;
    const char *values[] = {schemas, tables, columns};
    if (!pg_exec_params(c, task, limit_ms, slow_sql, COUNT_OF(values), values, &r, err))
        return false;
    if (pg_rows(r)) {
        str_copy(s->slow_table, sizeof s->slow_table, pg_text(r, 0, 0));
        str_copy(s->slow_statement, sizeof s->slow_statement, pg_text(r, 0, 1));
    }
    pg_free(r);
    return true;
}
