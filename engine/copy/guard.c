/* The tables of a copy kept as they are; see guard.h. */
#include "copy/guard.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

#define STATEMENT_MS 60000
#define LOCK_LIMIT_MS 300000
#define LOCK_NOT_AVAILABLE "55P03"

/* The settings and the locks end together, with the savepoint. A lock is waited for less long than
 * a deadlock goes unnoticed (deadlock_timeout, 1 s): its victim is us. */
#define BEGIN_SQL                                                                      \
    "SAVEPOINT bunnydb_guard; SET LOCAL lock_timeout = '400ms'; SET LOCAL jit = off; " \
    "SET LOCAL max_parallel_workers_per_gather = 0; "
#define AFTER_SQL "SET LOCAL lock_timeout = '300s'"
#define END_SQL "ROLLBACK TO SAVEPOINT bunnydb_guard; RELEASE SAVEPOINT bunnydb_guard"

static bool lock_once(struct pg_conn *source, struct task *task, const char *lock_sql,
                      struct err *err)
{
    return pg_exec(source, task, STATEMENT_MS, BEGIN_SQL, NULL, err) &&
           pg_exec(source, task, STATEMENT_MS, lock_sql, NULL, err) &&
           pg_exec(source, task, STATEMENT_MS, AFTER_SQL, NULL, err);
}

/* Those who hold a lock that shuts readers out. Catalogs only, so that it never waits itself. */
static void explain(struct pg_conn *source, struct task *task, const struct table_name *names,
                    size_t n, struct err *err)
{
    struct buf schemas = {0}, tables = {0}, b = {0};
    struct pg_result *r = NULL;
    struct err ignored = {0};
    const char **a = mem_calloc(n + 1, sizeof *a), **t = mem_calloc(n + 1, sizeof *t);
    for (size_t i = 0; i < n; i++) {
        a[i] = names[i].schema;
        t[i] = names[i].table;
    }
    pg_quote_array(&schemas, n, a);
    pg_quote_array(&tables, n, t);
    const char *values[] = {buf_text(&schemas), buf_text(&tables)};
    if (pg_exec_params(source, task, STATEMENT_MS,
                       "SELECT l.pid, pg_catalog.left(coalesce(a.application_name, ''), 30), "
                       "n.nspname || '.' || c.relname FROM pg_catalog.pg_locks l "
                       "JOIN pg_catalog.pg_class c ON c.oid = l.relation "
                       "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
                       "JOIN unnest($1::pg_catalog.text[], $2::pg_catalog.text[]) w (s, t) "
                       "ON w.s = n.nspname AND w.t = c.relname "
                       "LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid "
                       "WHERE l.mode = 'AccessExclusiveLock' AND l.granted LIMIT 3",
                       COUNT_OF(values), values, &r, &ignored)) {
        for (size_t i = 0; i < pg_rows(r); i++)
            buf_printf(&b, "%sPID %s (%s) has locked %s", i ? ", " : "", pg_text(r, i, 0),
                       pg_text(r, i, 1), pg_text(r, i, 2));
        if (b.len)
            err_hint(err, "At the source %s.", buf_text(&b));
    }
    pg_free(r);
    buf_free(&b);
    buf_free(&schemas);
    buf_free(&tables);
    free(a);
    free(t);
}

static bool lock_tables(struct pg_conn *source, struct task *task, const struct table_name *names,
                        size_t n, struct err *err)
{
    struct buf sql = {0};
    int64_t until = clock_mono_ms() + LOCK_LIMIT_MS;
    for (size_t i = 0; i < n; i++) {
        buf_puts(&sql, i ? ", " : "LOCK TABLE ");
        pg_quote_qualified(&sql, names[i].schema, names[i].table);
    }
    buf_puts(&sql, " IN ACCESS SHARE MODE");
    bool ok = lock_once(source, task, buf_text(&sql), err);
    while (!ok && pg_server_error_is(err, LOCK_NOT_AVAILABLE) && clock_mono_ms() < until) {
        err_clear(err);
        ok = pg_exec(source, task, STATEMENT_MS, END_SQL, NULL, err) &&
             lock_once(source, task, buf_text(&sql), err);
    }
    buf_free(&sql);
    if (ok)
        return true;
    struct err why = *err;
    if (pg_server_error_is(err, LOCK_NOT_AVAILABLE) &&
        pg_exec(source, task, STATEMENT_MS, END_SQL, NULL, &why))
        explain(source, task, names, n, err);
    return err_context(err, "keep the tables as they are for the copy");
}

bool guard_begin(struct pg_conn *source, struct task *task, const char *snapshot,
                 const struct table_name *names, size_t n, struct err *err)
{
    return pg_begin_snapshot(source, task, STATEMENT_MS, snapshot, err) &&
           (n ? lock_tables(source, task, names, n, err)
              : pg_exec(source, task, STATEMENT_MS, BEGIN_SQL AFTER_SQL, NULL, err));
}

/* A table that was rewritten since the snapshot (TRUNCATE, a change of type) has lost the rows the
 * snapshot should see, and reads as empty: the catalog as of the snapshot shows the old file. */
bool guard_check(struct pg_conn *source, struct task *task, const struct schema *s, struct err *err)
{
    struct buf oids = {0};
    struct pg_result *r = NULL;
    for (size_t i = 0; i < s->n_tables; i++)
        buf_printf(&oids, "%s%u", i ? "," : "{", (unsigned)s->tables[i].oid);
    buf_puts(&oids, s->n_tables ? "}" : "{}");
    const char *values[] = {buf_text(&oids)};
    bool ok = pg_exec_params(source, task, STATEMENT_MS,
                             "SELECT c.oid::pg_catalog.regclass::pg_catalog.text FROM "
                             "pg_catalog.pg_class c WHERE c.oid = ANY ($1::pg_catalog.oid[]) AND "
                             "c.relkind = 'r' AND c.relfilenode <> "
                             "pg_catalog.pg_relation_filenode(c.oid) LIMIT 1",
                             1, values, &r, err);
    if (ok && pg_rows(r) > 0)
        ok = err_set(err, ERR_SNAPSHOT_STALE,
                     "copy %s: the table was emptied or rewritten after the snapshot was taken",
                     pg_text(r, 0, 0));
    pg_free(r);
    buf_free(&oids);
    return ok;
}

bool guard_end(struct pg_conn *source, struct task *task, struct err *err)
{
    return pg_exec(source, task, STATEMENT_MS, END_SQL, NULL, err);
}
