/* The rows of _bunnydb.table_sync; see sync_rows.h. */
#include "stream/sync_rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define LIMIT_MS 30000

const char sync_rows_create_sql[] =
    "CREATE TABLE IF NOT EXISTS _bunnydb.table_sync (mirror_id text NOT NULL, "
    "source_schema text NOT NULL, source_table text NOT NULL, is_aside boolean NOT NULL, "
    "restore_sql text[] NOT NULL DEFAULT '{}', updated_at timestamptz NOT NULL DEFAULT now(), "
    "stopped text[], PRIMARY KEY (mirror_id, source_schema, source_table))";

const char sync_rows_upgrade_sql[] =
    "ALTER TABLE _bunnydb.table_sync ADD COLUMN IF NOT EXISTS stopped text[]";

#define FENCE_SQL \
    "SELECT 1 / pg_catalog.count(*) FROM _bunnydb.progress WHERE mirror_id = %s AND epoch = %s"

const char sync_rows_fence_sql[] =
    "SELECT 1 / pg_catalog.count(*) FROM _bunnydb.progress WHERE mirror_id = $1::pg_catalog.text "
    "AND epoch = $2::pg_catalog.int8";

/* Two statements on rows that are told apart: one row cannot be changed twice in a statement. */
const char sync_rows_hand_over_sql[] =
    "WITH ours AS (SELECT * FROM ROWS FROM (pg_catalog.unnest($2::pg_catalog.text[]), "
    "pg_catalog.unnest($3::pg_catalog.text[])) AS o (s, t)), "
    "gone AS (DELETE FROM _bunnydb.table_sync r USING ours WHERE r.mirror_id = "
    "$1::pg_catalog.text AND r.source_schema = ours.s AND r.source_table = ours.t AND r.is_aside "
    "AND r.restore_sql = '{}' RETURNING 1), "
    "kept AS (UPDATE _bunnydb.table_sync r SET is_aside = false, updated_at = "
    "pg_catalog.clock_timestamp() FROM ours WHERE r.mirror_id = $1::pg_catalog.text AND "
    "r.source_schema = ours.s AND r.source_table = ours.t AND r.is_aside AND r.restore_sql <> '{}' "
    "RETURNING 1) "
    "SELECT 1 / ((SELECT pg_catalog.count(*) FROM gone) + (SELECT pg_catalog.count(*) FROM kept) = "
    "pg_catalog.cardinality($2::pg_catalog.text[]))::pg_catalog.int4";

bool sync_row_list_has_aside(const struct sync_row_list *l, const struct table_name *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->items[i].is_aside && !strcmp(l->items[i].name.table, name->table) &&
            !strcmp(l->items[i].name.schema, name->schema))
            return true;
    return false;
}

void sync_row_list_free(struct sync_row_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        for (size_t k = 0; k < l->items[i].n_restore; k++)
            free(l->items[i].restore[k]);
        free(l->items[i].restore);
    }
    free(l->items);
    *l = (struct sync_row_list){0};
}

char *table_names_array(const struct table_name *tables, size_t n, bool schemas)
{
    const char **items = mem_calloc(n + 1, sizeof *items);
    struct buf b = {0};
    for (size_t i = 0; i < n; i++)
        items[i] = schemas ? tables[i].schema : tables[i].table;
    pg_quote_array(&b, n, items);
    free(items);
    return buf_take(&b);
}

char *sync_rows_fence(const struct sync_owner *o)
{
    struct buf id = {0};
    char epoch[24];
    pg_quote_literal(&id, o->mirror_id);
    str_printf(epoch, sizeof epoch, "%lld", (long long)o->epoch);
    char *sql = mem_printf(FENCE_SQL, buf_text(&id), epoch);
    buf_free(&id);
    return sql;
}

/* The progress row is locked, so that who takes over either comes first, or reads the rows after
 * us. Of the table's row what is to be restored stays. A synchronous COMMIT flushes all WAL before
 * its own. */
char *sync_rows_copied(const struct sync_owner *o, const struct table_name *table)
{
    struct buf b = {0}, where = {0};
    buf_puts(&where, "WHERE mirror_id = ");
    pg_quote_literal(&where, o->mirror_id);
    buf_printf(&b,
               "BEGIN; SET LOCAL synchronous_commit = on; SELECT 1 / pg_catalog.count(*) FROM "
               "(SELECT FROM _bunnydb.progress %s AND epoch = %lld FOR SHARE) ours; ",
               buf_text(&where), (long long)o->epoch);
    buf_puts(&where, " AND source_schema = ");
    pg_quote_literal(&where, table->schema);
    buf_puts(&where, " AND source_table = ");
    pg_quote_literal(&where, table->table);
    buf_printf(&b,
               "WITH gone AS (DELETE FROM _bunnydb.table_sync %s AND is_aside AND restore_sql = "
               "'{}' RETURNING 1), kept AS (UPDATE _bunnydb.table_sync SET is_aside = false, "
               "updated_at = pg_catalog.clock_timestamp() %s AND is_aside AND restore_sql <> '{}' "
               "RETURNING 1) SELECT 1 / ((SELECT pg_catalog.count(*) FROM gone) + (SELECT "
               "pg_catalog.count(*) FROM kept)); COMMIT",
               buf_text(&where), buf_text(&where));
    buf_free(&where);
    return buf_take(&b);
}

