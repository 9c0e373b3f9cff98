/* The progress row; see progress.h. */
#include "stream/progress.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "schema/schema.h"
#include "schema/sequences.h"
#include "stream/sync_rows.h"

#define LIMIT_MS 30000
/* Serialises creation and removal of our schema among mirrors of one destination. */
#define SCHEMA_LOCK "SELECT pg_catalog.pg_advisory_xact_lock(7041130286271)"
/* Two-key advisory locks of this class are the mirrors' session locks. */
#define MIRROR_LOCK_CLASS "1651207790"

const char progress_move_sql[] =
    "WITH moved AS (UPDATE _bunnydb.progress SET lsn = $1::pg_catalog.pg_lsn, updated_at = "
    "pg_catalog.clock_timestamp() WHERE mirror_id = $2::pg_catalog.text AND epoch = "
    "$3::pg_catalog.int8 AND lsn = $4::pg_catalog.pg_lsn AND lsn <= $1::pg_catalog.pg_lsn "
    "RETURNING 1) SELECT 1 / pg_catalog.count(*), pg_catalog.set_config('synchronous_commit', "
    "$5::pg_catalog.text, true) FROM moved";

static const char create_sql[] =
    "BEGIN; " SCHEMA_LOCK "; CREATE SCHEMA IF NOT EXISTS _bunnydb; "
    "CREATE TABLE IF NOT EXISTS _bunnydb.progress ("
    "mirror_id text PRIMARY KEY, mirror text NOT NULL, epoch bigint NOT NULL, "
    "system_id text NOT NULL, database_oid bigint NOT NULL, slot text NOT NULL, "
    "slot_lsn pg_lsn NOT NULL, lsn pg_lsn NOT NULL, is_streaming boolean NOT NULL, "
    "updated_at timestamptz NOT NULL DEFAULT now(), applier text, applier_id text, "
    "applier_session integer, applier_since timestamptz, timeline integer, timeline_start pg_lsn) "
    "WITH (fillfactor = 10)";

static const char upgrade_sql[] =
    "ALTER TABLE _bunnydb.progress ADD COLUMN IF NOT EXISTS applier text, ADD COLUMN IF NOT EXISTS "
    "applier_id text, ADD COLUMN IF NOT EXISTS applier_session integer, ADD COLUMN IF NOT EXISTS "
    "applier_since timestamptz, ADD COLUMN IF NOT EXISTS timeline integer, ADD COLUMN IF NOT "
    "EXISTS timeline_start pg_lsn";

/* Whoever opened the session told it who it is. */
#define APPLIER_COLUMNS "applier, applier_id, applier_session, applier_since"
#define APPLIER_VALUES                                                                      \
    "pg_catalog.current_setting('bunnydb.applier', true), "                                 \
    "pg_catalog.current_setting('bunnydb.applier_id', true), pg_catalog.pg_backend_pid(), " \
    "pg_catalog.clock_timestamp()"

static const char lock_sql[] =
    "SELECT pg_catalog.pg_try_advisory_lock(" MIRROR_LOCK_CLASS ", pg_catalog.hashtext($1))";

/* The session that holds the lock, and what the applier in the row, if it has that session, is. */
#define HOLDER_FROM                                                                              \
    " FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid LEFT JOIN " \
    "_bunnydb.progress p ON p.mirror_id = $1 AND p.applier_session = l.pid WHERE l.locktype = "  \
    "'advisory' AND l.granted AND l.objsubid = 2 AND l.classid = " MIRROR_LOCK_CLASS             \
    " AND l.objid::int8 = (pg_catalog.hashtext($1)::int8 & 4294967295) AND l.database = "        \
    "(SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())"

static const char holder_sql[] =
    "SELECT a.pid, coalesce(a.client_addr::text, 'local'), coalesce(p.applier, 'a process that '"
    "'calls itself ' || a.application_name), pg_catalog.to_char(coalesce(p.applier_since, "
    "a.backend_start) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')" HOLDER_FROM " LIMIT 1";

