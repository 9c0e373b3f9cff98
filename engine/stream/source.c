/* Publication and slot at the source; see source.h. */
#include "stream/source.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define LIMIT_MS 30000

/* *text (caller frees): the history of a timeline, "" for the first one, and where the server has
 * no such file any more. */
static bool read_history(struct pg_conn *repl, struct task *task, int timeline, char **text,
                         struct err *err)
{
    char sql[48];
    struct pg_result *r;
    *text = NULL;
    if (timeline > 1) {
        str_printf(sql, sizeof sql, "TIMELINE_HISTORY %d", timeline);
        if (pg_exec(repl, task, LIMIT_MS, sql, &r, err)) {
            *text = mem_strdup(pg_rows(r) == 1 && pg_cols(r) >= 2 ? pg_text(r, 0, 1) : "");
            pg_free(r);
            return true;
        }
        if (!pg_server_error_is(err, "58P01"))
            return err_context(err, "read the history of timeline %d", timeline);
        err_clear(err);
    }
    *text = mem_strdup("");
    return true;
}

bool source_check_history(struct pg_conn *repl, struct task *task,
                          const struct source_identity *now, const struct timeline *before,
                          lsn_t lsn, struct err *err)
{
    char *history;
    lsn_t end = 0;
    if (!before->id || timeline_is_same(before, &now->timeline))
        return true;
    if (!read_history(repl, task, now->timeline.id, &history, err))
        return false;
    bool is_known = timeline_end(history, before, &end);
    free(history);
    if (is_known && lsn <= end)
        return true;
    if (is_known)
        err_set(err, ERR_SOURCE_CHANGED,
                "the source went on from " LSN_FMT " (timeline %d), before our progress " LSN_FMT
                ": a standby that had not received everything was promoted, or it was restored",
                LSN_ARGS(end), now->timeline.id, LSN_ARGS(lsn));
    else
        err_set(err, ERR_SOURCE_CHANGED,
                "the source is on timeline %d, which does not come from timeline %d that was "
                "applied up to " LSN_FMT,
                now->timeline.id, before->id, LSN_ARGS(lsn));
    return err_hint(err, "Check that the peer is the right server. If it is, retry with "
                         "{\"recreate_slot\": true} (bunnydb retry NAME --recreate-slot) copies "
                         "the tables again; the destination's rows are replaced.");
}

bool source_identify(struct pg_conn *repl, struct pg_conn *sql, struct task *task,
                     struct source_identity *out, struct err *err)
{
    struct pg_result *r;
    char *history;
    *out = (struct source_identity){0};
    if (!pg_exec(repl, task, LIMIT_MS, "IDENTIFY_SYSTEM", &r, err))
        return err_context(err, "identify the source");
    str_copy(out->system_id, sizeof out->system_id, pg_text(r, 0, 0));
    out->timeline.id = (int)pg_int(r, 0, 1);
    out->wal_end = pg_lsn(r, 0, 2);
    pg_free(r);
    if (!read_history(repl, task, out->timeline.id, &history, err))
        return err_context(err, "identify the source");
    out->timeline.start = timeline_start(history);
    free(history);
    if (!pg_exec(sql, task, LIMIT_MS,
                 "SELECT d.oid, s.setting::int8 FROM pg_catalog.pg_database d, "
                 "pg_catalog.pg_settings s WHERE d.datname = pg_catalog.current_database() AND "
                 "s.name = 'wal_sender_timeout'",
                 &r, err))
        return err_context(err, "identify the source");
    out->database_oid = (uint32_t)pg_int(r, 0, 0);
    int64_t timeout_ms = pg_rows(r) ? pg_int(r, 0, 1) : 0;
    pg_free(r);
    out->keepalive_ms = timeout_ms > 0 && timeout_ms < 30000 ? (int)timeout_ms / 3 : 10000;
    return true;
}

/* "TABLE a, ONLY b, …" */
static void list_tables(struct buf *b, const struct schema *s)
{
    for (size_t i = 0; i < s->n_tables; i++) {
        buf_puts(b, i ? ", " : "TABLE ");
        if (!s->tables[i].is_partitioned)
            buf_puts(b, "ONLY "); /* inheritance children are published only when mapped */
        pg_quote_qualified(b, s->tables[i].schema, s->tables[i].name);
    }
}