static bool check_fence(struct err *err)
{
    if (!pg_server_error_is(err, SYNC_ROWS_SQLSTATE))
        return false;
    err_set(err, ERR_FENCED, "another process took over this mirror");
    return err_hint(err, "Stop the other bunnydb; this one goes on by itself then.");
}

/* Runs sql, whose first two parameters are mirror_id and epoch, and which divides by zero when the
 * epoch is no longer ours. rows (may be NULL): how many it touched. */
static bool run_fenced(struct pg_conn *dest, struct task *task, const struct sync_owner *o,
                       const char *sql, size_t n, const char *const *more, int64_t *rows,
                       struct err *err)
{
    struct pg_result *r = NULL;
    char epoch[24];
    const char *values[8] = {o->mirror_id, epoch};
    str_printf(epoch, sizeof epoch, "%lld", (long long)o->epoch);
    for (size_t i = 0; i < n; i++)
        values[2 + i] = more[i];
    if (!pg_exec_params(dest, task, LIMIT_MS, sql, 2 + n, values, &r, err))
        return check_fence(err) || err_context(err, "write _bunnydb.table_sync at the destination");
    if (rows)
        *rows = pg_affected(r);
    pg_free(r);
    return true;
}

#define FENCED                                                                                    \
    "WITH ours AS (SELECT 1 / pg_catalog.count(*) AS one FROM _bunnydb.progress WHERE mirror_id " \
    "= $1::pg_catalog.text AND epoch = $2::pg_catalog.int8) "

static struct sync_row take_row(const struct pg_result *r, size_t *at)
{
    struct sync_row row = {.is_aside = pg_bool(r, *at, 2)};
    size_t first = *at, cap = 0;
    str_copy(row.name.schema, sizeof row.name.schema, pg_text(r, first, 0));
    str_copy(row.name.table, sizeof row.name.table, pg_text(r, first, 1));
    if (!pg_is_null(r, first, 4)) {
        str_copy(row.stopped.code, sizeof row.stopped.code, pg_text(r, first, 4));
        str_copy(row.stopped.text, sizeof row.stopped.text, pg_text(r, first, 5));
        str_copy(row.stopped.hint, sizeof row.stopped.hint, pg_text(r, first, 6));
        row.stopped.lsn = pg_lsn(r, first, 7);
    }
    for (; *at < pg_rows(r) && !strcmp(pg_text(r, *at, 0), row.name.schema) &&
           !strcmp(pg_text(r, *at, 1), row.name.table);
         (*at)++)
        if (!pg_is_null(r, *at, 3))
            MEM_PUSH(row.restore, row.n_restore, cap, mem_strdup(pg_text(r, *at, 3)));
    return row;
}

bool sync_rows_read(struct pg_conn *dest, struct task *task, const char *mirror_id,
                    struct sync_row_list *out, struct err *err)
{
    struct pg_result *r;
    size_t cap = 0;
    *out = (struct sync_row_list){0};
    if (!pg_exec_params(dest, task, LIMIT_MS,
                        "SELECT s.source_schema, s.source_table, s.is_aside, u.sql, s.stopped[1], "
                        "s.stopped[2], s.stopped[3], s.stopped[4]::pg_catalog.pg_lsn FROM "
                        "_bunnydb.table_sync s LEFT JOIN LATERAL pg_catalog.unnest(s.restore_sql) "
                        "WITH ORDINALITY u (sql, pos) ON true WHERE s.mirror_id = $1 "
                        "ORDER BY s.source_schema, s.source_table, u.pos",
                        1, &mirror_id, &r, err))
        return err_context(err, "read _bunnydb.table_sync at the destination");
    for (size_t at = 0; at < pg_rows(r);)
        MEM_PUSH(out->items, out->n, cap, take_row(r, &at));
    pg_free(r);
    return true;
}

bool sync_rows_set_aside(struct pg_conn *dest, struct task *task, const struct sync_owner *o,
                         const struct table_name *tables, size_t n, struct err *err)
{
    if (!n)
        return true;
    char *more[] = {table_names_array(tables, n, true), table_names_array(tables, n, false)};
    bool ok = run_fenced(
        dest, task, o,
        FENCED
        "INSERT INTO _bunnydb.table_sync (mirror_id, source_schema, source_table, is_aside) "
        "SELECT $1::pg_catalog.text, t.s, t.t, ours.one = 1 FROM ours, ROWS FROM "
        "(pg_catalog.unnest($3::pg_catalog.text[]), pg_catalog.unnest($4::pg_catalog.text[]))"
        " AS t (s, t) ON CONFLICT (mirror_id, source_schema, source_table) DO UPDATE SET "
        "is_aside = true, stopped = NULL, updated_at = pg_catalog.clock_timestamp()",
        COUNT_OF(more), (const char *const *)more, NULL, err);
    free(more[0]);
    free(more[1]);
    return ok;
}