static const char end_own_sql[] =
    "SELECT pg_catalog.pg_terminate_backend(l.pid)" HOLDER_FROM " AND p.applier_id = $2";

/* Nobody else has a row, or is about to write one (its session lock comes first). */
static const char last_sql[] =
    "SELECT NOT EXISTS (SELECT 1 FROM _bunnydb.progress) AND NOT EXISTS (SELECT 1 FROM "
    "pg_catalog.pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND classid "
    "= " MIRROR_LOCK_CLASS " AND pid <> pg_catalog.pg_backend_pid())";

static bool name_holder(struct pg_conn *dest, struct task *task, const char *mirror_id,
                        struct err *err)
{
    struct pg_result *r;
    if (!pg_exec_params(dest, task, LIMIT_MS, holder_sql, 1, &mirror_id, &r, err))
        return false;
    if (pg_rows(r))
        err_set(err, ERR_FENCED,
                "another process applies to this mirror: %s, since %s UTC (session %s at the "
                "destination, client %s)",
                pg_text(r, 0, 2), pg_text(r, 0, 3), pg_text(r, 0, 0), pg_text(r, 0, 1));
    else
        err_set(err, ERR_FENCED, "another process applies to this mirror");
    err_hint(err,
             "Stop the other bunnydb, or end its connection; this one goes on by itself then.");
    pg_free(r);
    return false;
}

/* A session that this process, or one before it on the same state directory, has left: cut off, it
 * would hold the lock until the server notices. */
static bool end_own(struct pg_conn *dest, struct task *task, const char *mirror_id,
                    const struct applier *who, struct err *err)
{
    const char *values[] = {mirror_id, who->id};
    return pg_exec_params(dest, task, LIMIT_MS, end_own_sql, COUNT_OF(values), values, NULL, err);
}

static bool take_lock(struct pg_conn *dest, struct task *task, const char *mirror_id,
                      const struct applier *who, int limit_ms, struct err *err)
{
    int64_t until = clock_mono_ms() + limit_ms;
    for (;;) {
        struct pg_result *r;
        if (!pg_exec_params(dest, task, LIMIT_MS, lock_sql, 1, &mirror_id, &r, err))
            return false;
        bool got = pg_bool(r, 0, 0);
        pg_free(r);
        if (got)
            return true;
        if (clock_mono_ms() >= until)
            return name_holder(dest, task, mirror_id, err);
        if ((who && !end_own(dest, task, mirror_id, who, err)) ||
            !pg_exec(dest, task, LIMIT_MS, "SELECT pg_catalog.pg_sleep(0.1)", NULL, err))
            return false;
    }
}

static bool introduce(struct pg_conn *dest, struct task *task, const struct applier *who,
                      struct err *err)
{
    const char *values[] = {who->name, who->id};
    return pg_exec_params(dest, task, LIMIT_MS,
                          "SELECT pg_catalog.set_config('bunnydb.applier', $1, false), "
                          "pg_catalog.set_config('bunnydb.applier_id', $2, false)",
                          COUNT_OF(values), values, NULL, err);
}

static bool create_tables(struct pg_conn *dest, struct task *task, struct err *err)
{
    struct buf sql = {0};
    buf_printf(&sql, "%s; %s; %s; %s; %s; %s; COMMIT", create_sql, upgrade_sql,
               sync_rows_create_sql, sync_rows_upgrade_sql, schema_book_create_sql,
               sequences_create_sql);
    bool ok = pg_exec(dest, task, LIMIT_MS, buf_text(&sql), NULL, err);
    buf_free(&sql);
    return ok || err_context(err, "create _bunnydb's tables at the destination");
}