/* The server names one of them, and not what to do. */
static bool check_logged(const struct schema *s, struct err *err)
{
    struct buf names = {0}, alter = {0};
    for (size_t i = 0; i < s->n_tables && names.len < 300; i++) {
        if (!s->tables[i].is_unlogged || s->tables[i].is_partitioned)
            continue;
        buf_puts(&names, names.len ? ", " : "");
        pg_quote_qualified(&names, s->tables[i].schema, s->tables[i].name);
        buf_puts(&alter, alter.len ? "; ALTER TABLE " : "ALTER TABLE ");
        pg_quote_qualified(&alter, s->tables[i].schema, s->tables[i].name);
        buf_puts(&alter, " SET LOGGED");
    }
    bool ok = !names.len;
    if (!ok) {
        err_set(err, ERR_SQL, "an unlogged table cannot be published: %s", buf_text(&names));
        err_hint(err, "At the source: %s. Or pause, and leave them out. Then retry.",
                 buf_text(&alter));
    }
    buf_free(&names);
    buf_free(&alter);
    return ok;
}

bool source_publish(struct pg_conn *sql, struct task *task, const char *publication,
                    const struct schema *s, struct err *err)
{
    struct buf b = {0};
    if (!check_logged(s, err))
        return err_context(err, "create publication %s", publication);
    buf_puts(&b, "CREATE PUBLICATION ");
    pg_quote_ident(&b, publication);
    buf_puts(&b, s->n_tables ? " FOR " : "");
    list_tables(&b, s);
    buf_puts(&b, " WITH (publish = 'insert, update, delete, truncate')");
    bool ok = pg_exec(sql, task, LIMIT_MS, buf_text(&b), NULL, err);
    buf_free(&b);
    return ok || err_context(err, "create publication %s", publication);
}

bool source_republish(struct pg_conn *sql, struct task *task, const char *publication,
                      const struct schema *s, struct err *err)
{
    struct buf b = {0};
    if (!check_logged(s, err))
        return err_context(err, "change publication %s", publication);
    buf_puts(&b, "ALTER PUBLICATION ");
    pg_quote_ident(&b, publication);
    buf_puts(&b, " SET ");
    list_tables(&b, s);
    bool ok = pg_exec(sql, task, LIMIT_MS, buf_text(&b), NULL, err);
    buf_free(&b);
    return ok || err_context(err, "change publication %s", publication);
}

bool source_unpublish(struct pg_conn *sql, struct task *task, const char *publication,
                      struct err *err)
{
    struct buf b = {0};
    buf_puts(&b, "DROP PUBLICATION IF EXISTS ");
    pg_quote_ident(&b, publication);
    bool ok = pg_exec(sql, task, LIMIT_MS, buf_text(&b), NULL, err);
    buf_free(&b);
    return ok || err_context(err, "drop publication %s", publication);
}

static bool is_published(const struct pg_result *r, const struct schema_table *t)
{
    for (size_t i = 0; i < pg_rows(r); i++)
        if (!strcmp(pg_text(r, i, 1), t->name) && !strcmp(pg_text(r, i, 0), t->schema))
            return true;
    return false;
}

static bool check_published_tables(struct pg_conn *sql, struct task *task, const char *publication,
                                   const struct schema *s, struct err *err)
{
    struct pg_result *r;
    struct buf missing = {0};
    size_t n = 0;
    if (!pg_exec_params(sql, task, LIMIT_MS,
                        "SELECT schemaname, tablename FROM pg_catalog.pg_publication_tables "
                        "WHERE pubname = $1",
                        1, &publication, &r, err))
        return err_context(err, "read publication %s", publication);
    for (size_t i = 0; i < s->n_tables; i++) {
        const struct schema_table *t = &s->tables[i];
        if (t->is_partitioned || is_published(r, t))
            continue;
        buf_printf(&missing, "%s%s.%s", n++ ? ", " : "", t->schema, t->name);
    }
    bool is_empty = pg_rows(r) == 0;
    pg_free(r);
    if (n) {
        err_set(err, ERR_PUBLICATION,
                is_empty ? "publication %s is gone from the source, or empty (%s)"
                         : "publication %s at the source lacks %s",
                publication, buf_text(&missing));
        err_hint(err, SOURCE_NEW_PUBLICATION_HINT);
    }
    buf_free(&missing);
    return n == 0;
}

/* Kinds of changes that it leaves out; from version 15 on, tables whose rows or columns it filters;
 * from 13 on, whether partitions are published as their root, which leaves out TRUNCATE of one. */
