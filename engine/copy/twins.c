/* Indexes that were built for constraints, and never became them; see twins.h. */
#include "copy/twins.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "schema/schema.h"

/* The tables with their partitions. */
#define TREE                                                                                 \
    "WITH RECURSIVE w(oid) AS (SELECT c.oid FROM ROWS FROM (unnest($1::text[]), "            \
    "unnest($2::text[])) AS u(s, t) JOIN pg_namespace n ON n.nspname = u.s JOIN pg_class c " \
    "ON c.relnamespace = n.oid AND c.relname = u.t UNION SELECT i.inhrelid FROM w "          \
    "JOIN pg_inherits i ON i.inhparent = w.oid) "

/* Whoever builds an index has this lock on its table. */
static const char end_sql[] =
    TREE "SELECT pg_terminate_backend(a.pid), pg_sleep(0.02) FROM pg_stat_activity a "
         "WHERE a.datname = current_database() AND a.usename = current_user AND "
         "a.application_name = left($3, 63) AND EXISTS (SELECT FROM pg_locks l JOIN w "
         "ON w.oid = l.relation WHERE l.pid = a.pid AND l.mode = 'ShareLock' AND l.granted)";

static const char find_sql[] =
    TREE "SELECT n.nspname, k.relname FROM w JOIN pg_index x ON x.indrelid = w.oid "
         "JOIN pg_class k ON k.oid = x.indexrelid JOIN pg_namespace n ON n.oid = k.relnamespace "
         "WHERE starts_with(k.relname::text, '" SCHEMA_TWIN_PREFIX "') AND NOT EXISTS (SELECT FROM "
         "pg_constraint o WHERE o.conindid = k.oid)";

/* Asked again until none is left. */
static bool end_builders(struct pg_conn *dest, struct task *task, int limit_ms, size_t n,
                         const char *const *values, struct err *err)
{
    int64_t until = clock_mono_ms() + limit_ms;
    bool ok = true, is_over = false;
    while (ok && !is_over) {
        struct pg_result *r = NULL;
        ok = pg_exec_params(dest, task, limit_ms, end_sql, n, values, &r, err);
        is_over = ok && !pg_rows(r);
        pg_free(r);
        if (ok && !is_over && clock_mono_ms() >= until)
            ok = err_set(err, ERR_TIMEOUT, "a session still builds an index of an earlier copy");
    }
    return ok;
}

static bool drop(struct pg_conn *dest, struct task *task, int limit_ms, const struct pg_result *r,
                 struct err *err)
{
    struct buf sql = {0};
    struct err ignored = {0};
    bool ok = true;
    for (size_t i = 0; i < pg_rows(r); i++) {
        buf_puts(&sql, i ? ", " : "BEGIN; SET LOCAL lock_timeout = '500ms'; DROP INDEX ");
        pg_quote_qualified(&sql, pg_text(r, i, 0), pg_text(r, i, 1));
    }
    if (sql.len) {
        buf_puts(&sql, "; COMMIT");
        ok = pg_exec(dest, task, limit_ms, buf_text(&sql), NULL, err);
    }
    if (!ok && pg_is_alive(dest))
        (void)!pg_exec(dest, task, limit_ms, "ROLLBACK", NULL, &ignored);
    buf_free(&sql);
    return ok;
}

bool twins_remove(struct pg_conn *dest, struct task *task, int limit_ms, const char *app, size_t n,
                  const char *const *schemas, const char *const *tables, struct err *err)
{
    struct buf s = {0}, t = {0};
    struct pg_result *r = NULL;
    pg_quote_array(&s, n, schemas);
    pg_quote_array(&t, n, tables);
    const char *values[] = {buf_text(&s), buf_text(&t), app};
    bool ok = (!app || end_builders(dest, task, limit_ms, COUNT_OF(values), values, err)) &&
              pg_exec_params(dest, task, limit_ms, find_sql, 2, values, &r, err) &&
              drop(dest, task, limit_ms, r, err);
    pg_free(r);
    buf_free(&s);
    buf_free(&t);
    return ok || err_context(err, "remove indexes of an earlier copy");
}