/* An earlier version made some of the tables. */
bool progress_open(struct pg_conn *dest, struct task *task, const char *mirror_id,
                   const struct applier *who, int limit_ms, struct err *err)
{
    struct pg_result *r;
    if (!pg_exec(
            dest, task, LIMIT_MS,
            "SELECT pg_catalog.to_regclass('_bunnydb.progress') IS NOT NULL AND "
            "pg_catalog.to_regclass('_bunnydb.table_sync') IS NOT NULL AND "
            "pg_catalog.to_regclass('_bunnydb.table_parts') IS NOT NULL AND "
            "pg_catalog.to_regclass('_bunnydb.sequences') IS NOT NULL AND EXISTS (SELECT FROM "
            "pg_catalog.pg_attribute WHERE attrelid = "
            "pg_catalog.to_regclass('_bunnydb.table_sync') AND attname = 'stopped') AND EXISTS "
            "(SELECT FROM pg_catalog.pg_attribute WHERE attrelid = "
            "pg_catalog.to_regclass('_bunnydb.progress') AND attname = 'timeline_start')",
            &r, err))
        return false;
    bool exists = pg_bool(r, 0, 0);
    pg_free(r);
    if (!exists && !create_tables(dest, task, err))
        return false;
    return (!who || introduce(dest, task, who, err)) &&
           take_lock(dest, task, mirror_id, who, limit_ms, err);
}

bool progress_claim(struct pg_conn *dest, struct task *task, const char *mirror_id,
                    struct progress *out, struct err *err)
{
    struct pg_result *r;
    *out = (struct progress){0};
    if (!pg_exec_params(
            dest, task, LIMIT_MS,
            "UPDATE _bunnydb.progress SET epoch = epoch + 1, (" APPLIER_COLUMNS
            ") = ROW (" APPLIER_VALUES
            ") WHERE mirror_id = $1 RETURNING epoch, system_id, database_oid, slot, slot_lsn, lsn, "
            "is_streaming, coalesce(timeline, 0), timeline_start",
            1, &mirror_id, &r, err))
        return err_context(err, "read the progress at the destination");
    out->exists = pg_rows(r) == 1;
    if (out->exists) {
        out->epoch = pg_int(r, 0, 0);
        str_copy(out->system_id, sizeof out->system_id, pg_text(r, 0, 1));
        out->database_oid = (uint32_t)pg_int(r, 0, 2);
        str_copy(out->slot, sizeof out->slot, pg_text(r, 0, 3));
        out->slot_lsn = pg_lsn(r, 0, 4);
        out->lsn = pg_lsn(r, 0, 5);
        out->is_streaming = pg_bool(r, 0, 6);
        out->timeline = (struct timeline){.id = (int)pg_int(r, 0, 7), .start = pg_lsn(r, 0, 8)};
    }
    pg_free(r);
    return true;
}

bool progress_start(struct pg_conn *dest, struct task *task, const char *mirror_id,
                    const char *mirror, struct progress *p, struct err *err)
{
    char lsn[LSN_TEXT_SIZE], start[LSN_TEXT_SIZE], oid[16], timeline[16];
    const char *values[] = {mirror_id, mirror, p->system_id, oid, p->slot, lsn, timeline, start};
    struct pg_result *r;
    lsn_format(p->slot_lsn, lsn);
    lsn_format(p->timeline.start, start);
    str_printf(oid, sizeof oid, "%u", p->database_oid);
    str_printf(timeline, sizeof timeline, "%d", p->timeline.id);
    if (!pg_exec_params(dest, task, LIMIT_MS,
                        "INSERT INTO _bunnydb.progress (mirror_id, mirror, epoch, system_id, "
                        "database_oid, slot, slot_lsn, lsn, is_streaming, timeline, "
                        "timeline_start, " APPLIER_COLUMNS
                        ") VALUES ($1, $2, 1, $3, $4, $5, $6, $6, true, $7, $8, " APPLIER_VALUES
                        ") ON CONFLICT (mirror_id) DO UPDATE SET mirror = "
                        "excluded.mirror, epoch = progress.epoch + 1, system_id = "
                        "excluded.system_id, database_oid = excluded.database_oid, slot = "
                        "excluded.slot, slot_lsn = excluded.slot_lsn, lsn = excluded.lsn, "
                        "is_streaming = true, updated_at = pg_catalog.clock_timestamp(), "
                        "timeline = excluded.timeline, timeline_start = excluded.timeline_start, "
                        "(" APPLIER_COLUMNS ") = ROW (" APPLIER_VALUES ") RETURNING epoch",
                        COUNT_OF(values), values, &r, err))
        return err_context(err, "write the progress at the destination");
    p->exists = true;
    p->epoch = pg_int(r, 0, 0);
    p->lsn = p->slot_lsn;
    p->is_streaming = true;
    pg_free(r);
    return true;
}