bool sync_rows_stop(struct pg_conn *dest, struct task *task, const struct sync_owner *o,
                    const struct table_name *table, const struct sync_stop *why, struct err *err)
{
    char lsn[LSN_TEXT_SIZE];
    const char *parts[] = {why->code, why->text, why->hint, lsn_format(why->lsn, lsn)};
    struct buf array = {0};
    pg_quote_array(&array, COUNT_OF(parts), parts);
    const char *more[] = {table->schema, table->table, buf_text(&array)};
    bool ok = run_fenced(
        dest, task, o,
        FENCED
        "INSERT INTO _bunnydb.table_sync (mirror_id, source_schema, source_table, is_aside, "
        "stopped) SELECT $1::pg_catalog.text, $3::pg_catalog.text, $4::pg_catalog.text, ours.one = "
        "1, $5::pg_catalog.text[] FROM ours ON CONFLICT (mirror_id, source_schema, source_table) "
        "DO UPDATE SET is_aside = true, stopped = excluded.stopped, updated_at = "
        "pg_catalog.clock_timestamp()",
        COUNT_OF(more), more, NULL, err);
    buf_free(&array);
    return ok;
}

bool sync_rows_add_restore(struct pg_conn *dest, struct task *task, const struct sync_owner *o,
                           const struct table_name *table, size_t n, const char *const *statements,
                           struct err *err)
{
    struct buf array = {0};
    if (!n)
        return true;
    pg_quote_array(&array, n, statements);
    const char *more[] = {table->schema, table->table, buf_text(&array)};
    int64_t rows;
    bool ok = run_fenced(
        dest, task, o,
        FENCED "UPDATE _bunnydb.table_sync SET restore_sql = (SELECT pg_catalog.array_agg(d.sql "
               "ORDER BY d.pos) FROM (SELECT u.sql, pg_catalog.min(u.pos) AS pos FROM "
               "pg_catalog.unnest(restore_sql OPERATOR(pg_catalog.||) $5::pg_catalog.text[]) WITH "
               "ORDINALITY u (sql, pos) GROUP BY u.sql) d) FROM ours WHERE ours.one = 1 AND "
               "mirror_id = $1 AND source_schema = $3::pg_catalog.text AND source_table = "
               "$4::pg_catalog.text",
        COUNT_OF(more), more, &rows, err);
    buf_free(&array);
    if (ok && rows != 1)
        return err_set(err, ERR_INTERNAL,
                       "_bunnydb.table_sync at the destination has no row of %s.%s", table->schema,
                       table->table);
    return ok;
}

bool sync_rows_owe(struct pg_conn *dest, struct task *task, const struct sync_owner *o,
                   const struct table_name *table, size_t n, const char *const *statements,
                   struct err *err)
{
    const char *more[] = {table->schema, table->table};
    if (!n)
        return true;
    return run_fenced(dest, task, o,
                      FENCED
                      "INSERT INTO _bunnydb.table_sync (mirror_id, source_schema, source_table, "
                      "is_aside) SELECT $1::pg_catalog.text, $3::pg_catalog.text, "
                      "$4::pg_catalog.text, false FROM ours WHERE ours.one = 1 ON CONFLICT "
                      "(mirror_id, source_schema, source_table) DO NOTHING",
                      COUNT_OF(more), more, NULL, err) &&
           sync_rows_add_restore(dest, task, o, table, n, statements, err);
}

bool sync_rows_restored(struct pg_conn *dest, struct task *task, const struct sync_owner *o,
                        const struct table_name *table, struct err *err)
{
    const char *more[] = {table->schema, table->table};
    return run_fenced(dest, task, o,
                      FENCED "DELETE FROM _bunnydb.table_sync USING ours WHERE ours.one = 1 AND "
                             "mirror_id = $1 AND source_schema = $3::pg_catalog.text AND "
                             "source_table = $4::pg_catalog.text AND NOT is_aside",
                      COUNT_OF(more), more, NULL, err);
}

bool sync_rows_leave(struct pg_conn *dest, struct task *task, const struct sync_owner *o,
                     const struct table_name *table, struct err *err)
{
    const char *more[] = {table->schema, table->table};
    return run_fenced(
        dest, task, o,
        FENCED "UPDATE _bunnydb.table_sync SET is_aside = false, stopped = NULL FROM ours WHERE "
               "ours.one = 1 AND mirror_id = $1 AND source_schema = "
               "$3::pg_catalog.text AND source_table = $4::pg_catalog.text",
        COUNT_OF(more), more, NULL, err);
}

bool sync_rows_none_aside(struct pg_conn *dest, struct task *task, const char *mirror_id,
                          struct err *err)
{
    return pg_exec_params(dest, task, LIMIT_MS,
                          "DELETE FROM _bunnydb.table_sync WHERE mirror_id = $1 AND restore_sql = "
                          "'{}'",
                          1, &mirror_id, NULL, err) &&
           pg_exec_params(dest, task, LIMIT_MS,
                          "UPDATE _bunnydb.table_sync SET is_aside = false WHERE mirror_id = $1", 1,
                          &mirror_id, NULL, err);
}