static bool check_published_whole(struct pg_conn *sql, struct task *task, const char *publication,
                                  struct err *err)
{
#define WHOLE_SQL(filtered)                                                                    \
    "SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate, coalesce(" filtered         \
    ", ''), coalesce((pg_catalog.to_jsonb(p) ->> 'pubviaroot')::pg_catalog.bool, false) FROM " \
    "pg_catalog.pg_publication p WHERE pubname = $1"
    static const char filtered_sql[] = WHOLE_SQL(
        "(SELECT pg_catalog.string_agg(prrelid::pg_catalog.regclass::text, ', ') FROM "
        "pg_catalog.pg_publication_rel WHERE prpubid = p.oid AND (prqual IS NOT NULL OR prattrs IS "
        "NOT NULL))");
    struct pg_result *r;
    if (!pg_exec_params(sql, task, LIMIT_MS,
                        pg_version(sql) >= 150000 ? filtered_sql : WHOLE_SQL("NULL"), 1,
                        &publication, &r, err))
        return err_context(err, "read publication %s", publication);
    bool ok = true;
    if (pg_rows(r) && !pg_bool(r, 0, 0))
        ok = err_set(err, ERR_PUBLICATION,
                     "publication %s at the source does not publish every kind of change",
                     publication);
    else if (pg_rows(r) && pg_bool(r, 0, 2))
        ok = err_set(err, ERR_PUBLICATION,
                     "publication %s at the source publishes partitions as their partitioned table"
                     " (publish_via_partition_root), and so no TRUNCATE of one",
                     publication);
    else if (pg_rows(r) && pg_text(r, 0, 1)[0])
        ok = err_set(err, ERR_PUBLICATION,
                     "publication %s at the source leaves out rows or columns of %s", publication,
                     pg_text(r, 0, 1));
    if (!ok)
        err_hint(err, SOURCE_NEW_PUBLICATION_HINT);
    pg_free(r);
    return ok;
}

bool source_check_publication(struct pg_conn *sql, struct task *task, const char *publication,
                              const struct schema *s, struct err *err)
{
    return check_published_whole(sql, task, publication, err) &&
           check_published_tables(sql, task, publication, s, err);
}

bool source_slot(struct pg_conn *sql, struct task *task, const char *slot, struct slot_status *out,
                 struct err *err)
{
    struct pg_result *r;
    *out = (struct slot_status){.safe_wal_size = -1};
    /* wal_status and safe_wal_size came with version 13 */
    const char *query =
        pg_version(sql) >= 130000
            ? "SELECT active, coalesce(active_pid, 0), coalesce(wal_status, ''), "
              "confirmed_flush_lsn, restart_lsn, coalesce(safe_wal_size, -1) "
              "FROM pg_catalog.pg_replication_slots WHERE slot_name = $1"
            : "SELECT active, coalesce(active_pid, 0), 'reserved', confirmed_flush_lsn, "
              "restart_lsn, -1 FROM pg_catalog.pg_replication_slots WHERE slot_name = $1";
    if (!pg_exec_params(sql, task, LIMIT_MS, query, 1, &slot, &r, err))
        return err_context(err, "read slot %s", slot);
    out->exists = pg_rows(r) == 1;
    if (out->exists) {
        out->active = pg_bool(r, 0, 0);
        out->active_pid = (int)pg_int(r, 0, 1);
        str_copy(out->wal_status, sizeof out->wal_status, pg_text(r, 0, 2));
        out->confirmed_flush = pg_lsn(r, 0, 3);
        out->restart = pg_lsn(r, 0, 4);
        out->safe_wal_size = pg_int(r, 0, 5);
    }
    pg_free(r);
    return true;
}

#define NEW_SNAPSHOT_HINT \
    "Retry makes a new slot and copies the tables again; the destination's rows are replaced."

bool source_check_slot(struct pg_conn *sql, struct task *task, const char *slot, lsn_t progress,
                       struct err *err)
{
    struct slot_status s;
    if (!source_slot(sql, task, slot, &s, err))
        return false;
    if (!s.exists) {
        err_set(err, ERR_SLOT_MISSING, "slot %s is gone from the source", slot);
        return err_hint(err, NEW_SNAPSHOT_HINT);
    }
    if (!strcmp(s.wal_status, "lost") || !s.restart) {
        err_set(err, ERR_SLOT_LOST, "slot %s is lost: the source removed WAL that it still needs",
                slot);
        return err_hint(err, NEW_SNAPSHOT_HINT " Raise max_slot_wal_keep_size to keep more WAL.");
    }
    if (s.confirmed_flush > progress) {
        err_set(err, ERR_SLOT_AHEAD,
                "slot %s stands at " LSN_FMT ", after our progress " LSN_FMT
                ": changes between are gone",
                slot, LSN_ARGS(s.confirmed_flush), LSN_ARGS(progress));
        return err_hint(err, NEW_SNAPSHOT_HINT);
    }
    return true;
}