bool progress_note_timeline(struct pg_conn *dest, struct task *task, const char *mirror_id,
                            const struct progress *p, struct err *err)
{
    char epoch[24], timeline[16], start[LSN_TEXT_SIZE];
    const char *values[] = {mirror_id, epoch, timeline, start};
    struct pg_result *r;
    str_printf(epoch, sizeof epoch, "%lld", (long long)p->epoch);
    str_printf(timeline, sizeof timeline, "%d", p->timeline.id);
    lsn_format(p->timeline.start, start);
    if (!pg_exec_params(dest, task, LIMIT_MS,
                        "UPDATE _bunnydb.progress SET timeline = $3, timeline_start = $4 WHERE "
                        "mirror_id = $1 AND epoch = $2",
                        COUNT_OF(values), values, &r, err))
        return err_context(err, "write the progress at the destination");
    bool is_ours = pg_affected(r) == 1;
    pg_free(r);
    return is_ours || err_set(err, ERR_FENCED, "another process applies to this mirror");
}

bool progress_delete(struct pg_conn *dest, struct task *task, const char *mirror_id,
                     struct err *err)
{
    struct pg_result *r;
    if (!pg_exec(dest, task, LIMIT_MS,
                 "SELECT pg_catalog.to_regclass('_bunnydb.progress') IS NOT NULL", &r, err))
        return false;
    bool exists = pg_bool(r, 0, 0);
    pg_free(r);
    if (!exists)
        return true;
    if (!pg_exec(dest, task, LIMIT_MS, "BEGIN; " SCHEMA_LOCK, NULL, err) ||
        !pg_exec(dest, task, LIMIT_MS, sync_rows_create_sql, NULL, err) ||
        !pg_exec(dest, task, LIMIT_MS, schema_book_create_sql, NULL, err) ||
        !pg_exec(dest, task, LIMIT_MS, sequences_create_sql, NULL, err) ||
        !pg_exec_params(dest, task, LIMIT_MS,
                        "DELETE FROM _bunnydb.table_sync WHERE mirror_id = $1", 1, &mirror_id, NULL,
                        err) ||
        !pg_exec_params(dest, task, LIMIT_MS,
                        "DELETE FROM _bunnydb.table_parts WHERE mirror_id = $1", 1, &mirror_id,
                        NULL, err) ||
        !pg_exec_params(dest, task, LIMIT_MS, "DELETE FROM _bunnydb.sequences WHERE mirror_id = $1",
                        1, &mirror_id, NULL, err) ||
        !pg_exec_params(dest, task, LIMIT_MS, "DELETE FROM _bunnydb.progress WHERE mirror_id = $1",
                        1, &mirror_id, NULL, err) ||
        !pg_exec(dest, task, LIMIT_MS, last_sql, &r, err))
        return false;
    bool is_last = pg_bool(r, 0, 0);
    pg_free(r);
    return pg_exec(dest, task, LIMIT_MS,
                   is_last ? "DROP TABLE _bunnydb.sequences, _bunnydb.table_parts, "
                             "_bunnydb.table_sync, _bunnydb.progress; DROP SCHEMA _bunnydb; COMMIT"
                           : "COMMIT",
                   NULL, err);
}