static bool end_holder(struct pg_conn *sql, struct task *task, const char *slot, const char *app,
                       struct err *err)
{
    const char *values[] = {slot, app};
    if (!app)
        return pg_exec_params(sql, task, LIMIT_MS,
                              "SELECT pg_catalog.pg_terminate_backend(active_pid) FROM "
                              "pg_catalog.pg_replication_slots WHERE slot_name = $1 AND active",
                              1, values, NULL, err) ||
               err_context(err, "end the session that holds slot %s", slot);
    return pg_exec_params(sql, task, LIMIT_MS,
                          "SELECT pg_catalog.pg_terminate_backend(a.pid) FROM "
                          "pg_catalog.pg_replication_slots s JOIN pg_catalog.pg_stat_activity a "
                          "ON a.pid = s.active_pid WHERE s.slot_name = $1 AND "
                          "a.usename = current_user AND a.application_name = $2",
                          2, values, NULL, err);
}

static bool name_holder(struct pg_conn *sql, struct task *task, const char *slot, struct err *err)
{
    struct pg_result *r;
    if (!pg_exec_params(
            sql, task, LIMIT_MS,
            "SELECT a.pid, a.application_name, coalesce(pg_catalog.host(a.client_addr), 'local') "
            "FROM pg_catalog.pg_replication_slots s JOIN pg_catalog.pg_stat_activity a "
            "ON a.pid = s.active_pid WHERE s.slot_name = $1",
            1, &slot, &r, err))
        return false;
    if (pg_rows(r))
        err_set(err, ERR_SLOT_ACTIVE, "slot %s is in use by PID %s (%s, client %s)", slot,
                pg_text(r, 0, 0), pg_text(r, 0, 1), pg_text(r, 0, 2));
    else
        err_set(err, ERR_SLOT_ACTIVE, "slot %s is in use", slot);
    pg_free(r);
    return err_hint(err, "It is tried again by itself. If nobody needs that session: retry with "
                         "{\"take_slot\": true} (bunnydb retry NAME --take-slot) ends it and goes "
                         "on where the slot stands; nothing is lost.");
}

bool source_free_slot(struct pg_conn *sql, struct task *task, const char *slot, const char *app,
                      int limit_ms, struct err *err)
{
    int64_t until = clock_mono_ms() + limit_ms;
    for (;;) {
        struct slot_status s;
        if (!source_slot(sql, task, slot, &s, err))
            return false;
        if (!s.exists || !s.active)
            return true;
        if (!end_holder(sql, task, slot, app, err))
            return false;
        if (clock_mono_ms() >= until)
            return name_holder(sql, task, slot, err);
        if (!pg_exec(sql, task, LIMIT_MS, "SELECT pg_catalog.pg_sleep(0.05)", NULL, err))
            return false;
    }
}

bool source_drop_slot(struct pg_conn *sql, struct task *task, const char *slot, int limit_ms,
                      struct err *err)
{
    struct slot_status s;
    if (!source_slot(sql, task, slot, &s, err))
        return false;
    if (!s.exists)
        return true;
    if (pg_exec_params(sql, task, limit_ms, "SELECT pg_catalog.pg_drop_replication_slot($1)", 1,
                       &slot, NULL, err))
        return true;
    return err_context(err, "drop slot %s", slot);
}

void source_explain_slot_wait(struct pg_conn *sql, struct task *task, struct err *err)
{
    struct pg_result *r;
    struct err ignored = {0};
    if (!pg_exec(
            sql, task, LIMIT_MS,
            "SELECT pg_catalog.format('%s (%sopen for %s s)', x.who, x.more, extract(epoch FROM "
            "pg_catalog.clock_timestamp() - x.since)::int8) FROM (SELECT 'PID ' || pid, "
            "coalesce(nullif(pg_catalog.left(application_name, 30), '') || ', ', ''), "
            "xact_start FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL AND "
            "pid <> pg_catalog.pg_backend_pid() UNION ALL SELECT 'prepared transaction ' || "
            "pg_catalog.quote_literal(gid), 'database ' || database || ', ', prepared FROM "
            "pg_catalog.pg_prepared_xacts) x(who, more, since) ORDER BY x.since LIMIT 3",
            &r, &ignored))
        return;
    struct buf b = {0};
    for (size_t i = 0; i < pg_rows(r); i++)
        buf_printf(&b, "%s%s", i ? ", " : "", pg_text(r, i, 0));
    pg_free(r);
    if (b.len)
        err_hint(err, "A slot can only start when older transactions have ended: %s.",
                 buf_text(&b));
    buf_free(&b);
}
